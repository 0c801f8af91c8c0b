import { type Need, sameName } from "./accounts.ts";
import { ApiError, notFound } from "./api-error.ts";
import type { ForgeContext } from "./context.ts";
import { pathNumber } from "./fields.ts";
import type { SimulatedUser } from "./options.ts";
import type { PullRecord, RepositoryRecord } from "./records.ts";
import { type Call, param } from "./router.ts";

/** The repository of a `/repos/:owner/:repo` call, after the check that the user may do this there. */
export function repositoryOf(context: ForgeContext, call: Call, need: Need): RepositoryRecord {
  const [owner, name] = [param(call, "owner"), param(call, "repo")];
  const repository = context.repositories.find(owner, name);
  if (repository === undefined || !context.accounts.allows(call.user, repository, "read")) throw notFound();
  if (!sameName(repository.owner, owner) || !sameName(repository.name, name)) throw moved(call, repository);
  context.accounts.require(call.user, repository, need);
  return repository;
}

export function pullOf(context: ForgeContext, call: Call, repository: RepositoryRecord): PullRecord {
  const number = pathNumber(param(call, "number"));
  const pull = context.store.pulls.group(`${repository.id}`).find((one) => one.number === number);
  if (pull === undefined) throw notFound();
  return pull;
}

/** @throws ApiError 401 for a call without credentials. */
export function signedIn(call: Call): SimulatedUser {
  if (call.user === undefined) throw new ApiError(401, "Requires authentication");
  return call.user;
}

/** The answer to a call by a former name: 301 for reading, 307 (same method again) for writing. */
function moved(call: Call, repository: RepositoryRecord): ApiError {
  const rest = call.path.replace(/^\/repos\/[^/]+\/[^/]+/, "");
  const query = call.query.size > 0 ? `?${call.query.toString()}` : "";
  const location = `${call.apiUrl}/repositories/${repository.id}${rest}${query}`;
  return new ApiError(call.method === "GET" ? 301 : 307, "Moved Permanently", { headers: { location } });
}
