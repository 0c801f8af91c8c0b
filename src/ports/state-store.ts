import type { GivenApproval } from "../plan/given-approval.ts";
import type { DriftRecord } from "../sync/drift-pace.ts";
import type { Pause, PauseScope } from "../sync/pauses.ts";
import type {
  ClusterPass,
  ClusterResult,
  OperationOutcome,
  SyncRecord,
  SyncState,
  SyncVerdict,
} from "../sync/sync-record.ts";
import type { CommitStatus, ForgeDeployment } from "./forge.ts";
import type { PollWishes } from "./poll-wishes.ts";
import type { VirdomainSightings } from "./virdomain-sightings.ts";
import type { WebhookRecords } from "./webhook-records.ts";

export type { Pause, PauseScope } from "../sync/pauses.ts";

/**
 * Durable state of an instance. Everything but history and approvals can be rebuilt from git and the clusters.
 * Calls fail with `redis-unavailable` when the store is away. Methods marked *atomic* happen whole or not at all.
 */
export interface StateStore extends PollWishes, WebhookRecords, VirdomainSightings, AsyncDisposable {
  /** Takes a named lease, or answers undefined while somebody else holds it. Leases end by themselves after `ttlMs`. */
  acquireLease(name: string, ttlMs: number): Promise<Lease | undefined>;

  /** Holds one VM of a cluster against every operation, as an operation does; undefined while one is under way on it. */
  holdVirdomain(cluster: string, virdomainKey: string, ttlMs: number): Promise<Lease | undefined>;

  readBranch(repository: string): Promise<BranchRecord>;
  /** Atomic. Records a new tip and the commits that arrived with it, all of which now await a final status. */
  recordObserved(repository: string, tip: string, arrived: readonly string[]): Promise<void>;
  /** Commits that reached the branch and have no final status yet, oldest first. */
  listUnsettledCommits(repository: string): Promise<readonly string[]>;
  /**
   * Atomic. Remembers that this tip (`entry.revision`) is not to be synced, and gives every commit that still awaits its
   * final status the one of `finals`. Answers how many there were; with none, nothing goes to history and outbox. Does
   * nothing once another tip was observed or another sync is current: whoever asks slept through its lease.
   */
  refuseTip(
    repository: string,
    entry: HistoryEntry,
    finals: ReadonlyMap<string, OutboxEntry>,
    current: { readonly syncId: string | undefined },
  ): Promise<number>;

  /**
   * Atomic. Stores a sync with its first passes and makes it the branch's current one; entries go to the outbox. Its
   * targets are `inMotion` from here on: whatever comes next must look at them again, even a return to what was before.
   * With `replaces` only while that one is current, so that a watcher which slept through its lease starts nothing.
   * Answers whether the sync is there.
   */
  createSync(
    record: SyncRecord,
    passes: readonly ClusterPass[],
    entries: readonly OutboxEntry[],
    replaces?: { readonly syncId: string | undefined },
  ): Promise<boolean>;
  readSync(id: string): Promise<{ readonly record: SyncRecord; readonly state: SyncState } | undefined>;
  readSyncStates(ids: readonly string[]): Promise<readonly (SyncState | undefined)[]>;
  /** Atomic. Only a running sync can be superseded; answers whether this call did it. */
  supersedeSync(id: string, by: string, entries: readonly OutboxEntry[]): Promise<boolean>;
  /** Atomic. Only a running sync can finish; settles its commits, moves the branch on, writes history and outbox. Answers whether this call did it. */
  finishSync(
    id: string,
    verdict: SyncVerdict,
    applied: AppliedTargets,
    history: HistoryEntry,
    entries: readonly OutboxEntry[],
  ): Promise<boolean>;

  readPass(syncId: string, cluster: string): Promise<ClusterPass | undefined>;
  /** Replaces a pass when its round is still `expectedRound`; clears outcomes when the round changes. Answers whether it did. */
  replacePass(syncId: string, pass: ClusterPass, expectedRound: number): Promise<boolean>;
  readOutcomes(syncId: string, cluster: string): Promise<ReadonlyMap<string, OperationOutcome>>;
  /** First write wins. */
  recordOutcomes(
    syncId: string,
    cluster: string,
    round: number,
    outcomes: ReadonlyMap<string, OperationOutcome>,
  ): Promise<void>;
  recordClusterResult(syncId: string, result: ClusterResult): Promise<void>;
  readClusterResults(syncId: string): Promise<ReadonlyMap<string, ClusterResult>>;

  /**
   * Atomic gate of an operation: refuses when its sync is not running, its outcome is known, its VM is held by another
   * operation, or its cluster has `clusterLimit` operations under way; otherwise holds VM and place until `ttlMs`.
   */
  beginOperation(request: BeginOperation): Promise<BeginAnswer>;
  /** Operations under way of these syncs on a cluster (all clusters when undefined): what a newer sync waits for. */
  countUnderWay(syncId: string, cluster?: string): Promise<number>;

  /** What an operation is doing at the moment, for `status`; replaces what it said before. Undefined: it has ended. */
  recordProgress(
    syncId: string,
    cluster: string,
    operationId: string,
    progress: OperationProgress | undefined,
  ): Promise<void>;
  /** What operations of a sync said last. A process that died leaves its last word behind for a while. */
  listProgress(syncId: string): Promise<readonly OperationProgress[]>;

  /** Hash of the desired state last applied in full, by target key. */
  readApplied(repository: string): Promise<ReadonlyMap<string, AppliedTarget>>;
  listHistory(repository: string, limit: number): Promise<readonly HistoryEntry[]>;
  /** Trees synced before, newest first. */
  findSyncedTree(
    repository: string,
    treeId: string,
  ): Promise<{ readonly revision: string; readonly syncedAtMs: number } | undefined>;

  readPullRequest(repository: string, number: number): Promise<PullRequestRecord | undefined>;
  recordPullRequest(repository: string, record: PullRequestRecord, entries: readonly OutboxEntry[]): Promise<void>;

  /** The deploy log of a sync; undefined until its pull requests were looked for. */
  readDeployLog(syncId: string): Promise<DeployLog | undefined>;
  /** Atomic. Entries go to the outbox. */
  recordDeployLog(syncId: string, log: DeployLog, entries: readonly OutboxEntry[]): Promise<void>;

  /** Plans by id, kept for a bounded time. JSON text. */
  savePlan(id: string, json: string): Promise<void>;
  readPlan(id: string): Promise<string | undefined>;

  appendOutbox(entries: readonly OutboxEntry[]): Promise<void>;
  /** Waiting entries of a repository in order. */
  listOutbox(repository: string, limit: number): Promise<readonly StoredOutboxEntry[]>;
  removeOutbox(repository: string, sequences: readonly number[]): Promise<void>;
  listOutboxRepositories(): Promise<readonly string[]>;

  /** Remembers an approval given in a comment; the same one again changes nothing. */
  recordApproval(repository: string, approval: Approval): Promise<void>;
  /** Approvals given in comments, newest first, a bounded number. */
  listApprovals(repository: string): Promise<readonly Approval[]>;
  /** Comments up to which commands were answered, in milliseconds since 1970; undefined before the first time. */
  readCommentCursor(repository: string): Promise<number | undefined>;
  recordCommentCursor(repository: string, atMs: number): Promise<void>;
  /** Commands that were answered, by a key of the caller's, so that none is answered twice; the newest are remembered. */
  recordAnswered(repository: string, key: string, atMs: number): Promise<void>;
  listAnswered(repository: string): Promise<ReadonlySet<string>>;

  /** Pauses by people. One for each scope; a new one replaces the old. Those whose time is over are left out. */
  setPause(pause: Pause): Promise<void>;
  /** Answers whether there was one. */
  removePause(scope: PauseScope): Promise<boolean>;
  listPauses(nowMs: number): Promise<readonly Pause[]>;

  /** What is remembered of VMs that drifted. */
  readDrift(repository: string): Promise<RememberedDrift>;
  /** Atomic. `undefined` forgets a VM. Entries go to the outbox. */
  recordDrift(
    repository: string,
    records: ReadonlyMap<string, DriftRecord | undefined>,
    entries: readonly OutboxEntry[],
  ): Promise<void>;

  /**
   * Written before a VM whose power is people's is switched off for a change: it has to be on again, also when the change
   * breaks off. Given back once it is. Kept for a bounded time.
   */
  oweStart(key: string): Promise<void>;
  settleStart(key: string): Promise<void>;
  /** The VMs that have to be switched on again, by the keys of `owedKey`. */
  listOwedStarts(): Promise<ReadonlySet<string>>;

  /** What the watcher last saw, for `status`: e.g. the remote being unreachable. */
  recordCondition(repository: string, condition: RepositoryCondition): Promise<void>;
  readCondition(repository: string): Promise<RepositoryCondition | undefined>;
  /** Proof that the store answers. */
  ping(): Promise<void>;
}

/** Exclusive and temporary. `token` grows with every holder (a fencing token). */
export interface Lease {
  readonly token: number;
  /** Extends to `ttlMs` from now; false when it was lost. */
  renew(): Promise<boolean>;
  release(): Promise<void>;
}

export interface RememberedDrift {
  /** By cluster and identity of the VM: see `driftKey`. */
  readonly records: ReadonlyMap<string, DriftRecord>;
  /** When a person last asked for a sync; 0 when nobody did. */
  readonly restartedAtMs: number;
}

export interface BranchRecord {
  /** Newest tip seen. */
  readonly observed: string | undefined;
  /** The sync made last. */
  readonly currentSync: string | undefined;
  /** Last revision that reached `synced`, and last attempted. */
  readonly synced: string | undefined;
  readonly attempted: string | undefined;
  /** The tip that was refused last, for its signature. */
  readonly refused?: string | undefined;
}

export interface BeginOperation {
  readonly syncId: string;
  readonly cluster: string;
  readonly round: number;
  readonly operationId: string;
  /** What is held: one VM of one cluster. */
  readonly virdomainKey: string;
  readonly clusterLimit: number;
  readonly ttlMs: number;
}

export type BeginAnswer =
  | { readonly kind: "begun"; readonly attempt: number; readonly hold: OperationHold }
  | { readonly kind: "not-running" }
  | { readonly kind: "already-finished" }
  | { readonly kind: "virdomain-held" }
  | { readonly kind: "cluster-full" };

export interface OperationHold {
  readonly token: number;
  /** False when it was lost. */
  renew(): Promise<boolean>;
  /**
   * Atomic. Writes the outcome (first write wins) when given, and lets the VM and the place go. Without an outcome the
   * operation will be begun again, which counts as an attempt unless `free` (waiting costs no retry, and neither does
   * a process that dies).
   */
  end(outcome: OperationOutcome | undefined, options?: { readonly free: boolean }): Promise<void>;
}

/** One line about an operation under way, e.g. `uploading ubuntu-web 43%`. */
export interface OperationProgress {
  readonly cluster: string;
  readonly application: string;
  readonly virdomain: string;
  readonly kind: string;
  readonly text: string;
  readonly atMs: number;
}

/** The hash of a target that a sync has begun to change and not brought to its end: equal to no desired state. */
export const inMotion = "";

export interface AppliedTarget {
  readonly hash: string;
  readonly revision: string;
  readonly atMs: number;
}

/** Target key -> what was applied; `undefined` removes the target. */
export type AppliedTargets = ReadonlyMap<string, AppliedTarget | undefined>;

export interface HistoryEntry {
  readonly syncId: string;
  readonly repository: string;
  readonly revision: string;
  readonly treeId: string | undefined;
  readonly author: string;
  readonly subject: string;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly verdict: SyncVerdict;
  /** Every commit that got this verdict: the revision and those it superseded. */
  readonly commits: readonly string[];
  readonly returnsTo: string | undefined;
  /** Who approved what was lost. */
  readonly approval?: GivenApproval;
  readonly applications: readonly string[];
  readonly operations: readonly {
    readonly kind: string;
    readonly cluster: string;
    readonly virdomain: string;
    readonly application: string;
    readonly outcome: string;
    readonly message?: string;
    /** Id of the snapshot it began with. */
    readonly snapshot?: string;
  }[];
  /** Clusters that a failure in their rollout kept from beginning. Left out: none. */
  readonly notStarted?: readonly string[];
}

export interface PullRequestRecord {
  readonly number: number;
  /** Hash of everything its plan rests on: equal means nothing to plan anew. */
  readonly fingerprint: string;
  readonly head: string;
  readonly base: string;
  readonly draft: boolean;
  readonly planId: string | undefined;
  /** Files in which the head conflicts with the base. */
  readonly conflictFiles: readonly string[];
  /** The earlier synced commit whose manifests the merge would bring back. */
  readonly returnsTo: { readonly revision: string; readonly syncedAtMs: number } | undefined;
  /** VMs its merge would change (`cluster/identity`), sorted, and the open pull requests that would change one of them too. */
  readonly touches: readonly string[];
  readonly rivals: readonly number[];
  /** When that plan was made. */
  readonly plannedAtMs?: number;
  /** Head of a fork that somebody with write access asked to be planned in full. */
  readonly trustedHead?: string;
}

/** What merged pull requests were told of the sync that carries them out. */
export interface DeployLog {
  /** The pull requests, each with the newest commit through which it reached the branch. */
  readonly landed: readonly { readonly pullRequest: number; readonly commit: string }[];
  /** Hash of what was told last. */
  readonly told: string;
  /** The verdict was told: nothing more is to come. */
  readonly final: boolean;
}

/** A person's word that exactly these losses may happen. */
export interface Approval {
  /** The plan's `deletions.approvalId`. */
  readonly id: string;
  readonly planId: string;
  readonly by: string;
  readonly atMs: number;
  readonly pullRequest: number;
  readonly url: string | undefined;
}

/** Something to tell the forge. Entries of one `key` are delivered in order, older ones give way to newer ones. */
export interface OutboxEntry {
  readonly repository: string;
  /** `status/<sha>/<context>`, `comment/<number>`, `answer/<number>/<what is answered>` or `deployment/<sha>`. */
  readonly key: string;
  /**
   * `first` and `final` are always delivered; `latest` gives way to anything newer of its key; `progress` does too and
   * is told at most every 15 s.
   */
  readonly weight: "first" | "progress" | "latest" | "final";
  readonly message:
    | { readonly kind: "status"; readonly revision: string; readonly status: CommitStatus }
    | { readonly kind: "deployment"; readonly deployment: ForgeDeployment }
    | { readonly kind: "comment"; readonly pullRequest: number; readonly marker: string; readonly markdown: string };
}

export interface StoredOutboxEntry extends OutboxEntry {
  readonly sequence: number;
}

export interface RepositoryCondition {
  readonly atMs: number;
  readonly ok: boolean;
  readonly code: string | undefined;
  readonly message: string;
}
