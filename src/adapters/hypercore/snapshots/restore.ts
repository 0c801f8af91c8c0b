import { WatcherError } from "../../../lib/errors.ts";
import type { LiveVirdomain } from "../../../plan/live-state.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { type ClusterAccess, awaitTurn, findVm, getIdleVm, listVms, taskFailed, vanished } from "../access.ts";
import { checkpoint } from "../../boundaries.ts";
import { restoringTag } from "../marks/marks.ts";
import { splitTags } from "../marks/ownership-tags.ts";
import { pause, poll } from "../../pause.ts";
import type { ChangeReply, VirDomain } from "../rest/wire.ts";
import { patchVm } from "../vm/converge.ts";
import { requireOurs } from "../vm/delete.ts";
import { busOf, isOff } from "../vm/to-virdomain.ts";
import { readSnapshot } from "./expired-snapshots.ts";
import { ownLabel, type VmSnapshot } from "./snapshot-wire.ts";

/** How often a clone whose answer was lost is looked for before that counts as the end. */
const looksAfterLoss = 2;

/** What a restore works on, read right before. */
export interface Restoring {
  readonly access: ClusterAccess;
  readonly instance: string;
  readonly source: VirDomain;
  readonly snapshot: VmSnapshot;
  readonly context: ChangeContext;
}

/**
 * Reads a VM of ours and its snapshot. HyperCore has no way back in place, so the VM itself only has to be at rest: it
 * is copied, never changed.
 */
export async function findRestoring(
  access: ClusterAccess,
  instance: string,
  live: LiveVirdomain,
  snapshotId: string,
  context: ChangeContext,
): Promise<Restoring> {
  const source = (await awaitTurn(access, live.id, context)) ?? vanished(access, live.id);
  requireOurs(access, source, ...(live.mark === undefined ? [] : [live.mark]));
  const snapshot = await readSnapshot(access, snapshotId, context.signal);
  if (snapshot?.domainUUID !== source.uuid || ownLabel(snapshot, instance) === undefined)
    throw new WatcherError(
      "virdomain-changed",
      `cluster ${access.cluster}: VM ${source.name} has no snapshot ${snapshotId} of ours any more`,
    );
  return { access, instance, source, snapshot, context };
}

/** The copy of a VM as a snapshot kept it, off and nobody's; the one an earlier attempt made, where there is one. */
export async function copyFromSnapshot(run: Restoring): Promise<VirDomain> {
  checkpoint(run.context);
  const copy = (await findCopy(run)) ?? (await makeCopy(run));
  if (!isOff(copy))
    throw new WatcherError(
      "virdomain-conflict",
      `cluster ${run.access.cluster}: VM ${copy.name} (${copy.uuid}) was made from this snapshot by an earlier attempt and is on, so it may have changed; delete it, or take the tag ${restoringTag(run.snapshot.uuid)} off it`,
    );
  requireWhole(run, copy);
  return copy;
}

async function findCopy({ access, snapshot, context }: Restoring): Promise<VirDomain | undefined> {
  const tag = restoringTag(snapshot.uuid);
  const found = (await listVms(access, context.signal)).filter(({ tags }) => splitTags(tags).includes(tag));
  if (found.length < 2) return found[0] && getIdleVm(access, found[0].uuid, context.signal);
  throw new WatcherError(
    "virdomain-conflict",
    `cluster ${access.cluster}: several VMs carry the tag ${tag} (${found.map(({ uuid }) => uuid).join(", ")}); delete the ones that are not meant`,
  );
}

/**
 * The clone is born with one tag in place of its source's. Two requests would make two, so one whose answer was lost is
 * looked for; when it does not show, the next attempt will look again.
 */
async function makeCopy(run: Restoring): Promise<VirDomain> {
  const { access, source, snapshot, context } = run;
  const name = `${source.name}.restored-${snapshot.uuid.slice(0, 8)}`;
  const tags = restoringTag(snapshot.uuid);
  const body = { snapUUID: snapshot.uuid, template: { name, tags } };
  const sent = await send(run, body);
  const copy = "uuid" in sent ? sent : await awaitCopy(run, sent);
  // A template that was not heeded leaves the source's marks on the copy, which make it a clone and still nobody's.
  return patchVm({ access, context }, copy, { name, tags });
}

async function send(run: Restoring, body: object): Promise<ChangeReply | VirDomain> {
  const { access, source, context } = run;
  const end = Date.now() + access.timeouts.busyMs;
  for (;;) {
    checkpoint(context);
    context.beforeChange();
    try {
      return await access.client.change("POST", `VirDomain/${source.uuid}/clone`, body, context.signal);
    } catch (error) {
      const code = error instanceof WatcherError ? error.code : undefined;
      if (code !== "cluster-outcome-unknown" && code !== "cluster-busy") throw error;
      const found = await lookAgain(run, code === "cluster-busy" ? 1 : looksAfterLoss);
      if (found !== undefined) return found;
      if (code === "cluster-outcome-unknown" || Date.now() >= end) throw error;
    }
  }
}

async function lookAgain(run: Restoring, times: number): Promise<VirDomain | undefined> {
  for (let look = 0; look < times; look++) {
    await pause(run.access.timeouts.settleMs, run.context.signal);
    const found = await findCopy(run);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function awaitCopy(run: Restoring, reply: ChangeReply): Promise<VirDomain> {
  const { access, context, source } = run;
  const outcome = await access.tasks.wait(reply.taskTag, context.signal, (percent) =>
    context.progress(`copying ${source.name} from its snapshot: ${percent}%`),
  );
  const copy = await poll(outcome.kind === "complete" ? access.timeouts.verifyMs : 0, context.signal, async () =>
    reply.createdUUID === "" ? findCopy(run) : findVm(access, reply.createdUUID, context.signal),
  );
  if (copy !== undefined && outcome.kind === "complete") return getIdleVm(access, copy.uuid, context.signal);
  const what = `copy VM ${source.name} from its snapshot`;
  const message = outcome.kind === "complete" ? "the cluster reported success, but shows no copy" : outcome.message;
  throw await taskFailed(access, { what, needsRoom: true }, message, context.signal);
}

/** Nothing is set aside for a copy that lacks a disk. */
function requireWhole({ access, source, snapshot }: Restoring, copy: VirDomain): void {
  const missing = (snapshot.domain ?? source).blockDevs.filter(
    (device) => isDisk(device.type) && !copy.blockDevs.some((other) => sameSlot(device, other)),
  );
  if (missing.length === 0) return;
  const slots = missing.map(({ type, slot }) => `${type} ${slot}`).join(", ");
  throw new WatcherError(
    "task-failed",
    `cluster ${access.cluster}: the copy ${copy.name} of VM ${source.name} lacks disks that its snapshot has (${slots}); nothing else was changed, delete the copy and try again`,
  );
}

function isDisk(wireType: string): boolean {
  return busOf(wireType) !== undefined && wireType !== "IDE_CDROM" && wireType !== "IDE_FLOPPY";
}

/** A clone has new uuids and the same places. */
export function sameSlot(
  a: { readonly type: string; readonly slot: number },
  b: { readonly type: string; readonly slot: number },
): boolean {
  return a.type === b.type && a.slot === b.slot;
}
