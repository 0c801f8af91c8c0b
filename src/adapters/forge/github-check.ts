import type { Answer, ForgeHttp } from "./forge-http.ts";
import type { OwnLogin } from "./github-login.ts";
import type { RepositoryPlace } from "./repository-place.ts";
import { parseRepository, parseUser } from "./wire.ts";

const fewRequests = 200;

/** What `doctor` should know: who we are, and everything that will fail later or looks as if it will. */
export async function checkGithub(
  http: ForgeHttp,
  place: RepositoryPlace,
  own: OwnLogin,
  signal: AbortSignal,
): Promise<{ readonly login: string | undefined; readonly findings: readonly string[] }> {
  const user = await own.ask(signal);
  const answer = await http.get(place.url(""), signal);
  const repository = parseRepository(answer.body);
  const findings = [
    ...(user === undefined
      ? ["the token cannot read its own name: comments are recognised by a bot as their author"]
      : []),
    ...(repository.archived ? [`${repository.fullName} is archived: nothing can be written`] : []),
    ...(repository.mayPush === false
      ? [`no write permission on ${repository.fullName}: commit statuses will be refused`]
      : []),
    ...scopeFindings(user ?? answer),
    ...expiryFindings(answer),
    ...limitFindings(answer),
  ];
  return { login: user === undefined ? await own.find(signal) : parseUser(user.body).login, findings };
}

/** Classic tokens tell their scopes; fine-grained ones and Apps send no such header. */
function scopeFindings({ headers }: Answer): readonly string[] {
  const value = headers["x-oauth-scopes"];
  if (value === undefined || value === "") return [];
  const scopes = value.split(",").map((scope) => scope.trim());
  if (scopes.includes("repo")) return [];
  if (scopes.includes("public_repo") && scopes.includes("repo:status")) return [];
  return [
    `the token's scopes (${scopes.join(", ")}) lack "repo"; for a public repository "public_repo" and "repo:status" will do`,
  ];
}

function expiryFindings({ headers }: Answer): readonly string[] {
  const value = headers["github-authentication-token-expiration"];
  const at = Date.parse((value ?? "").replace(/ UTC$/, "Z").replace(" ", "T"));
  return Number.isNaN(at) ? [] : [`the token expires at ${new Date(at).toISOString()}`];
}

function limitFindings({ headers }: Answer): readonly string[] {
  const remaining = Number(headers["x-ratelimit-remaining"] ?? Number.NaN);
  return remaining < fewRequests ? [`only ${remaining} requests are left until the rate limit ends`] : [];
}
