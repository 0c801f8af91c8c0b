import type { Answer, ForgeHttp } from "./forge-http.ts";
import type { OwnLogin } from "./github-login.ts";
import type { RepositoryPlace } from "./repository-place.ts";
import { missingAppRights, missingTokenRights } from "./github-rights.ts";
import type { GithubApp } from "./github-app.ts";
import { parseRepository, parseUser } from "./wire.ts";

const fewRequests = 200;

/** What `doctor` should know: who we are, and everything that will fail later or looks as if it will. */
export async function checkGithub(
  http: ForgeHttp,
  place: RepositoryPlace,
  own: OwnLogin,
  wanted: { readonly app?: Pick<GithubApp, "permissions"> | undefined; readonly deployments?: boolean | undefined },
  signal: AbortSignal,
): Promise<{ readonly login: string | undefined; readonly findings: readonly string[] }> {
  const { app, deployments = false } = wanted;
  const user = app === undefined ? await own.ask(signal) : undefined;
  const answer = await http.get(place.url(""), signal);
  const repository = parseRepository(answer.body);
  // To a user GitHub tells their role; of Apps and workflows it tells only what their right to contents allows.
  const readOnly = user !== undefined && repository.mayPush === false;
  const findings = [
    ...(user === undefined && app === undefined
      ? ["the token cannot read its own name: comments are recognised by a bot as their author"]
      : []),
    ...(repository.archived ? [`${repository.fullName} is archived: nothing can be written`] : []),
    ...(readOnly ? [`no write permission on ${repository.fullName}: commit statuses will be refused`] : []),
    ...(app === undefined ? [] : await missingAppRights(app, deployments)),
    ...(app === undefined && !readOnly && !repository.archived && scopesOf(user ?? answer) === undefined
      ? await missingTokenRights(http, place, deployments, signal)
      : []),
    ...scopeFindings(user ?? answer),
    ...expiryFindings(answer),
    ...limitFindings(answer),
  ];
  return { login: user === undefined ? await own.find(signal) : parseUser(user.body).login, findings };
}

/** Classic tokens tell their scopes; fine-grained ones and Apps send no such header. */
function scopesOf({ headers }: Answer): readonly string[] | undefined {
  const value = headers["x-oauth-scopes"];
  return value === undefined ? undefined : value.split(",").map((scope) => scope.trim());
}

function scopeFindings(answer: Answer): readonly string[] {
  const scopes = scopesOf(answer);
  if (scopes === undefined) return [];
  if (scopes.includes("repo")) return [];
  if (scopes.includes("public_repo") && scopes.includes("repo:status")) return [];
  return [
    `the token's scopes (${scopes.join(", ") || "none"}) lack "repo"; for a public repository "public_repo" and "repo:status" will do`,
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
