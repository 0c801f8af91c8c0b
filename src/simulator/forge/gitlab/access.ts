import { sameName } from "../accounts.ts";
import type { ForgeContext } from "../context.ts";
import { pathNumber } from "../fields.ts";
import type { SimulatedUser } from "../options.ts";
import type { PullRecord, RepositoryRecord } from "../records.ts";
import { type Call, param } from "../router.ts";
import { forbidden, GitlabError, missing, unauthorized } from "./error.ts";

export const ROLES = { none: 0, reporter: 20, developer: 30, maintainer: 40, owner: 50 } as const;

/** A user's role in a project as GitLab numbers it; reading a public project makes nobody a member. */
export function roleOf(context: ForgeContext, user: SimulatedUser | undefined, repository: RepositoryRecord): number {
  if (user === undefined) return ROLES.none;
  if (sameName(user.login, repository.owner)) return ROLES.owner;
  switch (context.accounts.permissionOf(user, repository)) {
    case "admin":
      return ROLES.maintainer;
    case "write":
      return ROLES.developer;
    case "read":
      return isReporter(user, repository) ? ROLES.reporter : ROLES.none;
    default:
      return ROLES.none;
  }
}

function isReporter(user: SimulatedUser, repository: RepositoryRecord): boolean {
  const name = `${repository.owner}/${repository.name}`;
  const special = Object.entries(user.repositories ?? {}).find(([one]) => sameName(one, name));
  return (special?.[1] ?? user.permission) === "read";
}

/**
 * The project of a call, by number or by its encoded path, after the check that the user may see it and has the role.
 * Under a former path reads are sent on and writes refused.
 */
export function projectOf(context: ForgeContext, call: Call, role: number = ROLES.none): RepositoryRecord {
  const id = param(call, "id");
  const found = /^\d+$/.test(id) ? context.store.repositories.get(Number(id)) : context.repositories.findByPath(id);
  if (found === undefined || !context.accounts.allows(call.user, found, "read")) throw missing("Project");
  if (!/^\d+$/.test(id) && !sameName(`${found.owner}/${found.name}`, id)) throw movedTo(call, found);
  if (roleOf(context, call.user, found) < role) throw call.user === undefined ? unauthorized() : forbidden();
  return found;
}

function movedTo(call: Call, project: RepositoryRecord): GitlabError {
  if (call.method !== "GET") return new GitlabError(405, "405 Non GET methods are not allowed for moved projects");
  const rest = call.path.replace(/^\/projects\/[^/]+/, "");
  const query = call.query.size > 0 ? `?${call.query.toString()}` : "";
  const location = `${call.apiUrl}/projects/${project.id}${rest}${query}`;
  return new GitlabError(301, "This resource has been moved permanently", { location });
}

export function requestOf(context: ForgeContext, call: Call, project: RepositoryRecord): PullRecord {
  const number = pathNumber(param(call, "iid"));
  const found = context.store.pulls.group(`${project.id}`).find((one) => one.number === number);
  if (found === undefined) throw missing();
  return found;
}

/** @throws GitlabError 401 for a call without credentials. */
export function signedIn(call: Call): SimulatedUser {
  if (call.user === undefined) throw unauthorized();
  return call.user;
}
