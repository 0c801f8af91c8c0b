import type { ForgeContext } from "../context.ts";
import { optionalFlag, pathNumber } from "../fields.ts";
import type { HookRecord, RepositoryRecord } from "../records.ts";
import { type Call, param, type Reply, type Router } from "../router.ts";
import { repositoryOf } from "./access.ts";
import { notFound, unprocessable } from "./error.ts";
import { EVENTS } from "./events.ts";
import type { Flavour } from "./flavour.ts";
import { pagedReply } from "./paging.ts";
import { renderHook } from "./render.ts";

export function addHookRoutes(router: Router, context: ForgeContext, flavour: Flavour): void {
  const base = "/repos/:owner/:repo/hooks";
  router.add("GET", base, (call) => listHooks(context, call, flavour));
  router.add("POST", base, (call) => createHook(context, call, flavour));
  router.add("GET", `${base}/:id`, (call) => getHook(context, call, flavour));
  router.add("DELETE", `${base}/:id`, (call) => deleteHook(context, call));
}

function listHooks(context: ForgeContext, call: Call, flavour: Flavour): Promise<Reply> {
  const repository = repositoryOf(context, call, "admin");
  const hooks = context.store.hooks.group(`${repository.id}`);
  return pagedReply(call, hooks, (hook) => renderHook(flavour, hook), { link: true });
}

function createHook(context: ForgeContext, call: Call, flavour: Flavour): Reply {
  const repository = repositoryOf(context, call, "admin");
  const { type, config, events } = call.body;
  if (type !== "gitea" && !(type === "forgejo" && flavour === "forgejo"))
    throw unprocessable(`Invalid hook type: ${String(type)}`);
  const { url, content_type: contentType, secret } = (config ?? {}) as Record<string, unknown>;
  if (typeof url !== "string" || !URL.canParse(url)) throw unprocessable("Missing config option: url");
  if (contentType !== "json" && contentType !== "form") throw unprocessable("Invalid content type");
  const hook = context.store.hooks.insert({
    repository: repository.id,
    url,
    contentType,
    secret: typeof secret === "string" ? secret : undefined,
    events: eventsOf(events),
    // A hook is off unless it is asked for.
    active: optionalFlag(call, "Hook", "active") ?? false,
    createdAt: Date.now(),
  });
  return { status: 201, body: renderHook(flavour, hook) };
}

/** Unknown names ask for nothing; none at all are `push`. */
function eventsOf(given: unknown): string[] {
  const asked = Array.isArray(given) && given.length > 0 ? given : ["push"];
  return Object.keys(EVENTS).filter(
    (event) => asked.includes(event) || (event.startsWith("pull_request_") && asked.includes("pull_request")),
  );
}

function getHook(context: ForgeContext, call: Call, flavour: Flavour): Reply {
  const repository = repositoryOf(context, call, "admin");
  return { status: 200, body: renderHook(flavour, hookOf(context, call, repository)) };
}

function deleteHook(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, "admin");
  context.store.hooks.remove(hookOf(context, call, repository).id);
  return { status: 204 };
}

function hookOf(context: ForgeContext, call: Call, repository: RepositoryRecord): HookRecord {
  const hook = context.store.hooks.get(pathNumber(param(call, "id")));
  if (hook === undefined || hook.repository !== repository.id) throw notFound();
  return hook;
}
