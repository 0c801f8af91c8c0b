import type { Change, Notice, Operation, Plan } from "../plan/plan.ts";
import { plural } from "./format.ts";
import { groupBy } from "./group.ts";

/** What a plan does, in numbers. */
export interface OperationCounts {
  readonly create: number;
  readonly update: number;
  readonly replace: number;
  readonly delete: number;
  readonly start: number;
  readonly stop: number;
  readonly quarantine: number;
  readonly restore: number;
  /** Updates that interrupt the guest; part of `update`. */
  readonly reboots: number;
}

export function countOperations(operations: readonly Operation[]): OperationCounts {
  const of = (kind: Operation["kind"]): number => operations.filter((operation) => operation.kind === kind).length;
  return {
    create: of("create"),
    update: of("update"),
    replace: of("replace"),
    delete: of("delete"),
    start: of("start"),
    stop: of("stop"),
    quarantine: of("quarantine"),
    restore: of("restore"),
    reboots: operations.filter(reboots).length,
  };
}

/** Whether an operation shuts a VM down and starts it again, keeping it. */
export function reboots(operation: Operation): boolean {
  return operation.kind === "update" && operation.changes.some((change) => change.disruption === "reboot");
}

/** `5 to create, 1 to update (1 reboot), 2 to delete`; with `always`, the four classic kinds are named even when zero. */
export function describeCounts(counts: OperationCounts, always = false): string {
  const reboot = counts.reboots === 0 ? "" : ` (${plural(counts.reboots, "reboot")})`;
  const parts = [
    { count: counts.create, text: "to create", classic: true },
    { count: counts.update, text: `to update${reboot}`, classic: true },
    { count: counts.replace, text: "to replace", classic: true },
    { count: counts.delete, text: "to delete", classic: true },
    { count: counts.quarantine, text: "to quarantine", classic: false },
    { count: counts.restore, text: "to bring back", classic: false },
    { count: counts.start, text: "to start", classic: false },
    { count: counts.stop, text: "to stop", classic: false },
  ];
  return parts
    .filter((part) => part.count > 0 || (always && part.classic))
    .map((part) => `${part.count} ${part.text}`)
    .join(", ");
}

/** A notice with the VM it is about. */
export interface PlacedNotice extends Notice {
  readonly cluster: string;
  readonly application: string;
  readonly virdomain: string;
  /** VMs of the same target beside this one that it is about. */
  readonly others: number;
}

/** The VMs a notice is about: one by its name, more of them by the first and their number. */
export function noticeSubject({ virdomain, others }: PlacedNotice, show: (name: string) => string): string {
  return others === 0 ? show(virdomain) : `${show(virdomain)} and ${plural(others, "more VM", "more VMs")}`;
}

/** Every notice of a plan once, whether it hangs on an operation or on an unchanged VM. */
export function listNotices(plan: Plan): readonly PlacedNotice[] {
  const notices = [
    ...plan.targets.flatMap((target) =>
      target.notices.map((notice) => ({
        ...notice,
        cluster: target.cluster,
        application: target.application,
        others: 0,
      })),
    ),
    ...plan.operations.flatMap(({ cluster, application, virdomain, notices: own }) =>
      own.map((notice) => ({ ...notice, cluster, application, virdomain, others: 0 })),
    ),
  ];
  const seen = new Map(
    notices.map((notice) => [
      [notice.cluster, notice.application, notice.virdomain, notice.code, notice.path].join("\n"),
      notice,
    ]),
  );
  return gatherScaledDown([...seen.values()]);
}

/** A laboratory cuts most of its VMs: that is said once for each target, which is all a reviewer wants to know. */
function gatherScaledDown(notices: readonly PlacedNotice[]): readonly PlacedNotice[] {
  const scaled = notices.filter(({ code }) => code === "scaled-down");
  const targets = groupBy(scaled, ({ cluster, application }) => `${cluster}/${application}`);
  const gathered = [...targets.values()].flatMap(([first, ...others]) => {
    if (first === undefined || others.length === 0) return first ?? [];
    const message = "the cluster's limits give them less than their manifests ask for (laboratory)";
    return { ...first, message, others: others.length };
  });
  return [...notices.filter(({ code }) => code !== "scaled-down"), ...gathered];
}

/** The part of a plan that a revision brings, and the part that was different before. */
export function changesOf(operation: Operation, origin: Change["origin"]): readonly Change[] {
  return operation.changes.filter((change) => change.origin === origin);
}

/** An operation that only takes back what drifted. */
export function isOnlyDrift(operation: Operation): boolean {
  return operation.changes.length > 0 && operation.changes.every((change) => change.origin === "drift");
}

/** What a plan would do to VMs; problems, conflicts and held clusters come on top. */
export function hasErrors(plan: Plan): boolean {
  return plan.problems.some((problem) => problem.severity === "error");
}
