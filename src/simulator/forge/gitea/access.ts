import { sameName } from "../accounts.ts";
import { ApiError } from "../api-error.ts";
import type { ForgeContext } from "../context.ts";
import { pathNumber } from "../fields.ts";
import type { Permission, SimulatedUser } from "../options.ts";
import type { PullRecord, RepositoryRecord } from "../records.ts";
import { type Call, param } from "../router.ts";
import { forbidden, notFound } from "./error.ts";

/** The repository of a call, after the check that the user may do this there; under a former name every call is sent on. */
export function repositoryOf(context: ForgeContext, call: Call, role: Permission = "read"): RepositoryRecord {
  const [owner, name] = [param(call, "owner"), param(call, "repo")];
  const found = context.repositories.find(owner, name);
  if (found === undefined || !context.accounts.allows(call.user, found, "read")) throw notFound();
  if (!sameName(found.owner, owner) || !sameName(found.name, name)) throw movedTo(call, found);
  if (role !== "read") signedIn(call);
  if (!context.accounts.allows(call.user, found, role)) throw forbidden();
  return found;
}

export function pullOf(context: ForgeContext, call: Call, repository: RepositoryRecord): PullRecord {
  const number = pathNumber(param(call, "number"));
  const found = context.store.pulls.group(`${repository.id}`).find((one) => one.number === number);
  if (found === undefined) throw notFound();
  return found;
}

/** @throws ApiError 401 for a call without credentials. */
export function signedIn(call: Call): SimulatedUser {
  if (call.user === undefined) throw new ApiError(401, "token is required");
  return call.user;
}

function movedTo(call: Call, repository: RepositoryRecord): ApiError {
  const rest = call.path.replace(/^\/repos\/[^/]+\/[^/]+/, "");
  const query = call.query.size > 0 ? `?${call.query.toString()}` : "";
  const location = `${new URL(call.apiUrl).pathname}/repos/${repository.owner}/${repository.name}${rest}${query}`;
  return new ApiError(307, "moved", { headers: { location } });
}
