import { WatcherError } from "../../../lib/errors.ts";
import type { ChangeContext, SnapshotReference } from "../../../ports/hypervisor.ts";
import { type ClusterAccess, findVm } from "../access.ts";
import { checkpoint } from "../../boundaries.ts";
import { poll } from "../../pause.ts";
import { ownLabel, toSnapshotWire, type VmSnapshot } from "./snapshot-wire.ts";
import { isExpired, toReference } from "./snapshots.ts";
import { isActive } from "../rest/task-tag.ts";

/**
 * Removes this instance's snapshots whose time is over, one after another. Others' snapshots, and ours that have no
 * expiry or one to come, are never touched.
 */
export async function removeExpiredSnapshots(
  access: ClusterAccess,
  instance: string,
  nowMs: number,
  context: ChangeContext,
): Promise<SnapshotReference[]> {
  checkpoint(context);
  const all = await access.client.list("VirDomainSnapshot", toSnapshotWire, context.signal);
  const removed: SnapshotReference[] = [];
  for (const snapshot of all) {
    const label = ownLabel(snapshot, instance);
    if (label === undefined || !isExpired(snapshot, nowMs)) continue;
    checkpoint(context);
    if (await removeSnapshot(access, instance, snapshot, nowMs, context)) removed.push(toReference(snapshot, label));
  }
  return removed;
}

/** True when it is gone through this call. Whatever came in between is left for another time: there is no hurry. */
async function removeSnapshot(
  access: ClusterAccess,
  instance: string,
  { uuid, domainUUID }: VmSnapshot,
  nowMs: number,
  context: ChangeContext,
): Promise<boolean> {
  const vm = await findVm(access, domainUUID, context.signal);
  if (isActive(vm?.latestTask)) return false;
  // The list may be old by now, after many removals: what is deleted is judged by what it is at this moment.
  const seen = await readSnapshot(access, uuid, context.signal);
  if (seen === undefined || ownLabel(seen, instance) === undefined || !isExpired(seen, nowMs)) return false;
  const accepted = await sendRemoval(access, uuid, context);
  const gone = await poll(accepted ? access.timeouts.verifyMs : 0, context.signal, async () =>
    (await readSnapshot(access, uuid, context.signal)) === undefined ? true : undefined,
  );
  return gone === true;
}

export async function readSnapshot(
  access: ClusterAccess,
  uuid: string,
  signal: AbortSignal,
): Promise<VmSnapshot | undefined> {
  const found = await access.client.list(`VirDomainSnapshot/${encodeURIComponent(uuid)}`, toSnapshotWire, signal);
  return found.find((snapshot) => snapshot.uuid === uuid);
}

/** False when the cluster refused, failed, or may not have heard; looking tells what became of it. */
async function sendRemoval(access: ClusterAccess, uuid: string, context: ChangeContext): Promise<boolean> {
  context.beforeChange();
  try {
    const path = `VirDomainSnapshot/${encodeURIComponent(uuid)}`;
    const reply = await access.client.change("DELETE", path, undefined, context.signal);
    return (await access.tasks.wait(reply.taskTag, context.signal)).kind === "complete";
  } catch (error) {
    if (error instanceof WatcherError && (error.code === "cluster-busy" || error.code === "cluster-outcome-unknown"))
      return false;
    throw error;
  }
}
