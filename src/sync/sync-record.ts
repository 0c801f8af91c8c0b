import type { Conflict, Operation } from "../plan/plan.ts";
import type { Problem } from "../manifest/problem.ts";

/** Bringing the clusters to one revision of the tracked branch. Plain data without secrets, kept in the state store. */
export interface SyncRecord {
  readonly schemaVersion: 1;
  readonly id: string;
  readonly repository: string;
  readonly branch: string;
  readonly revision: string;
  /** Tree of the manifests folder: equal trees hold equal manifests, which is how a rollback is recognised. */
  readonly treeId: string | undefined;
  /** The revision synced last before this one. */
  readonly baseRevision: string | undefined;
  readonly planId: string;
  /** Every commit this sync gives a final status to: its own revision first, then those it superseded. */
  readonly commits: readonly string[];
  readonly author: string;
  readonly subject: string;
  readonly startedAtMs: number;
  /** An earlier synced commit with the very same manifests. */
  readonly returnsTo: { readonly revision: string; readonly syncedAtMs: number } | undefined;
  /** Broken files and applications of this revision: they make the verdict a failure, the rest is still synced. */
  readonly problems: readonly Problem[];
  readonly conflicts: readonly Conflict[];
  /** Clusters with something to do, in the order they were planned. */
  readonly clusters: readonly string[];
  /** Targets this sync is answerable for: target key -> hash of the desired state, "" for a removed target. */
  readonly targets: Readonly<Record<string, string>>;
  /** The deletion rules' decision for the whole sync. */
  readonly deletions: {
    readonly allowed: boolean;
    readonly reason: string | undefined;
    readonly approvalId: string;
    readonly budget: number;
    readonly losing: readonly string[];
  };
}

/** Lives beside the record because it changes: set once from `running`, by whoever comes first. */
export type SyncState =
  | { readonly kind: "running" }
  | { readonly kind: "superseded"; readonly by: string; readonly atMs: number }
  | { readonly kind: "finished"; readonly atMs: number; readonly verdict: SyncVerdict };

/** How a sync ended, for statuses and history. */
export interface SyncVerdict {
  /** `failure`: the change is bad or a person must act; `error`: we or a cluster are at fault. */
  readonly state: "success" | "failure" | "error";
  /** Full sentence, before it is cut for a forge. */
  readonly description: string;
  readonly operations: number;
  readonly failed: number;
  readonly clusters: number;
}

/** What one cluster of a sync is doing: a round of operations, or held. Rounds repeat until live equals desired. */
export interface ClusterPass {
  readonly cluster: string;
  /** From 1. */
  readonly round: number;
  readonly operations: readonly Operation[];
  /** Set while the cluster cannot be worked on; it is planned anew when it comes back. */
  readonly held:
    | { readonly code: string; readonly reason: string; readonly sinceMs: number; readonly attempts: number }
    | undefined;
}

/** What became of an operation. Written once; absent means not finished. */
export type OperationOutcome =
  | { readonly kind: "done"; readonly atMs: number; readonly durationMs: number; readonly changed: boolean }
  | {
      readonly kind: "failed";
      readonly atMs: number;
      readonly code: string;
      readonly message: string;
      readonly fault: "change" | "platform";
    }
  /** Live state moved since planning: the next round plans anew. */
  | { readonly kind: "stale"; readonly atMs: number; readonly message: string }
  | { readonly kind: "blocked"; readonly atMs: number; readonly by: string };

/** How a cluster's part of a sync ended. */
export interface ClusterResult {
  readonly cluster: string;
  readonly operations: number;
  readonly failures: readonly {
    readonly virdomain: string;
    readonly code: string;
    readonly message: string;
    readonly fault: "change" | "platform";
  }[];
  readonly blocked: number;
  readonly atMs: number;
}
