import { checkBody } from "../body.ts";
import { requirePathOnCdOnly } from "../disks.ts";
import { requestShutdown } from "../guests.ts";
import { powerWork } from "../power.ts";
import { badRequest, notNow } from "../refusal.ts";
import { type ApiRequest, accepted, json, param, type Reply, type Route } from "../route.ts";
import type { PowerAction } from "../wire.ts";
import { checkLabels, checkVirDomainPatch } from "../virdomains.ts";
import type { CreateOptions, VirDomainBody, VirDomainPatch, Work } from "../work.ts";

function create({ state, tasks, body, context }: ApiRequest): Reply {
  const checked = checkBody(body, state.contract.virDomainCreate, state.settings.ignoreReadOnlyInCreate);
  const { dom, options } = checked as { dom: VirDomainBody; options: CreateOptions };
  checkLabels(dom.labels);
  for (const disk of dom.blockDevs ?? []) requirePathOnCdOnly(disk);
  if (dom.bootDevices?.length) throw badRequest('"bootDevices" names a device that does not exist');
  const vm = state.random.uuid();
  return accepted(tasks.start({ kind: "vm-create", vm, dom, options }, vm, [vm], context), vm);
}

function change(request: ApiRequest): Reply {
  const { state, tasks, body, context } = request;
  const vm = state.getVirDomain(param(request));
  const changes = checkBody(body, state.contract.virDomainPatch) as VirDomainPatch;
  tasks.ensureFree(vm.uuid);
  checkVirDomainPatch(state, vm, changes);
  return accepted(tasks.start({ kind: "vm-patch", vm: vm.uuid, changes }, vm.uuid, [vm.uuid], context));
}

function remove(request: ApiRequest): Reply {
  const { state, tasks, context } = request;
  const vm = state.getVirDomain(param(request));
  tasks.ensureFree(vm.uuid);
  if (!state.isOff(vm) && state.settings.deleteRunning === "refuse") throw notNow();
  return accepted(tasks.start({ kind: "vm-delete", vm: vm.uuid }, vm.uuid, [vm.uuid], context));
}

/** A list of actions; the tag is the last one's. Nothing happens when any of them is impossible. */
function act(request: ApiRequest): Reply {
  const { state, tasks, body } = request;
  if (!Array.isArray(body)) throw badRequest("VirDomainAction must be a list");
  const actions = body.map((item: unknown) => checkBody(item, state.contract.action) as unknown as PowerAction);
  const works = actions.map((action) => ({ vm: action.virDomainUUID, work: powerWork(state, action) }));
  tasks.ensureFree(...works.map(({ vm }) => vm));
  let taskTag = "";
  for (const { vm, work } of works) taskTag = perform(request, vm, work);
  return accepted(taskTag);
}

function perform({ state, tasks, context }: ApiRequest, vm: string, work: Work | undefined): string {
  if (work !== undefined) return tasks.start(work, vm, [vm], context);
  requestShutdown(state, vm);
  return "";
}

/** The call is in the contract and fails; LIVEMIGRATE is the one that works. */
function refuseMigrate(): never {
  throw notNow();
}

function clone(request: ApiRequest): Reply {
  const { state, tasks, body, context } = request;
  const source = state.getVirDomain(param(request));
  const checked = checkBody(body, state.contract.virDomainClone) as { snapUUID?: string; template?: VirDomainPatch };
  const snapUUID = checked.snapUUID || undefined;
  if (snapUUID !== undefined && !state.snapshots.has(snapUUID)) state.refuseMissing();
  const vm = state.random.uuid();
  const work: Work = { kind: "vm-clone", vm, source: source.uuid, snapUUID, template: checked.template ?? {} };
  return accepted(tasks.start(work, vm, [source.uuid, vm], context), vm);
}

export const virDomainRoutes: readonly Route[] = [
  { method: "GET", path: "VirDomain", handle: ({ state }) => json(state.virdomains.listJson()) },
  { method: "GET", path: "VirDomain/*", handle: (request) => json(request.state.virdomains.oneJson(param(request))) },
  { method: "POST", path: "VirDomain", handle: create },
  { method: "POST", path: "VirDomain/action", handle: act },
  { method: "POST", path: "VirDomain/migrate", handle: refuseMigrate },
  { method: "POST", path: "VirDomain/*/clone", handle: clone },
  { method: "PATCH", path: "VirDomain/*", handle: change },
  { method: "DELETE", path: "VirDomain/*", handle: remove },
];
