import { ApiError, notFound } from "./api-error.ts";
import type { ForgeContext } from "./context.ts";
import { parseFault } from "./faults.ts";
import { optionalChoice, optionalFlag, optionalText, pathNumber, requiredText } from "./fields.ts";
import { makeRepository } from "./repositories-api.ts";
import { type Call, param, type Reply, type Router } from "./router.ts";
import { isoTime, renderRepository } from "./wire.ts";

/** The simulator's own API below `/_simulator`: no part of GitHub, no token, answered on loopback only. */
export function addControlRoutes(router: Router, context: ForgeContext): void {
  router.add("POST", "/_simulator/faults", (call) => armFaults(context, call));
  router.add("DELETE", "/_simulator/faults", () => clearFaults(context));
  router.add("GET", "/_simulator/calls", () => ({ status: 200, body: context.calls.summary() }));
  router.add("GET", "/_simulator/statuses", (call) => statusHistory(context, call));
  router.add("GET", "/_simulator/comments/:id/edits", (call) => commentHistory(context, call));
  router.add("DELETE", "/_simulator/installation-tokens", () => revokeTokens(context));
  router.add("POST", "/_simulator/permissions", (call) => changePermission(context, call));
  router.add("POST", "/_simulator/repos", (call) => createRepository(context, call));
}

/** One fault or a list of them. */
function armFaults(context: ForgeContext, call: Call): Reply {
  const given = call.body["faults"] ?? call.body;
  const faults = (Array.isArray(given) ? given : [given]).map((one: unknown) => parseFault(one));
  for (const { fault, times } of faults) context.faults.arm(fault, times);
  return { status: 201, body: { armed: context.faults.armed } };
}

function clearFaults(context: ForgeContext): Reply {
  context.faults.clear();
  return { status: 204 };
}

/** Every status ever written, in the order of writing, of one commit or of all. */
function statusHistory(context: ForgeContext, call: Call): Reply {
  const sha = call.query.get("sha");
  const rows = sha === null ? context.store.statuses.all() : context.store.statuses.group(sha);
  const body = rows.map((row) => ({
    id: row.id,
    repository: fullName(context, row.repository),
    sha: row.sha,
    context: row.context,
    state: row.state,
    description: row.description ?? null,
    target_url: row.targetUrl ?? null,
    creator: row.creator,
    created_at: new Date(row.createdAt).toISOString(),
  }));
  return { status: 200, body };
}

/** What became of a comment, deleted or not. */
function commentHistory(context: ForgeContext, call: Call): Reply {
  const id = pathNumber(param(call, "id"));
  if (context.store.comments.get(id) === undefined) throw notFound();
  const edits = context.store.commentEdits.group(`${id}`);
  return { status: 200, body: edits.map(({ kind, by, at, body }) => ({ kind, by, at: isoTime(at), body })) };
}

async function createRepository(context: ForgeContext, call: Call): Promise<Reply> {
  const source = optionalText(call, "Repository", "forkOf")?.split("/");
  const forkOf = source && context.repositories.find(source[0] ?? "", source[1] ?? "");
  if (source && !forkOf) throw new ApiError(422, "forkOf names no repository.");
  const repository = await makeRepository(context, {
    owner: requiredText(call, "Repository", "owner"),
    name: requiredText(call, "Repository", "name"),
    private: optionalFlag(call, "Repository", "private") ?? false,
    ...(forkOf ? { forkOf } : {}),
  });
  return { status: 201, body: renderRepository(context, call.apiUrl, repository) };
}

/** Every token that Apps were given is refused from now on. */
function revokeTokens(context: ForgeContext): Reply {
  context.apps.revokeAll();
  return { status: 204 };
}

/** What a user may do in a repository from now on, as when an owner changes it: `{ repository, login, permission }`. */
function changePermission(context: ForgeContext, call: Call): Reply {
  const [owner = "", name = ""] = requiredText(call, "Permission", "repository").split("/");
  const repository = context.repositories.find(owner, name);
  if (repository === undefined) throw notFound();
  const wanted = requiredText(call, "Permission", "permission");
  const permission = optionalChoice(wanted, ["none", "read", "write", "admin"], "Permission", "permission") ?? "none";
  context.accounts.changePermission(requiredText(call, "Permission", "login"), repository, permission);
  return { status: 204 };
}

function fullName(context: ForgeContext, id: number): string | null {
  const repository = context.store.repositories.get(id);
  return repository === undefined ? null : `${repository.owner}/${repository.name}`;
}
