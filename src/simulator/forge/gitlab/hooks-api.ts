import type { ForgeContext } from "../context.ts";
import { pathNumber } from "../fields.ts";
import type { HookRecord, RepositoryRecord } from "../records.ts";
import { type Call, param, type Reply, type Router } from "../router.ts";
import { projectOf, ROLES } from "./access.ts";
import { badParameter, GitlabError, missing } from "./error.ts";
import { optionalFlag, optionalText, requiredText } from "./fields.ts";
import { pagedReply } from "./paging.ts";
import { renderHook } from "./render.ts";

/** Parameters that switch events on; GitLab sends pushes unless told otherwise. */
const SWITCHES = [
  ["push_events", "push", true],
  ["tag_push_events", "tag_push", false],
  ["merge_requests_events", "merge_request", false],
  ["note_events", "note", false],
] as const;

export function addHookRoutes(router: Router, context: ForgeContext): void {
  const base = "/projects/:id/hooks";
  router.add("GET", base, (call) => listHooks(context, call));
  router.add("POST", base, (call) => createHook(context, call));
  router.add("PUT", `${base}/:hook`, (call) => putHook(context, call));
  router.add("DELETE", `${base}/:hook`, (call) => deleteHook(context, call));
  router.add("POST", `${base}/:hook/events/:event/resend`, (call) => resend(context, call));
  router.add("GET", `${base}/:hook/events`, (call) => listEvents(context, call));
}

function listHooks(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call, ROLES.maintainer);
  return pagedReply(call, context.store.hooks.group(`${project.id}`), renderHook);
}

function createHook(context: ForgeContext, call: Call): Reply {
  const project = projectOf(context, call, ROLES.maintainer);
  const hook = context.store.hooks.insert({
    repository: project.id,
    url: readUrl(requiredText(call, "url")),
    contentType: "json",
    secret: optionalText(call, "token"),
    events: readEvents(call, undefined),
    active: true,
    createdAt: Date.now(),
  });
  return { status: 201, body: renderHook(hook) };
}

function putHook(context: ForgeContext, call: Call): Reply {
  const hook = hookOf(context, call, projectOf(context, call, ROLES.maintainer));
  const stored = context.store.hooks.replace({
    ...hook,
    url: readUrl(optionalText(call, "url") ?? hook.url),
    secret: optionalText(call, "token") ?? hook.secret,
    events: readEvents(call, hook.events),
  });
  return { status: 200, body: renderHook(stored) };
}

function deleteHook(context: ForgeContext, call: Call): Reply {
  context.store.hooks.remove(hookOf(context, call, projectOf(context, call, ROLES.maintainer)).id);
  return { status: 204 };
}

function listEvents(context: ForgeContext, call: Call): Promise<Reply> {
  const hook = hookOf(context, call, projectOf(context, call, ROLES.maintainer));
  return pagedReply(call, context.webhooks.deliveriesOf(hook.id), (one) => ({
    id: one.id,
    url: hook.url,
    trigger: `${one.event}_hooks`,
    response_status: `${one.statusCode}`,
    execution_duration: one.seconds,
    request_data: JSON.parse(one.payload) as unknown,
  }));
}

/** The same event once more, under its old ids. */
function resend(context: ForgeContext, call: Call): Reply {
  const hook = hookOf(context, call, projectOf(context, call, ROLES.maintainer));
  const id = pathNumber(param(call, "event"));
  const delivery = context.webhooks.deliveriesOf(hook.id).find((one) => one.id === id);
  if (delivery === undefined) throw missing();
  context.webhooks.redeliver(hook, delivery);
  return { status: 201, body: { response_status: 200 } };
}

function hookOf(context: ForgeContext, call: Call, project: RepositoryRecord): HookRecord {
  const hook = context.store.hooks.get(pathNumber(param(call, "hook")));
  if (hook === undefined || hook.repository !== project.id) throw missing();
  return hook;
}

function readUrl(url: string): string {
  if (!URL.canParse(url)) throw badParameter("url is invalid");
  if (!/^https?:/.test(url)) throw new GitlabError(422, { error: "Invalid url given" });
  return url;
}

function readEvents(call: Call, before: readonly string[] | undefined): string[] {
  return SWITCHES.filter(
    ([name, event, standard]) => optionalFlag(call, name) ?? before?.includes(event) ?? standard,
  ).map(([, event]) => event);
}
