import { isRolloutHold } from "../../sync/rollout.ts";
import type { ClusterPass, ClusterResult, SyncRecord, SyncState } from "../../sync/sync-record.ts";
import type { BranchRecord, HistoryEntry, OperationProgress, RepositoryCondition } from "../../ports/state-store.ts";
import type { WebhookCounts } from "../../ports/webhook-records.ts";
import type { Engine } from "../engine.ts";

/** What a repository is doing, for `status` and the API. */
export interface RepositoryStatus {
  readonly repository: string;
  readonly condition: RepositoryCondition | undefined;
  readonly branch: BranchRecord;
  readonly sync: { readonly record: SyncRecord; readonly state: SyncState } | undefined;
  readonly clusters: readonly ClusterStatus[];
  /** What operations under way are doing at the moment. */
  readonly progress: readonly OperationProgress[];
  readonly waitingMessages: number;
  readonly webhooks: WebhookCounts;
}

export interface ClusterStatus {
  readonly cluster: string;
  readonly state: "waiting" | "syncing" | "held" | "synced" | "failed" | "not-started";
  readonly done: number;
  readonly total: number;
  readonly detail: string;
}

/** How a commit stands: its final verdict, on its way, or never seen. */
export type CommitStanding =
  | { readonly kind: "settled"; readonly entry: HistoryEntry }
  | { readonly kind: "open" }
  | { readonly kind: "unknown" };

export async function lookUpRepository(engine: Pick<Engine, "store">, repository: string): Promise<RepositoryStatus> {
  const { store } = engine;
  const [condition, branch, waiting, webhooks] = await Promise.all([
    store.readCondition(repository),
    store.readBranch(repository),
    store.listOutbox(repository, 1_000),
    store.readWebhooks(repository),
  ]);
  const sync = branch.currentSync === undefined ? undefined : await store.readSync(branch.currentSync);
  const clusters = sync === undefined ? [] : await lookUpClusters(engine, sync.record);
  const progress = sync?.state.kind === "running" ? await store.listProgress(sync.record.id) : [];
  return { repository, condition, branch, sync, clusters, progress, waitingMessages: waiting.length, webhooks };
}

/** What each cluster of a sync is doing, or how it ended there. */
export async function lookUpClusters({ store }: Pick<Engine, "store">, record: SyncRecord): Promise<ClusterStatus[]> {
  const results = await store.readClusterResults(record.id);
  return Promise.all(
    record.clusters.map(async (cluster) => {
      const result = results.get(cluster);
      if (result !== undefined) return fromResult(result);
      const pass = await store.readPass(record.id, cluster);
      return fromPass(cluster, pass, (await store.readOutcomes(record.id, cluster)).size);
    }),
  );
}

function fromResult(result: ClusterResult): ClusterStatus {
  const { cluster, notStarted } = result;
  if (notStarted !== undefined) {
    const detail = `the rollout stopped at ${notStarted.because}`;
    return { cluster, state: "not-started", done: 0, total: 0, detail };
  }
  const trouble = result.failures[0] ?? result.conflicts[0];
  const total = result.completed.length + result.failures.length + result.blocked.length;
  const detail = trouble === undefined ? "" : `${trouble.virdomain}: ${trouble.message}`;
  return {
    cluster,
    state: trouble === undefined ? "synced" : "failed",
    done: result.completed.length,
    total,
    detail,
  };
}

function fromPass(cluster: string, pass: ClusterPass | undefined, outcomes: number): ClusterStatus {
  if (pass === undefined) return { cluster, state: "waiting", done: 0, total: 0, detail: "" };
  const done = pass.completed.length + outcomes;
  const total = pass.completed.length + pass.operations.length;
  if (isRolloutHold(pass.held)) return { cluster, state: "waiting", done, total, detail: pass.held?.reason ?? "" };
  if (pass.held !== undefined) return { cluster, state: "held", done, total, detail: pass.held.reason };
  return { cluster, state: "syncing", done, total, detail: "" };
}

/** Finds a commit by full or abbreviated id among the verdicts, then among those still on their way. */
export async function lookUpCommit(
  { store }: Pick<Engine, "store">,
  repository: string,
  commit: string,
): Promise<CommitStanding> {
  const history = await store.listHistory(repository, 500);
  const entry = history.find((candidate) => candidate.commits.some((other) => other.startsWith(commit)));
  const unsettled = await store.listUnsettledCommits(repository);
  if (unsettled.some((other) => other.startsWith(commit))) return { kind: "open" };
  return entry === undefined ? { kind: "unknown" } : { kind: "settled", entry };
}
