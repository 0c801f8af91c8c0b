import type { Plan } from "../plan/plan.ts";
import { formatPeriod, plural } from "./format.ts";
import { groupBy } from "./group.ts";

/**
 * The snapshots a plan takes, in one sentence for each time they are kept. Those of VMs to rebuild have their own: they
 * go with the old VM, and nobody may take them for a way back.
 */
export function describeSnapshots(plan: Plan): readonly string[] {
  const taken = plan.operations.flatMap(({ kind, snapshot, successor }) =>
    snapshot === undefined ? [] : [{ rebuilt: kind === "replace" && successor === undefined, keepMs: snapshot.keepMs }],
  );
  const kept = groupBy(
    taken.filter(({ rebuilt }) => !rebuilt),
    ({ keepMs }) => String(keepMs),
  );
  const rebuilt = taken.filter((snapshot) => snapshot.rebuilt).length;
  return [
    ...[...kept.values()].map(
      (group) =>
        `${plural(group.length, "VM")}: a snapshot is taken before, kept ${formatPeriod(group[0]?.keepMs ?? 0)}.`,
    ),
    ...(rebuilt === 0
      ? []
      : [`${plural(rebuilt, "VM")} to rebuild: a snapshot is taken before, which goes with the old VM.`]),
  ];
}
