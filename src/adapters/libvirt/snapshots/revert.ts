import { WatcherError } from "../../../lib/errors.ts";
import type { LiveVirdomain } from "../../../plan/live-state.ts";
import type { ChangeContext, RestoredVirdomain, RestoreRequest } from "../../../ports/hypervisor.ts";
import { checkpoint } from "../../boundaries.ts";
import { disksOf, idOfSource } from "../domain/devices.ts";
import { type Domain, isOff } from "../domain/domain.ts";
import { writeOwnership } from "../domain/edit.ts";
import { type DiskNote, type Ownership, readOwnership } from "../domain/ownership.ts";
import { ensureChild, find, parseXml, setText, toXml, type XmlElement } from "../domain/xml.ts";
import { getDomain, type Host, withFile } from "../host.ts";
import { requireOurs } from "../vm/require-ours.ts";
import { ensureSnapshot, listSnapshots, ownLabel, toReference } from "./snapshots.ts";

/**
 * Takes a VM back to a snapshot in place. What it holds now goes into a snapshot of its own first. Reverting also brings
 * back the definition of that time, so what the VM is called and what is noted on it by now are written into the
 * snapshot before: whatever the moment at which this is cut off, the VM carries its mark and no disk is forgotten.
 */
export async function revertTo(
  host: Host,
  source: LiveVirdomain,
  { snapshotId, label, keepUntilMs }: RestoreRequest,
  context: ChangeContext,
): Promise<Pick<RestoredVirdomain, "kept"> & { readonly domain: Domain }> {
  checkpoint(context);
  const domain = await getDomain(host, source.id, context.signal);
  requireOurs(host, domain, ...(source.mark === undefined ? [] : [source.mark]));
  if (!isOff(domain))
    throw new WatcherError(
      "virdomain-running",
      `cluster ${host.cluster}: VM ${domain.name} is not off and is therefore not taken back to a snapshot`,
    );
  const name = await requireOwn(host, domain, snapshotId, context.signal);
  // Always another one: since an earlier attempt somebody may have used the VM.
  const kept = await ensureSnapshot(host, source, { label, keepUntilMs, fresh: true, adopt: false }, context);
  await bringUpToDate(host, domain, name, context);
  context.beforeChange();
  const what = `take VM ${domain.name} back to a snapshot`;
  await host.virsh.run(["snapshot-revert", domain.uuid, name], { what, signal: context.signal });
  return { domain: await getDomain(host, domain.uuid, context.signal), kept };
}

async function requireOwn(host: Host, { uuid, name }: Domain, id: string, signal: AbortSignal): Promise<string> {
  const found = (await listSnapshots(host, uuid, signal)).find(
    (snapshot) => toReference(uuid, snapshot, "").id === id && ownLabel(snapshot, host.options.instance) !== undefined,
  );
  if (found !== undefined) return found.name;
  throw new WatcherError(
    "virdomain-changed",
    `cluster ${host.cluster}: VM ${name} has no snapshot ${id} of ours any more`,
  );
}

async function bringUpToDate(host: Host, domain: Domain, name: string, context: ChangeContext): Promise<void> {
  const call = { what: `read a snapshot of VM ${domain.name}`, signal: context.signal };
  const element = parseXml(await host.virsh.run(["snapshot-dumpxml", domain.uuid, name, "--security-info"], call));
  const then = find(element, "domain");
  if (then === undefined)
    throw new WatcherError(
      "task-failed",
      `cluster ${host.cluster}: the snapshot ${name} of VM ${domain.name} says nothing of the VM it was taken of`,
    );
  setText(ensureChild(then, "name", ["uuid"]), domain.name);
  writeOwnership(then, mergeMemory(domain.ownership, then));
  await withFile(host, toXml(element), async (path) => {
    context.beforeChange();
    const what = `note in a snapshot what VM ${domain.name} is called`;
    await host.virsh.run(["snapshot-create", domain.uuid, path, "--redefine"], { what, signal: context.signal });
  });
}

/**
 * What is to be noted on the VM once it is as it was: whose it is as of now, the devices as of then. Disks that came
 * after are in no device then; they are kept for as long as a snapshot holds them.
 */
export function mergeMemory(now: Ownership, then: XmlElement): Ownership {
  const before = readOwnership(then);
  const attached = new Set(disksOf(then).flatMap(({ source }) => (source === undefined ? [] : [idOfSource(source)])));
  const isAttached = ({ source }: DiskNote): boolean => source !== undefined && attached.has(source);
  const own = before.mark === undefined ? now : before;
  const disks = own.disks
    .filter((note) => note.role === "drive" || isAttached(note))
    .map((note) => ({ ...note, state: undefined }));
  const rest = new Map(
    [...own.disks, ...now.disks]
      .filter((note) => note.role !== "drive" && note.source !== undefined && !isAttached(note))
      .map((note) => [note.source, { ...note, state: note.state ?? ("kept" as const) }]),
  );
  return { ...own, mark: now.mark, clone: false, disks: [...disks, ...rest.values()] };
}
