import { judgeSync } from "../../sync/verdict.ts";
import type { ClusterResult, SyncRecord } from "../../sync/sync-record.ts";
import type { AppliedTarget, HistoryEntry } from "../../ports/state-store.ts";
import type { Engine } from "../engine.ts";
import { finalEntries } from "../outbox/messages.ts";

/** Ends a sync once every cluster has a result. Whoever comes first does it; the others change nothing. */
export async function finishSyncIfDone(engine: Engine, record: SyncRecord): Promise<boolean> {
  const results = await engine.store.readClusterResults(record.id);
  if (record.clusters.some((cluster) => !results.has(cluster))) return false;
  const nowMs = engine.clock.now();
  const all = record.clusters.flatMap((cluster) => results.get(cluster) ?? []);
  const verdict = judgeSync(record, all, nowMs);
  const place = { repository: record.repository, prefix: engine.config().statusPrefix, context: "sync" as const };
  const history = toHistory(record, all, verdict, nowMs);
  const finished = await engine.store.finishSync(
    record.id,
    verdict,
    appliedTargets(record, results, nowMs),
    history,
    finalEntries(place, record, awaitedBy(record, verdict), verdict),
  );
  if (!finished) return false;
  engine.log.info(
    {
      repository: record.repository,
      sync: record.id,
      revision: record.revision,
      state: verdict.state,
      result: verdict.description,
    },
    "sync finished",
  );
  await engine.queue.addDelivery({ schemaVersion: 1, repository: record.repository }, `${record.id}-finished`);
  return true;
}

/** A correction of drift is told only when it did not succeed: then the success of the commit no longer holds. */
function awaitedBy({ commits, revision }: SyncRecord, { state }: HistoryEntry["verdict"]): readonly string[] {
  return commits.length === 0 && state !== "success" ? [revision] : commits;
}

/** Targets without any trouble are remembered as applied; the others stay open for the next sync. */
function appliedTargets(
  record: SyncRecord,
  results: ReadonlyMap<string, ClusterResult>,
  atMs: number,
): Map<string, AppliedTarget | undefined> {
  const lossesPending = !record.deletions.allowed && record.deletions.losing.length > 0;
  const applied = new Map<string, AppliedTarget | undefined>();
  for (const [key, hash] of Object.entries(record.targets)) {
    const slash = key.indexOf("/");
    const [cluster, application] = [key.slice(0, slash), key.slice(slash + 1)];
    const result = results.get(cluster);
    const losesHere = lossesPending && record.deletions.losing.some((name) => name.startsWith(`${cluster}/`));
    if (losesHere || (result !== undefined && hasTrouble(result, application))) continue;
    const broken = record.problems.some(
      (problem) =>
        problem.severity === "error" && (problem.application === application || problem.application === undefined),
    );
    if (hash !== "") applied.set(key, { hash, revision: record.revision, atMs });
    else if (!broken) applied.set(key, undefined);
  }
  return applied;
}

function hasTrouble(result: ClusterResult, application: string): boolean {
  return (
    result.notStarted !== undefined ||
    result.refused.length > 0 ||
    [...result.failures, ...result.conflicts, ...result.blocked].some((trouble) => trouble.application === application)
  );
}

function toHistory(
  record: SyncRecord,
  results: readonly ClusterResult[],
  verdict: HistoryEntry["verdict"],
  finishedAtMs: number,
): HistoryEntry {
  const operations = results.flatMap((result) => [
    ...result.completed.map(({ kind, application, virdomain, snapshot }) => ({
      kind,
      cluster: result.cluster,
      application,
      virdomain,
      outcome: "done",
      ...(snapshot === undefined ? {} : { snapshot }),
    })),
    ...result.failures.map(({ kind, application, virdomain, message, snapshot }) => ({
      kind,
      cluster: result.cluster,
      application,
      virdomain,
      outcome: "failed",
      message,
      ...(snapshot === undefined ? {} : { snapshot }),
    })),
    ...result.blocked.map(({ kind, application, virdomain, by }) => ({
      kind,
      cluster: result.cluster,
      application,
      virdomain,
      outcome: "blocked",
      message: `waits for ${by}`,
    })),
  ]);
  const notStarted = results.filter((result) => result.notStarted !== undefined).map(({ cluster }) => cluster);
  return {
    syncId: record.id,
    repository: record.repository,
    revision: record.revision,
    treeId: record.treeId,
    author: record.author,
    subject: record.subject,
    startedAtMs: record.startedAtMs,
    finishedAtMs,
    verdict,
    commits: record.commits,
    returnsTo: record.returnsTo?.revision,
    ...(record.approval === undefined ? {} : { approval: record.approval }),
    applications: [...new Set(Object.keys(record.targets).map((key) => key.slice(key.indexOf("/") + 1)))].sort(),
    operations,
    ...(notStarted.length === 0 ? {} : { notStarted }),
  };
}
