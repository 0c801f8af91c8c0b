import { repositoryOf } from "./access.ts";
import { custom, invalid, notFound } from "./api-error.ts";
import type { ForgeContext } from "./context.ts";
import { optionalFlag, pathNumber } from "./fields.ts";
import { pagedReply } from "./paging.ts";
import type { HookRecord, RepositoryRecord } from "./records.ts";
import { type Call, param, type Reply, type Router } from "./router.ts";
import { type Delivery, HOOK_EVENTS } from "./webhooks.ts";
import { isoTime, renderHook, renderRepository } from "./wire.ts";

const READ = { role: "admin", grant: "webhooks=read" } as const;
const WRITE = { role: "admin", grant: "webhooks=write" } as const;

export function addHookRoutes(router: Router, context: ForgeContext): void {
  const base = "/repos/:owner/:repo/hooks";
  router.add("GET", base, (call) => listHooks(context, call));
  router.add("POST", base, (call) => createHook(context, call));
  router.add("GET", `${base}/:id`, (call) => getHook(context, call));
  router.add("PATCH", `${base}/:id`, (call) => patchHook(context, call));
  router.add("DELETE", `${base}/:id`, (call) => deleteHook(context, call));
  router.add("POST", `${base}/:id/pings`, (call) => pingHook(context, call));
  router.add("GET", `${base}/:id/deliveries`, (call) => listDeliveries(context, call));
  router.add("GET", `${base}/:id/deliveries/:delivery`, (call) => getDelivery(context, call));
  router.add("POST", `${base}/:id/deliveries/:delivery/attempts`, (call) => redeliver(context, call));
}

function listHooks(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, READ);
  const hooks = context.store.hooks.group(`${repository.id}`);
  return pagedReply(call, repository.id, hooks, (hook) => renderHook(call.apiUrl, repository, hook));
}

function createHook(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, WRITE);
  const config = readConfig(call);
  if (config.url === undefined) throw custom("Hook", "url", "url cannot be blank");
  const hook = context.store.hooks.insert({
    repository: repository.id,
    url: config.url,
    contentType: config.contentType ?? "form",
    secret: config.secret,
    events: readEvents(call) ?? ["push"],
    active: optionalFlag(call, "Hook", "active") ?? true,
    createdAt: Date.now(),
  });
  ping(context, call, repository, hook);
  return { status: 201, body: renderHook(call.apiUrl, repository, hook) };
}

function getHook(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, READ);
  return { status: 200, body: renderHook(call.apiUrl, repository, hookOf(context, call, repository)) };
}

function patchHook(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, WRITE);
  const hook = hookOf(context, call, repository);
  const config = readConfig(call);
  const patched = context.store.hooks.replace({
    ...hook,
    url: config.url ?? hook.url,
    contentType: config.contentType ?? hook.contentType,
    secret: config.secret ?? hook.secret,
    events: readEvents(call) ?? hook.events,
    active: optionalFlag(call, "Hook", "active") ?? hook.active,
  });
  return { status: 200, body: renderHook(call.apiUrl, repository, patched) };
}

function deleteHook(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, WRITE);
  context.store.hooks.remove(hookOf(context, call, repository).id);
  return { status: 204 };
}

function pingHook(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, WRITE);
  ping(context, call, repository, hookOf(context, call, repository));
  return { status: 204 };
}

function ping(context: ForgeContext, call: Call, repository: RepositoryRecord, hook: HookRecord): void {
  const payload = {
    hook: renderHook(call.apiUrl, repository, hook),
    repository: renderRepository(context, call.apiUrl, repository),
  };
  context.webhooks.ping(hook, payload);
}

function listDeliveries(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, READ);
  const deliveries = context.webhooks.deliveriesOf(hookOf(context, call, repository).id);
  return pagedReply(call, repository.id, deliveries, renderDelivery);
}

function getDelivery(context: ForgeContext, call: Call): Reply {
  const delivery = deliveryOf(context, call, hookOf(context, call, repositoryOf(context, call, READ)));
  return {
    status: 200,
    body: { ...renderDelivery(delivery), request: { payload: JSON.parse(delivery.payload) as unknown } },
  };
}

function redeliver(context: ForgeContext, call: Call): Reply {
  const hook = hookOf(context, call, repositoryOf(context, call, WRITE));
  context.webhooks.redeliver(hook, deliveryOf(context, call, hook));
  return { status: 202, body: {} };
}

function renderDelivery(delivery: Delivery): Record<string, unknown> {
  const { id, guid, redelivery, status, event, action } = delivery;
  const outcome = { duration: delivery.seconds, status, status_code: delivery.statusCode };
  return {
    id,
    guid,
    delivered_at: isoTime(delivery.deliveredAt),
    redelivery,
    ...outcome,
    event,
    action: action ?? null,
  };
}

function hookOf(context: ForgeContext, call: Call, repository: RepositoryRecord): HookRecord {
  const hook = context.store.hooks.get(pathNumber(param(call, "id")));
  if (hook === undefined || hook.repository !== repository.id) throw notFound();
  return hook;
}

function deliveryOf(context: ForgeContext, call: Call, hook: HookRecord): Delivery {
  const id = pathNumber(param(call, "delivery"));
  const delivery = context.webhooks.deliveriesOf(hook.id).find((one) => one.id === id);
  if (delivery === undefined) throw notFound();
  return delivery;
}

function readConfig(call: Call): {
  url: string | undefined;
  contentType: "json" | "form" | undefined;
  secret: string | undefined;
} {
  const config = (call.body["config"] ?? {}) as Readonly<Record<string, unknown>>;
  const { url, content_type: type, secret } = config;
  if (url !== undefined && !(typeof url === "string" && /^https?:/.test(url) && URL.canParse(url))) {
    throw custom("Hook", "url", "url is not a valid http(s) address");
  }
  if (type !== undefined && type !== "json" && type !== "form")
    throw invalid({ resource: "Hook", field: "content_type", code: "invalid" });
  return { url, contentType: type, secret: typeof secret === "string" ? secret : undefined };
}

function readEvents(call: Call): string[] | undefined {
  const events = call.body["events"];
  if (events === undefined) return undefined;
  const known = Array.isArray(events) ? HOOK_EVENTS.filter((event) => events.includes(event)) : [];
  if (!Array.isArray(events) || events.length === 0 || known.length !== new Set(events).size) {
    throw custom("Hook", "events", `events must be some of ${HOOK_EVENTS.join(", ")}`);
  }
  return known;
}
