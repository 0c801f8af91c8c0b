import type { ChangeContext, SnapshotReference } from "../../../ports/hypervisor.ts";
import { checkpoint } from "../../boundaries.ts";
import type { Domain } from "../domain/domain.ts";
import { findDomain, type Host, listDomains } from "../host.ts";
import { discardVolumes, noteOn, unattached } from "../vm/definitions.ts";
import { removeFromBlocks } from "./running-blocks.ts";
import { expiryOf, listSnapshots, ownLabel, type Snapshot, toReference } from "./snapshots.ts";

/** Removes this instance's snapshots whose time is over, and the detached disks that were only held for them. */
export async function removeExpiredSnapshots(
  host: Host,
  nowMs: number,
  context: ChangeContext,
): Promise<SnapshotReference[]> {
  checkpoint(context);
  const ours = (await listDomains(host, context.signal)).filter(
    ({ ownership }) => ownership.mark?.instance === host.options.instance,
  );
  const removed: SnapshotReference[] = [];
  for (const { uuid } of ours) removed.push(...(await removeOf(host, uuid, nowMs, context)));
  return removed;
}

async function removeOf(host: Host, uuid: string, nowMs: number, context: ChangeContext): Promise<SnapshotReference[]> {
  const { instance } = host.options;
  const all = await listSnapshots(host, uuid, context.signal);
  const expired = all.filter(
    (snapshot) =>
      ownLabel(snapshot, instance) !== undefined && (expiryOf(snapshot.name, instance) ?? Infinity) <= nowMs,
  );
  const removed: SnapshotReference[] = [];
  for (const snapshot of expired) {
    checkpoint(context);
    // Read anew each time: it may have been started or stopped since, which decides how a snapshot is removed.
    const domain = await findDomain(host, uuid, context.signal);
    if (domain === undefined) return removed;
    await removeSnapshot(host, domain, snapshot, context);
    removed.push(toReference(uuid, snapshot, ownLabel(snapshot, instance) ?? ""));
  }
  await releaseKept(host, uuid, context);
  return removed;
}

async function removeSnapshot(host: Host, domain: Domain, { name }: Snapshot, context: ChangeContext): Promise<void> {
  const { uuid, live } = domain;
  const what = `remove a snapshot of VM ${domain.name}`;
  if (live !== undefined) await removeFromBlocks(host, domain, name, context);
  context.beforeChange();
  const how = live === undefined ? [] : ["--metadata"];
  await host.virsh.run(["snapshot-delete", uuid, name, ...how], { what, signal: context.signal });
}

/** Disks that were taken off the VM and that no snapshot contains any more. */
async function releaseKept(host: Host, uuid: string, context: ChangeContext): Promise<void> {
  const domain = await findDomain(host, uuid, context.signal);
  if (domain === undefined) return;
  const kept = unattached(domain).filter(({ state }) => state === "kept");
  if (kept.length === 0) return;
  const needed = new Set((await listSnapshots(host, uuid, context.signal)).flatMap(({ sources }) => [...sources]));
  const free = kept.filter(({ source }) => source === undefined || !needed.has(source));
  if (free.length === 0) return;
  const { ownership } = domain;
  const doomed = free.map((note) => ({ ...note, state: "removing" as const }));
  const others = ownership.disks.filter((note) => !free.includes(note));
  const noted = await noteOn(host, domain, { ...ownership, disks: [...others, ...doomed] }, context);
  await discardVolumes(host, uuid, doomed, context);
  await noteOn(host, noted, { ...noted.ownership, disks: others }, context);
}
