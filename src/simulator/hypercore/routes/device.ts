import { checkBody } from "../body.ts";
import { diskPatchWork, requirePathOnCdOnly, requirePluggable } from "../disks.ts";
import { nicPatchWork, requireOffForNics } from "../nics.ts";
import { badRequest } from "../refusal.ts";
import { type ApiRequest, accepted, json, param, type Reply, type Route } from "../route.ts";
import type { DiskBody, NicBody } from "../work.ts";

type OnVm<T> = T & { readonly virDomainUUID: string };

/** What attach and the device clone take. */
export interface CopyBody {
  readonly options?: { readonly regenerateDiskID?: boolean; readonly readOnly?: boolean };
  readonly template: Partial<OnVm<DiskBody>>;
}

function addDisk({ state, tasks, body, context }: ApiRequest): Reply {
  const checked = checkBody(body, state.contract.diskCreate, state.settings.ignoreReadOnlyInCreate);
  const { virDomainUUID, ...disk } = checked as unknown as OnVm<DiskBody>;
  const vm = state.getVirDomain(virDomainUUID);
  requirePathOnCdOnly(disk);
  tasks.ensureFree(vm.uuid);
  requirePluggable(state, vm, disk.type);
  const uuid = state.random.uuid();
  return accepted(tasks.start({ kind: "disk-create", vm: vm.uuid, uuid, disk }, uuid, [vm.uuid], context), uuid);
}

function changeDisk(request: ApiRequest): Reply {
  const { state, tasks, body, context } = request;
  const { vm, disk } = state.findDisk(param(request)) ?? state.refuseMissing();
  const changes = checkBody(body, state.contract.diskPatch) as Partial<DiskBody>;
  tasks.ensureFree(vm.uuid);
  const work = diskPatchWork(state, vm, disk, changes);
  return accepted(tasks.start(work, disk.uuid, [vm.uuid], context));
}

function removeDisk(request: ApiRequest): Reply {
  const { state, tasks, context } = request;
  const { vm, disk } = state.findDisk(param(request)) ?? state.refuseMissing();
  tasks.ensureFree(vm.uuid);
  requirePluggable(state, vm, disk.type);
  const work = { kind: "disk-delete", vm: vm.uuid, uuid: disk.uuid } as const;
  return accepted(tasks.start(work, disk.uuid, [vm.uuid], context));
}

function cloneDisk(request: ApiRequest): Reply {
  const { state, body } = request;
  const { disk } = state.findDisk(param(request)) ?? state.refuseMissing();
  const copy = checkBody(body, state.contract.diskClone) as unknown as CopyBody;
  return startCopy(request, "disk-clone", disk.uuid, [disk.virDomainUUID], copy);
}

/** Begins copying an image or a disk into a VM. */
export function startCopy(
  { state, tasks, context }: ApiRequest,
  kind: "disk-attach" | "disk-clone",
  source: string,
  sourceLocks: readonly string[],
  { template, options }: CopyBody,
): Reply {
  const { virDomainUUID, type, ...rest } = template;
  if (virDomainUUID === undefined || type === undefined) {
    throw badRequest(`"${type === undefined ? "type" : "virDomainUUID"}" is required in template`);
  }
  const vm = state.getVirDomain(virDomainUUID);
  tasks.ensureFree(vm.uuid);
  requirePluggable(state, vm, type);
  const uuid = state.random.uuid();
  const flags = { regenerateDiskID: options?.regenerateDiskID ?? true, readOnly: options?.readOnly ?? false };
  const work = { kind, vm: vm.uuid, uuid, source, disk: { type, ...rest }, ...flags } as const;
  return accepted(tasks.start(work, uuid, [...new Set([vm.uuid, ...sourceLocks])], context), uuid);
}

function addNic({ state, tasks, body, context }: ApiRequest): Reply {
  const checked = checkBody(body, state.contract.nicCreate, state.settings.ignoreReadOnlyInCreate);
  const { virDomainUUID, ...nic } = checked as unknown as OnVm<NicBody>;
  const vm = state.getVirDomain(virDomainUUID);
  tasks.ensureFree(vm.uuid);
  requireOffForNics(state, vm);
  const uuid = state.random.uuid();
  return accepted(tasks.start({ kind: "nic-create", vm: vm.uuid, uuid, nic }, uuid, [vm.uuid], context), uuid);
}

function changeNic(request: ApiRequest): Reply {
  const { state, tasks, body, context } = request;
  const { vm, nic } = state.findNic(param(request)) ?? state.refuseMissing();
  const changes = checkBody(body, state.contract.nicPatch) as NicBody;
  tasks.ensureFree(vm.uuid);
  return accepted(tasks.start(nicPatchWork(state, vm, nic.uuid, changes), nic.uuid, [vm.uuid], context));
}

function removeNic(request: ApiRequest): Reply {
  const { state, tasks, context } = request;
  const { vm, nic } = state.findNic(param(request)) ?? state.refuseMissing();
  tasks.ensureFree(vm.uuid);
  requireOffForNics(state, vm);
  const work = { kind: "nic-delete", vm: vm.uuid, uuid: nic.uuid } as const;
  return accepted(tasks.start(work, nic.uuid, [vm.uuid], context));
}

function listDevices({ state }: ApiRequest, member: "blockDevs" | "netDevs"): Reply {
  return json(JSON.stringify([...state.virdomains.values()].flatMap((vm) => [...vm[member]])));
}

export const deviceRoutes: readonly Route[] = [
  { method: "GET", path: "VirDomainBlockDevice", handle: (request) => listDevices(request, "blockDevs") },
  {
    method: "GET",
    path: "VirDomainBlockDevice/*",
    handle: (request) => one(request.state.findDisk(param(request))?.disk),
  },
  { method: "POST", path: "VirDomainBlockDevice", handle: addDisk },
  { method: "POST", path: "VirDomainBlockDevice/*/clone", handle: cloneDisk },
  { method: "PATCH", path: "VirDomainBlockDevice/*", handle: changeDisk },
  { method: "DELETE", path: "VirDomainBlockDevice/*", handle: removeDisk },
  { method: "GET", path: "VirDomainNetDevice", handle: (request) => listDevices(request, "netDevs") },
  { method: "GET", path: "VirDomainNetDevice/*", handle: (request) => one(request.state.findNic(param(request))?.nic) },
  { method: "POST", path: "VirDomainNetDevice", handle: addNic },
  { method: "PATCH", path: "VirDomainNetDevice/*", handle: changeNic },
  { method: "DELETE", path: "VirDomainNetDevice/*", handle: removeNic },
];

function one(device: object | undefined): Reply {
  return json(JSON.stringify(device === undefined ? [] : [device]));
}
