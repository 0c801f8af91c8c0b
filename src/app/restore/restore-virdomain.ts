import { WatcherError } from "../../lib/errors.ts";
import type { LiveVirdomain, OwnershipMark } from "../../plan/live-state.ts";
import { isUnfinished } from "../../plan/quarantine.ts";
import { isOn } from "../../plan/snapshot-need.ts";
import type { ChangeContext, RestoredVirdomain, SnapshotReference } from "../../ports/hypervisor.ts";
import { type QuarantineInput, quarantineLeaseMs, withinLease } from "../operation/leave-quarantine.ts";
import {
  quarantineVirdomain,
  type QuarantineTerms,
  type ShutdownPolicy,
  stopUnlessOff,
} from "../operation/remove-virdomain.ts";

export type MarkedVirdomain = LiveVirdomain & { readonly mark: OwnershipMark };

/** The VMs of one identity on one cluster: at most one is in use, the others are in quarantine. */
export interface Family {
  readonly name: string;
  readonly members: readonly MarkedVirdomain[];
}

export interface RestoreOrder {
  readonly family: Family;
  /** The member whose snapshot it is. */
  readonly sourceId: string;
  readonly snapshotId: string;
  readonly terms: QuarantineTerms;
  /** How the VM in use is shut down. */
  readonly shutdown: ShutdownPolicy;
}

/** What became of it, for people. */
export interface RestoreResult {
  readonly live: LiveVirdomain;
  /** What the VM held before is in this snapshot of it, */
  readonly kept: SnapshotReference | undefined;
  /** or in this VM, which is in quarantine from now on. */
  readonly replaced: string | undefined;
}

/**
 * Makes a VM what it was when a snapshot was taken. Everything is kept: the present disks stay in a snapshot or in
 * quarantine, and the VM from the snapshot is whole before anything happens to the present one. Cut off anywhere, at
 * most one VM is in use, and a repeat goes on.
 */
export async function restoreVirdomain(
  input: QuarantineInput,
  order: RestoreOrder,
  context: ChangeContext,
): Promise<RestoreResult> {
  const { hypervisor } = input;
  const { family, snapshotId, terms } = order;
  const source = memberOf(family, order.sourceId);
  const present = presentOf(family);
  if (source.id !== present?.id && isOn(source))
    throw new WatcherError(
      "virdomain-running",
      `cluster ${hypervisor.cluster}: VM ${source.name} is in quarantine and on; switch it off first`,
    );
  if (present !== undefined) await stopUnlessOff(hypervisor, present, order.shutdown, context);
  context.progress("going back to the snapshot");
  const label = `${terms.revision.slice(0, 12)} before restore ${snapshotId.slice(-8)}`;
  const request = { snapshotId, label, keepUntilMs: terms.nowMs + terms.keepMs };
  const restored = await hypervisor.restoreSnapshot(source, request, context);
  const replaced = present === undefined || present.id === restored.live.id ? undefined : present;
  if (replaced !== undefined) await setAside(input, replaced, order, context);
  const live = await takeOver(input, restored, source, family.name, context);
  return { live, kept: restored.kept, replaced: replaced?.id };
}

/** The VM that is in use. One that still has its name is only on its way into quarantine, which has to be completed. */
export function presentOf({ members }: Family): MarkedVirdomain | undefined {
  return members.find(({ mark }) => mark.quarantine === undefined) ?? members.find(isUnfinished);
}

export function memberOf({ name, members }: Family, id: string): MarkedVirdomain {
  const found = members.find((member) => member.id === id);
  if (found === undefined) throw new WatcherError("virdomain-changed", `VM ${name} (${id}) is no longer there`);
  return found;
}

async function setAside(
  { hypervisor }: QuarantineInput,
  { id }: LiveVirdomain,
  { terms, shutdown }: RestoreOrder,
  context: ChangeContext,
): Promise<void> {
  const live = await hypervisor.findVirdomain(id, context.signal);
  if (live?.mark === undefined)
    throw new WatcherError("virdomain-changed", `cluster ${hypervisor.cluster}: VM ${id} lost its mark meanwhile`);
  await quarantineVirdomain(hypervisor, { ...live, mark: live.mark }, terms, shutdown, context);
}

/** A VM that comes out of quarantine this way must not be purged in the same moment. */
async function takeOver(
  { hypervisor, clock, leaseQuarantined }: QuarantineInput,
  restored: RestoredVirdomain,
  source: MarkedVirdomain,
  name: string,
  context: ChangeContext,
): Promise<LiveVirdomain> {
  const { quarantine: _over, ...mark } = source.mark;
  const leaseEndsMs = clock.now() + quarantineLeaseMs;
  const lease = await leaseQuarantined(restored.live.id);
  if (lease === undefined)
    throw new WatcherError(
      "cluster-busy",
      `cluster ${hypervisor.cluster}: another process decides about VM ${name} in quarantine`,
    );
  try {
    return await hypervisor.handOver(restored, { mark, name }, withinLease(context, clock, leaseEndsMs));
  } finally {
    await lease.release().catch(() => undefined);
  }
}
