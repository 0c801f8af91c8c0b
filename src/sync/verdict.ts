import { formatProblem } from "../manifest/problem.ts";
import type { ClusterResult, SyncRecord, SyncVerdict } from "./sync-record.ts";
import {
  cutDescription,
  describeApproval,
  describeFailed,
  describeStopped,
  describeSynced,
} from "../report/status-text.ts";

/**
 * The one verdict of a sync from its clusters' results. `failure` when the change is bad or a person must act,
 * `error` when everything that went wrong is ours or a cluster's, `success` only when live equals desired everywhere.
 */
export function judgeSync(record: SyncRecord, results: readonly ClusterResult[], nowMs: number): SyncVerdict {
  const completed = results.reduce((sum, result) => sum + result.completed.length, 0);
  const failures = results.flatMap((result) =>
    result.failures.map((failure) => ({ ...failure, cluster: result.cluster })),
  );
  const conflicts = results.flatMap((result) => result.conflicts);
  const blocked = results.reduce((sum, result) => sum + result.blocked.length, 0);
  const refused = results.flatMap((result) => result.refused.map((virdomain) => `${result.cluster}/${virdomain}`));
  const clusters = results.filter((result) => result.completed.length > 0).length;
  const problems = record.problems.filter((problem) => problem.severity === "error");
  const notStarted = results.filter((result) => result.notStarted !== undefined).length;
  const counts = {
    operations: completed,
    failed: failures.length,
    clusters,
    ...(notStarted === 0 ? {} : { notStarted }),
  };
  const operations = completed + failures.length + blocked;
  if (failures.length + conflicts.length + problems.length + blocked + notStarted > 0) {
    const ours = problems.length + conflicts.length === 0 && failures.every((failure) => failure.fault === "platform");
    const first = failures[0] ?? conflicts[0];
    const [problem] = problems;
    if (notStarted > 0) {
      const description = describeStopped({ ...stoppedBy(results), notStarted, clusters: results.length });
      return { ...counts, state: ours && failures.length > 0 ? "error" : "failure", description };
    }
    const description = describeFailed({
      failed: failures.length,
      operations,
      first,
      problems: problems.length,
      problem: problem === undefined ? undefined : formatProblem(problem),
      conflicts: conflicts.length,
    });
    return { ...counts, state: ours ? "error" : "failure", description };
  }
  if (!record.deletions.allowed && record.deletions.losing.length > 0)
    return { ...counts, state: "failure", description: describeApproval(record.deletions) };
  if (refused.length > 0) {
    const description = `Not done: ${refused.join(", ")} would lose data and ${refused.length === 1 ? "was" : "were"} not in the plan; sync again to plan anew`;
    return { ...counts, state: "failure", description: cutDescription(description, 1_000) };
  }
  const returnsTo = record.returnsTo?.revision;
  const countOf = (kind: "restore" | "quarantine"): number =>
    results.flatMap((result) => result.completed).filter((operation) => operation.kind === kind).length;
  return {
    ...counts,
    state: "success",
    description: describeSynced({
      operations: completed,
      clusters,
      durationMs: nowMs - record.startedAtMs,
      returnsTo,
      restored: countOf("restore"),
      quarantined: countOf("quarantine"),
    }),
  };
}

/** The failure that stopped a rollout: the first one of the cluster that the others did not begin for. */
function stoppedBy(results: readonly ClusterResult[]): { readonly cluster: string; readonly reason: string } {
  const cluster = results.flatMap((result) => result.notStarted?.because ?? [])[0] ?? "";
  const result = results.find((candidate) => candidate.cluster === cluster);
  const trouble = result?.failures[0] ?? result?.conflicts[0];
  if (trouble !== undefined) return { cluster, reason: `${trouble.virdomain}: ${trouble.message}` };
  const [refused] = result?.refused ?? [];
  return { cluster, reason: refused === undefined ? "failed" : `${refused} would lose data` };
}
