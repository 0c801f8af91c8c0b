import type { DesiredVirdomain } from "../../fleet/desired-state.ts";
import type { LiveVirdomain } from "../../plan/live-state.ts";
import type { Change, Operation } from "../../plan/plan.ts";
import { isOn, snapshotBefore } from "../../plan/snapshot-need.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ChangeContext, Hypervisor, SnapshotReference } from "../../ports/hypervisor.ts";

/** What taking a snapshot before an operation's changes needs. */
export interface SnapshotInput {
  readonly operation: Operation;
  /** Tells this operation from the same one of another round or sync, whose snapshots are older. */
  readonly token: string;
  readonly revision: string;
  readonly hypervisor: Hypervisor;
  readonly clock: Clock;
  /** Which snapshot guards this operation, also when an earlier attempt took it; undefined once it went with its VM. */
  readonly onSnapshot: (snapshot: SnapshotReference | undefined) => void;
}

/**
 * Makes sure of the snapshot that policy asks for before these changes; the caller changes nothing when this throws.
 * `met` is the VM as this attempt found it, before it was switched off.
 */
export async function ensureSnapshotBefore(
  input: SnapshotInput,
  desired: DesiredVirdomain,
  met: LiveVirdomain,
  changes: readonly Change[],
  context: ChangeContext,
): Promise<void> {
  const { hypervisor, operation } = input;
  const wasOn = isOn(met) || wasPlannedOn(operation, desired);
  const needed = snapshotBefore(desired, { changes, live: met, wasOn }, hypervisor.traits);
  if (needed === undefined) return recallSnapshot(input, met, context);
  context.progress("taking a snapshot");
  const request = {
    label: labelOf(input),
    keepUntilMs: input.clock.now() + needed.keepMs,
    // Whoever started it after an earlier attempt has had it write since.
    fresh: isOn(met),
    adopt: operation.adopt,
  };
  input.onSnapshot(await hypervisor.ensureSnapshot(met, request, context));
}

/** What is left to do needs none, but an earlier attempt may have taken one. Only for the record: it may fail. */
async function recallSnapshot(input: SnapshotInput, met: LiveVirdomain, context: ChangeContext): Promise<void> {
  if (input.operation.snapshot === undefined) return;
  const found = await input.hypervisor.findSnapshot(met.id, labelOf(input), context.signal).catch(() => undefined);
  if (found !== undefined) input.onSnapshot(found);
}

/** The same for every attempt: what is left to do may cost less than what was planned. */
function labelOf({ operation, revision, token }: SnapshotInput): string {
  const occasion = operation.kind === "replace" ? "rebuild" : operation.disruption;
  return `${revision.slice(0, 12)} before ${occasion} ${token}`;
}

/** Whether the VM was on when this was planned: an earlier attempt may have switched it off since. */
export function wasPlannedOn(operation: Operation, desired: DesiredVirdomain): boolean {
  // What comes back from quarantine was off for long.
  if (operation.kind === "restore" || operation.successor !== undefined) return false;
  const power = operation.changes.find(({ kind }) => kind === "power");
  return (power?.from ?? desired.state) !== "shutoff";
}
