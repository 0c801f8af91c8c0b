import type { GivenApproval } from "../plan/given-approval.ts";
import type { Conflict, DeletionVerdict, Loss, Operation } from "../plan/plan.ts";
import type { Problem } from "../manifest/problem.ts";
import type { RolloutPlan } from "../plan/stage-rollouts.ts";

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
  /**
   * Every commit this sync gives a final status to: its own revision first, then those it superseded. Empty for a sync
   * that somebody asked for and that found nothing to do after the commit had its success.
   */
  readonly commits: readonly string[];
  readonly author: string;
  readonly subject: string;
  readonly startedAtMs: number;
  /** An earlier synced commit with the very same manifests. */
  readonly returnsTo: { readonly revision: string; readonly syncedAtMs: number } | undefined;
  /** Broken files and applications of this revision: they make the verdict a failure, the rest is still synced. */
  readonly problems: readonly Problem[];
  /** Clusters with something to do, held or in conflict. */
  readonly clusters: readonly string[];
  /** Targets this sync is answerable for: target key -> hash of the desired state, "" for a removed target. */
  readonly targets: Readonly<Record<string, string>>;
  /** Those of them that an earlier sync left half done (or nobody knows about): every difference is ours to put right. */
  readonly enforced: readonly string[];
  /** Superseded syncs whose last operations may still be under way: a cluster is planned once they have ended there. */
  readonly predecessors: readonly string[];
  /** The deletion rules' decision for the whole sync. */
  readonly deletions: {
    readonly allowed: boolean;
    readonly reason: string | undefined;
    readonly cause: DeletionVerdict["cause"];
    readonly approvalId: string;
    readonly budget: number;
    readonly losing: readonly string[];
    readonly losses: readonly Loss[];
  };
  /** In which order clusters begin where deployments say so. Left out: all at once. Clusters in none of them wait for nobody. */
  readonly rollouts?: readonly SyncRollout[];
  /** Who approved these losses; undefined where nobody had to, or nobody did. */
  readonly approval?: GivenApproval;
}

/** A rollout of a sync. */
export interface SyncRollout extends RolloutPlan {
  /** The pause that a superseded sync had begun goes on until then: a newer commit does not cut it short. */
  readonly notBeforeMs?: number;
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
  /** Clusters that a failure in their rollout kept from beginning. Left out: none. */
  readonly notStarted?: number;
}

/**
 * What one cluster of a sync is doing. A pass goes in rounds: plan from live state, carry out, plan again, until nothing
 * is left to do; so whatever was lost, repeated or changed by others in the meantime is seen and put right.
 */
export interface ClusterPass {
  readonly cluster: string;
  /** From 1; 0 while nothing has been planned yet. */
  readonly round: number;
  readonly operations: readonly Operation[];
  readonly conflicts: readonly Conflict[];
  /** Set while the cluster cannot be worked on; it is planned anew when it comes back. */
  readonly held:
    | { readonly code: string; readonly reason: string; readonly sinceMs: number; readonly attempts: number }
    | undefined;
  /** What failed in earlier rounds and is not tried again by this sync. */
  readonly failures: readonly OperationFailure[];
  /** Operations done in earlier rounds, for the verdict and the history. */
  readonly completed: readonly CompletedOperation[];
}

export interface CompletedOperation {
  readonly kind: Operation["kind"];
  readonly application: string;
  readonly virdomain: string;
  readonly durationMs: number;
  /** Id of the snapshot it began with, while that is there. */
  readonly snapshot?: string;
}

export interface OperationFailure {
  readonly kind: Operation["kind"];
  readonly application: string;
  /** Identity key of the VM. */
  readonly key: string;
  readonly virdomain: string;
  /** Order group and step: what comes after it in the same group is blocked. */
  readonly group: string;
  readonly step: number;
  readonly code: string;
  readonly message: string;
  /** `change`: the manifest asks for something impossible; `platform`: we or the cluster failed. */
  readonly fault: "change" | "platform";
  readonly snapshot?: string;
}

/** What became of an operation of the current round. Written once; absent means not finished. */
export type OperationOutcome =
  | { readonly kind: "done"; readonly atMs: number; readonly durationMs: number; readonly snapshot?: string }
  | {
      readonly kind: "failed";
      readonly atMs: number;
      readonly code: string;
      readonly message: string;
      readonly fault: "change" | "platform";
      readonly snapshot?: string;
    }
  /** Live state moved since planning: the next round plans anew. */
  | { readonly kind: "stale"; readonly atMs: number; readonly message: string };

/** How a cluster's part of a sync ended. */
export interface ClusterResult {
  readonly cluster: string;
  readonly rounds: number;
  readonly completed: readonly CompletedOperation[];
  readonly failures: readonly OperationFailure[];
  readonly conflicts: readonly Conflict[];
  /** Operations that were not begun because something they wait for failed. */
  readonly blocked: readonly {
    readonly kind: Operation["kind"];
    readonly application: string;
    readonly virdomain: string;
    readonly by: string;
  }[];
  /** VMs that would lose data without the deletion rules' word: left as they are. */
  readonly refused: readonly string[];
  /** Nothing was begun here, and nothing counts as applied: the rollout stopped before, because of a failure on that cluster. */
  readonly notStarted?: { readonly because: string };
  readonly atMs: number;
}
