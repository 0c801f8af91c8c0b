import { WatcherError } from "../../../lib/errors.ts";
import type { LiveVirdomain } from "../../../plan/live-state.ts";
import type { ChangeContext, KeptSnapshot, SnapshotReference, SnapshotRequest } from "../../../ports/hypervisor.ts";
import { type ClusterAccess, awaitTurn, findVm, vanished } from "../access.ts";
import { checkpoint } from "../../boundaries.ts";
import { requireOurs } from "../vm/delete.ts";
import { readOwnership } from "../marks/ownership.ts";
import { changeVm } from "../vm/perform.ts";
import { fullLabel, ownLabel, snapshotBody, toSnapshotWire, type VmSnapshot } from "./snapshot-wire.ts";
import type { VirDomain } from "../rest/wire.ts";

/**
 * A snapshot of this VM under this label, taken now unless there is one that will do. It counts only once it is listed
 * under its label: the VM alone would not tell it from one that a schedule took at the same moment.
 */
export async function ensureSnapshot(
  access: ClusterAccess,
  instance: string,
  live: LiveVirdomain,
  request: SnapshotRequest,
  context: ChangeContext,
): Promise<SnapshotReference> {
  checkpoint(context);
  const vm = (await awaitTurn(access, live.id, context)) ?? vanished(access, live.id);
  requireManaged(access, vm, live, request.adopt);
  const known = request.fresh ? undefined : await findLabelled(access, instance, vm, request.label, context.signal);
  if (known !== undefined && !isExpired(known, Date.now())) return toReference(known, request.label);
  const before = new Set(vm.snapUUIDs);
  const after = await takeSnapshot(
    access,
    vm,
    before,
    snapshotBody(vm.uuid, fullLabel(instance, request.label), request.keepUntilMs),
    context,
  );
  const taken = await findLabelled(access, instance, after, request.label, context.signal, before);
  if (taken === undefined)
    throw new WatcherError(
      "task-failed",
      `cluster ${access.cluster}: take a snapshot of ${vm.name}: the cluster does not list it`,
    );
  return toReference(taken, request.label);
}

/** The newest one of a VM under a label. */
export async function findSnapshot(
  access: ClusterAccess,
  instance: string,
  uuid: string,
  label: string,
  signal: AbortSignal,
): Promise<SnapshotReference | undefined> {
  const vm = await findVm(access, uuid, signal);
  const found = vm === undefined ? undefined : await findLabelled(access, instance, vm, label, signal);
  return found === undefined ? undefined : toReference(found, label);
}

/** A snapshot uses room and touches the VM: a VM that is not ours is asked for only when it is about to become so. */
function requireManaged(access: ClusterAccess, vm: VirDomain, live: LiveVirdomain, adopt: boolean): void {
  if (live.mark !== undefined) return requireOurs(access, vm, live.mark);
  const { mark, clone } = readOwnership(vm);
  if (mark !== undefined || clone || vm.sourceVirDomainUUID !== "") return requireOurs(access, vm);
  if (!adopt)
    throw new WatcherError(
      "virdomain-conflict",
      `cluster ${access.cluster}: VM ${vm.name} does not carry our mark and no snapshot of it is taken`,
    );
}

/** Every snapshot of ours of a VM, the newest first. */
export async function listSnapshots(
  access: ClusterAccess,
  instance: string,
  uuid: string,
  signal: AbortSignal,
): Promise<KeptSnapshot[]> {
  const vm = await findVm(access, uuid, signal);
  if (vm === undefined || vm.snapUUIDs.length === 0) return [];
  const all = await access.client.list("VirDomainSnapshot", toSnapshotWire, signal);
  return all
    .filter((snapshot) => snapshot.domainUUID === uuid)
    .flatMap((snapshot) => {
      const label = ownLabel(snapshot, instance);
      const { takenAtMs, expiresAtMs } = snapshot;
      return label === undefined ? [] : [{ ...toReference(snapshot, label), takenAtMs, expiresAtMs }];
    })
    .sort((a, b) => b.takenAtMs - a.takenAtMs);
}

/** Snapshots cannot be asked for by VM: the list is fetched whole, and only when the VM has any. */
async function findLabelled(
  access: ClusterAccess,
  instance: string,
  vm: VirDomain,
  label: string,
  signal: AbortSignal,
  except: ReadonlySet<string> = new Set(),
): Promise<VmSnapshot | undefined> {
  if (vm.snapUUIDs.every((uuid) => except.has(uuid))) return undefined;
  const all = await access.client.list("VirDomainSnapshot", toSnapshotWire, signal);
  return all
    .filter((snapshot) => snapshot.domainUUID === vm.uuid && !except.has(snapshot.uuid))
    .filter((snapshot) => ownLabel(snapshot, instance) === label)
    .sort((a, b) => b.takenAtMs - a.takenAtMs)[0];
}

async function takeSnapshot(
  access: ClusterAccess,
  vm: VirDomain,
  before: ReadonlySet<string>,
  body: object,
  context: ChangeContext,
): Promise<VirDomain> {
  let created = "";
  const step = {
    what: `take a snapshot of ${vm.name}`,
    needsRoom: true,
    send: async (signal: AbortSignal) => {
      const reply = await access.client.change("POST", "VirDomainSnapshot", body, signal);
      created = reply.createdUUID;
      return reply;
    },
    done: (seen: VirDomain | undefined) =>
      seen !== undefined &&
      (created === "" ? seen.snapUUIDs.some((uuid) => !before.has(uuid)) : seen.snapUUIDs.includes(created)),
  };
  return changeVm(access, vm.uuid, step, context);
}

export function isExpired({ expiresAtMs }: VmSnapshot, nowMs: number): boolean {
  return expiresAtMs !== undefined && expiresAtMs <= nowMs;
}

export function toReference(snapshot: VmSnapshot, label: string): SnapshotReference {
  return { id: snapshot.uuid, virdomainId: snapshot.domainUUID, label };
}
