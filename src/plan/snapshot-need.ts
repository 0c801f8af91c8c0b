import type { DesiredVirdomain } from "../fleet/desired-state.ts";
import type { SnapshotOccasion } from "../manifest/document.ts";
import type { LiveVirdomain, PlatformTraits } from "./live-state.ts";
import type { Change, Operation, PlannedSnapshot } from "./plan.ts";

/** A VM with what is to happen to it. */
export interface RiskyCase {
  readonly changes: readonly Change[];
  /** Whether the VM was on before the operation touched it: an earlier attempt may have switched it off. */
  readonly wasOn: boolean;
  readonly building: boolean;
}

/**
 * The snapshot that policy asks for before these changes; undefined for none, and on a platform without snapshots.
 * Every cost counts, not only the worst: a disk that is taken from a running VM may shut it down as well.
 */
export function snapshotBefore(
  desired: DesiredVirdomain,
  { changes, wasOn, building }: RiskyCase,
  traits: PlatformTraits,
): PlannedSnapshot | undefined {
  if (!traits.snapshots || building) return undefined;
  const { before, keepMs } = desired.policy.snapshots;
  const costs = costsOf(changes, wasOn, traits);
  return before.some((occasion) => costs.has(occasion)) ? { keepMs } : undefined;
}

function costsOf(changes: readonly Change[], wasOn: boolean, traits: PlatformTraits): ReadonlySet<SnapshotOccasion> {
  const costs = new Set(changes.flatMap(({ disruption }) => (disruption === "live" ? [] : [disruption])));
  const rebuild = costs.has("rebuild");
  if (rebuild) costs.add("data-loss");
  const mayReboot = changes.some(({ kind }) => traits.rebootFor.has(kind) || traits.mayRebootFor.has(kind));
  if (wasOn && (rebuild || mayReboot)) costs.add("reboot");
  return costs;
}

/** The operation, saying whether it begins with a snapshot. */
export function withSnapshot(
  operation: Operation,
  desired: DesiredVirdomain,
  live: LiveVirdomain,
  traits: PlatformTraits,
): Operation {
  const { changes } = operation;
  const snapshot = snapshotBefore(
    desired,
    { changes, wasOn: isOn(live), building: live.mark?.building === true },
    traits,
  );
  return snapshot === undefined ? operation : { ...operation, snapshot };
}

export function isOn({ power }: Pick<LiveVirdomain, "power">): boolean {
  return power !== "shutoff" && power !== "crashed";
}
