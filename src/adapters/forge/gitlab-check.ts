import type { ForgeHttp } from "./forge-http.ts";
import { findOwn } from "./gitlab-login.ts";
import type { ProjectPlace } from "./gitlab-project.ts";
import { type GitlabProject, type GitlabToken, parseProject, parseToken } from "./gitlab-wire.ts";

const developer = 30;
const roles: readonly (readonly [level: number, name: string])[] = [
  [50, "Owner"],
  [40, "Maintainer"],
  [30, "Developer"],
  [20, "Reporter"],
  [15, "Planner"],
  [10, "Guest"],
  [5, "Minimal Access"],
];
const soonMs = 30 * 24 * 3_600_000;

/** What `doctor` should know: who we are, and everything that will fail later or looks as if it will. */
export async function checkGitlab(
  http: ForgeHttp,
  apiUrl: string,
  place: ProjectPlace,
  signal: AbortSignal,
): Promise<{ readonly login: string; readonly findings: readonly string[] }> {
  const { login } = await findOwn(http, apiUrl, signal);
  const project = parseProject((await http.get(place.url(""), signal)).body);
  // Older than 15.5, or no access token at all (OAuth): then there is nothing to tell of it.
  const answer = await http.get(`${apiUrl}/personal_access_tokens/self`, signal, [400, 403, 404]);
  const token = answer.status === 200 ? parseToken(answer.body) : undefined;
  const kind = tokenKind(login);
  const findings = [
    ...projectFindings(project),
    ...(token === undefined ? [] : [...scopeFindings(token, kind), ...expiryFindings(token, kind, Date.now())]),
  ];
  return { login, findings };
}

/** GitLab names the bots of project and group tokens itself. */
export function tokenKind(login: string): string {
  const [, owner] = /^(project|group)_\d+_bot/.exec(login) ?? [];
  return `${owner ?? "personal"} access token`;
}

function projectFindings({ path, archived, accessLevel }: GitlabProject): readonly string[] {
  const role = roles.find(([level]) => accessLevel >= level)?.[1] ?? "no role";
  return [
    ...(archived ? [`${path} is archived: nothing can be written`] : []),
    ...(accessLevel < developer
      ? [`${role} on ${path}: commit statuses will be refused, Developer is the least role that writes them`]
      : []),
  ];
}

function scopeFindings({ scopes }: GitlabToken, kind: string): readonly string[] {
  if (scopes.includes("api")) return [];
  return [`the ${kind} has the scopes ${scopes.join(", ") || "(none)"}: statuses and comments need "api"`];
}

/** GitLab ends a token at the beginning of the day, in UTC. */
export function expiryFindings({ expiresAt }: GitlabToken, kind: string, nowMs: number): readonly string[] {
  const at = Date.parse(expiresAt ?? "");
  if (Number.isNaN(at)) return [];
  const days = Math.ceil((at - nowMs) / (24 * 3_600_000));
  const hurry = at - nowMs > soonMs ? "" : `, in ${days === 1 ? "1 day" : `${days} days`}: rotate it before`;
  return [`the ${kind} expires at ${expiresAt}${hurry}`];
}
