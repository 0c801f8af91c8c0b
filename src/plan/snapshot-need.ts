import type { DesiredVirdomain } from "../fleet/desired-state.ts";
import type { SnapshotOccasion } from "../manifest/document.ts";
import type { LiveVirdomain, PlatformTraits } from "./live-state.ts";
import { mayNeedOff, needsOff } from "./needs-off.ts";
import type { Change, Operation, PlannedSnapshot } from "./plan.ts";

/** A VM with what is to happen to it. */
export interface RiskyCase {
  readonly changes: readonly Change[];
  readonly live: LiveVirdomain;
  /** Whether the VM was on before the operation touched it: an earlier attempt may have switched it off. */
  readonly wasOn: boolean;
}

/**
 * The snapshot that policy asks for before these changes; undefined for none, and on a platform without snapshots.
 * Every cost counts, not only the worst: a disk that is taken from a running VM may shut it down as well.
 */
export function snapshotBefore(
  desired: DesiredVirdomain,
  risky: RiskyCase,
  traits: PlatformTraits,
): PlannedSnapshot | undefined {
  if (!traits.snapshots || risky.live.mark?.building === true) return undefined;
  const { before, keepMs } = desired.policy.snapshots;
  const costs = costsOf(desired, risky, traits);
  return before.some((occasion) => costs.has(occasion)) ? { keepMs } : undefined;
}

function costsOf(
  desired: DesiredVirdomain,
  { changes, live, wasOn }: RiskyCase,
  traits: PlatformTraits,
): ReadonlySet<SnapshotOccasion> {
  const costs = new Set(changes.flatMap(({ disruption }) => (disruption === "live" ? [] : [disruption])));
  const rebuild = costs.has("rebuild");
  if (rebuild) costs.add("data-loss");
  const mayReboot = changes.some(({ kind }) => needsOff(kind, { live, desired }, traits) || mayNeedOff(kind, traits));
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
  const snapshot = snapshotBefore(desired, { changes, live, wasOn: isOn(live) }, traits);
  return snapshot === undefined ? operation : { ...operation, snapshot };
}

export function isOn({ power }: Pick<LiveVirdomain, "power">): boolean {
  return power !== "shutoff" && power !== "crashed";
}
