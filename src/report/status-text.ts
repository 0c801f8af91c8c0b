import type { DeletionVerdict, Plan } from "../plan/plan.ts";
import { clip, formatDuration, joinNames, plural, shortRevision, visible } from "./format.ts";
import { countOperations, describeCounts } from "./summary.ts";

/**
 * Texts of commit statuses: whole sentences; `cutDescription` makes them fit a forge. They say the most important
 * first, because the end is what gets cut.
 */

/** One line of at most `max` code points, cut at a whole character with an ellipsis. */
export function cutDescription(text: string, max = 140): string {
  return clip(visible(text.trim()), max);
}

export interface SyncedText {
  readonly operations: number;
  readonly clusters: number;
  readonly durationMs: number;
  readonly returnsTo?: string | undefined;
  /** VMs that came back with their disks, and VMs that were set aside; part of `operations`. */
  readonly restored?: number;
  readonly quarantined?: number;
}

/** `Synced: 9 operations on 3 clusters in 3m12s`, `No VM changes`. */
export function describeSynced(synced: SyncedText): string {
  const back = synced.returnsTo === undefined ? "" : `, back at ${shortRevision(synced.returnsTo)}`;
  if (synced.operations === 0) return `No VM changes${back}`;
  const extent = `${plural(synced.operations, "operation")} on ${plural(synced.clusters, "cluster")}`;
  const { restored = 0, quarantined = 0 } = synced;
  const returned = restored === 0 ? "" : `, ${plural(restored, "VM")} back from quarantine with data`;
  const aside = quarantined === 0 ? "" : `, ${plural(quarantined, "VM")} in quarantine`;
  return `Synced: ${extent} in ${formatDuration(synced.durationMs)}${returned}${aside}${back}`;
}

export interface FailedText {
  readonly failed: number;
  readonly operations: number;
  readonly first?: { readonly virdomain: string; readonly cluster: string; readonly message: string } | undefined;
  readonly problems?: number | undefined;
  /** The first of the problems, with its place. */
  readonly problem?: string | undefined;
  readonly conflicts?: number | undefined;
}

/** `Failed: 1 of 9 (web-02 on store-7: out of memory)`, `Failed: 1 problem in the manifests (web.yaml:4:9: unknown key "cpus"), 1 VM in conflict`. */
export function describeFailed(failed: FailedText): string {
  const { first } = failed;
  const example =
    first === undefined
      ? ""
      : ` (${first.virdomain} on ${first.cluster}: ${withoutCluster(first.message, first.cluster)})`;
  const problem = failed.problem === undefined ? "" : ` (${failed.problem})`;
  const parts = [
    ...(failed.problems ? [`${plural(failed.problems, "problem")} in the manifests${problem}`] : []),
    ...(failed.conflicts ? [`${plural(failed.conflicts, "VM")} in conflict`] : []),
    ...(failed.failed > 0 ? [`${failed.failed} of ${failed.operations}${example}`] : []),
  ];
  if (parts.length === 0) return `Failed${example}`;
  return `Failed: ${parts.join(", ")}${failed.failed > 0 ? "" : example}`;
}

/**
 * `Failed: store-3 (web-02: out of memory); rollout stopped, 7 of 10 clusters not started`. What happened to the others is
 * at the end and is never cut: the reason gives way.
 */
export function describeStopped(stopped: {
  readonly cluster: string;
  readonly reason: string;
  readonly notStarted: number;
  readonly clusters: number;
}): string {
  const { cluster, notStarted, clusters } = stopped;
  const end = `; rollout stopped, ${notStarted} of ${plural(clusters, "cluster")} not started`;
  const where = `Failed: ${clip(visible(cluster), 40)}`;
  const room = 140 - where.length - end.length - " ()".length;
  const reason = withoutCluster(stopped.reason, cluster).replace(`: cluster ${cluster}: `, ": ");
  return `${where} (${clip(visible(reason), room)})${end}`;
}

/** Room is scarce and the cluster is named already. */
function withoutCluster(message: string, cluster: string): string {
  const prefix = `cluster ${cluster}: `;
  return message.startsWith(prefix) ? message.slice(prefix.length) : message;
}

/** `Held: store-7 is unreachable (connect ECONNREFUSED)`; several reasons are joined by `; `. */
export function describeHeld(reasons: readonly string[]): string {
  return `Held: ${reasons.join("; ") || "waiting"}`;
}

/** `Syncing: 3 of 9 operations`. */
export function describeProgress(done: number, total: number): string {
  return `Syncing: ${done} of ${plural(total, "operation")}`;
}

/** `Superseded by 1a2b3c4`, later `Superseded by 1a2b3c4, synced`. */
export function describeSuperseded(by: string, verdict?: "success" | "failure" | "error"): string {
  const ends = { success: ", synced", failure: ", failed", error: ", failed" } as const;
  return `Superseded by ${shortRevision(by)}${verdict === undefined ? "" : ends[verdict]}`;
}

/** `Waiting for approval: 12 VMs would lose data, budget 3; comment /kraken approve or commit Kraken-Approve: ab12cd34ef56`. */
export function describeApproval(
  deletions: Pick<DeletionVerdict, "losing" | "budget" | "cause" | "approvalId">,
): string {
  const losing = plural(deletions.losing.length, "VM");
  const why = {
    empty: "no VM left in git",
    rewritten: "branch rewritten",
    foreign: "last changed by another repository",
    budget: `budget ${deletions.budget}`,
  };
  return `Waiting for approval: ${losing} would lose data, ${why[deletions.cause ?? "budget"]}; comment /kraken approve or commit Kraken-Approve: ${deletions.approvalId}`;
}

/** A VM that was put right again and again in vain. */
export interface GivenUpText {
  readonly virdomain: string;
  readonly cluster: string;
  readonly paths: readonly string[];
  readonly corrections: number;
}

/** `Drift: web-02 on store-7 changes back again and again (memory); gave up after 5 corrections, 2 VMs in all`. */
export function describeGivenUp({ virdomain, cluster, paths, corrections }: GivenUpText, more = 0): string {
  const what = paths.length === 0 ? "" : ` (${joinNames(paths, 3)})`;
  const others = more === 0 ? "" : `, ${plural(more + 1, "VM")} in all`;
  return `Drift: ${virdomain} on ${cluster} changes back again and again${what}; gave up after ${plural(corrections, "correction")}${others}`;
}

/** Said to a commit that was told of VMs given up, once there are none. */
export const describeDriftOver = "Drift: nothing is given up any more";

/** `Plan: 5 to create, 1 to update (1 reboot), 2 to delete`, `No VM changes`, `Plan failed: 2 problems in manifests/web.yaml`. */
export function describePlan(plan: Plan): string {
  const errors = plan.problems.filter((problem) => problem.severity === "error");
  if (errors.length > 0) {
    const files = [...new Set(errors.map((problem) => problem.position.file))];
    return `Plan failed: ${plural(errors.length, "problem")} in ${joinNames(files, 3)}`;
  }
  if (plan.conflicts.length > 0) {
    const [first] = plan.conflicts;
    const example = first === undefined ? "" : ` (${first.virdomain} on ${first.cluster}: ${first.message})`;
    return `Plan failed: ${plural(plan.conflicts.length, "VM")} in conflict${example}`;
  }
  const counts = describeCounts(countOperations(plan.operations));
  const held = plan.held.length === 0 ? "" : `, ${plural(plan.held.length, "cluster")} held`;
  const approval = plan.deletions.allowed || plan.deletions.losing.length === 0 ? "" : ", deletions need approval";
  return counts === "" ? `No VM changes${held}` : `Plan: ${counts}${held}${approval}`;
}
