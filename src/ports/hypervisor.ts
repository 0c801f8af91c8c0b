import type { DesiredDisk, DesiredVirdomain } from "../fleet/desired-state.ts";
import type { ClusterCapacity } from "../plan/cluster-capacity.ts";
import type { LiveState, LiveVirdomain, OwnershipMark, PlatformTraits } from "../plan/live-state.ts";

/**
 * One cluster of virtual machines. Reading is one call; changing is one method per kind of operation, each safe to
 * repeat from any half-done state. Errors are WatcherErrors with `cluster-*`, `task-*`, `virdomain-*` or `asset-*` codes.
 */
export interface Hypervisor extends AsyncDisposable {
  readonly cluster: string;
  readonly traits: PlatformTraits;
  /** Everything on the cluster, in one list call. Throws rather than answering half. */
  readLiveState(signal: AbortSignal): Promise<LiveState>;
  /** What the cluster has room for. Asked only when a plan needs room, and never decisive: it may fail. */
  readCapacity(signal: AbortSignal): Promise<ClusterCapacity>;
  /** One VM read anew, or undefined when the cluster says it does not exist. */
  findVirdomain(id: string, signal: AbortSignal): Promise<LiveVirdomain | undefined>;
  /**
   * Throws `cluster-updating` (wait) when changes must not start now, `cluster-auth-failed` or `cluster-unreachable`
   * when they cannot. Called before the operations of a cluster begin.
   */
  ensureReady(signal: AbortSignal): Promise<void>;
  /**
   * Brings the images and ISOs of these disks onto the cluster without touching any VM. Called before a VM is switched
   * off or removed for them: a missing image must not cost a VM that runs.
   */
  prepare(disks: readonly DesiredDisk[], context: ChangeContext): Promise<void>;
  /**
   * Brings a VM into being, switched off, with every device, mark and boot order in place; goes on from wherever an
   * earlier attempt stopped (found by its mark). The last write takes the `building` flag off the mark.
   */
  create(desired: DesiredVirdomain, mark: OwnershipMark, context: ChangeContext): Promise<LiveVirdomain>;
  /**
   * Makes an existing VM equal to `desired` in everything but power. The caller has switched it off where the traits
   * ask for it. Disks and NICs are matched by name; what `desired` no longer has is removed. Throws `virdomain-running`
   * where the VM has to be off for what is left to do: the guest holds on to a disk, or somebody started the VM meanwhile.
   */
  update(
    live: LiveVirdomain,
    desired: DesiredVirdomain,
    mark: OwnershipMark,
    context: ChangeContext,
  ): Promise<LiveVirdomain>;
  /**
   * Writes our mark on a VM of ours and, where one is given, its name, and nothing else: into quarantine and out of it.
   * The mark is there before the name changes. A VM that gets another name is off.
   */
  remark(
    live: LiveVirdomain,
    mark: OwnershipMark,
    name: string | undefined,
    context: ChangeContext,
  ): Promise<LiveVirdomain>;
  /** How far cloud-init is in a running guest, asked through its agent. Throws where the traits promise no answer. */
  readCloudInit(id: string, signal: AbortSignal): Promise<CloudInitState>;
  /**
   * Tells of VMs that somebody changed, until the signal aborts; then it resolves. `undefined`: anything may have changed,
   * e.g. while the connection was broken. A hint to look, never a source: it misses things. Without events, which the
   * traits tell, it resolves at once.
   */
  watchChanges(onChange: (virdomainId: string | undefined) => void, signal: AbortSignal): Promise<void>;
  /** Powers on and waits until it runs. */
  start(id: string, context: ChangeContext): Promise<void>;
  /** Asks the guest to shut down; after `graceMs` switches it off when `force`, else throws `shutdown-timeout`. */
  stop(
    id: string,
    options: { readonly graceMs: number; readonly force: boolean },
    context: ChangeContext,
  ): Promise<void>;
  /**
   * Removes a switched-off VM that carries our mark, with its disks. Absent already: success. One that went into
   * quarantine or out of it since `live` was read is refused.
   */
  delete(live: LiveVirdomain, context: ChangeContext): Promise<void>;
  /**
   * Takes a snapshot of a VM that carries our mark, or that is about to be adopted. It stays on the cluster, never
   * replicated, and goes with its VM. One under the same label is as good unless it is to be `fresh`: a repeat or a lost
   * answer makes no second one. Throws where the traits promise no snapshots.
   */
  ensureSnapshot(live: LiveVirdomain, request: SnapshotRequest, context: ChangeContext): Promise<SnapshotReference>;
  /** The newest snapshot this instance took of a VM under a label. */
  findSnapshot(virdomainId: string, label: string, signal: AbortSignal): Promise<SnapshotReference | undefined>;
  /** Every snapshot this instance took of a VM and that is still there, the newest first. Others' are not among them. */
  listSnapshots(virdomainId: string, signal: AbortSignal): Promise<readonly KeptSnapshot[]>;
  /**
   * Answers a VM, off, whose disks hold what a snapshot of `source` kept; nothing of what `source` holds now is lost.
   * Where the platform goes back in place this is `source` itself with its mark and name, and what it held until now is
   * in a new snapshot (`kept`). Elsewhere it is a copy of its own that carries no mark and is nobody's until `handOver`;
   * `source` stays as it is. Both are off. A repeat from any half-done state goes on, or does it anew.
   */
  restoreSnapshot(source: LiveVirdomain, request: RestoreRequest, context: ChangeContext): Promise<RestoredVirdomain>;
  /**
   * Gives a VM that `restoreSnapshot` answered this mark, name and the memory of which device is which, in one step: it is
   * the one of its identity from then on. The caller has set aside whichever VM was it before.
   */
  handOver(restored: RestoredVirdomain, request: HandOverRequest, context: ChangeContext): Promise<LiveVirdomain>;
  /**
   * Removes snapshots that this instance took and whose time is over at `nowMs`; one list call. VMs that are busy are
   * left for another time, and whatever others took is never touched. Answers what is gone through this call.
   */
  removeExpiredSnapshots(nowMs: number, context: ChangeContext): Promise<readonly SnapshotReference[]>;
  /**
   * Removes what is left of uploads of ours that broke off, once two calls in a row, an hour or so apart, have seen it
   * unchanged. Answers their names.
   */
  removeOrphanedUploads(context: ChangeContext): Promise<readonly string[]>;
  /** What `doctor` shows: version, nodes, warnings. */
  check(signal: AbortSignal): Promise<readonly string[]>;
}

export type CloudInitState =
  /** The agent is silent or may not tell, or cloud-init has not finished. */
  { readonly kind: "unknown" } | { readonly kind: "done" } | { readonly kind: "failed"; readonly message: string };

export interface SnapshotRequest {
  /** Says for people what it was taken before; the driver adds the instance. */
  readonly label: string;
  readonly keepUntilMs: number;
  /** The VM has run since an earlier attempt: what that one took may lack what the guest wrote in the meantime. */
  readonly fresh: boolean;
  /** The VM carries no mark yet and is about to be taken over; without this such a VM is refused. */
  readonly adopt: boolean;
}

/** A snapshot this instance took. `label` is the requested one. */
export interface SnapshotReference {
  readonly id: string;
  readonly virdomainId: string;
  readonly label: string;
}

/** A snapshot with the times that people ask for. */
export interface KeptSnapshot extends SnapshotReference {
  readonly takenAtMs: number;
  /** Undefined: until somebody removes it. */
  readonly expiresAtMs: number | undefined;
}

export interface RestoreRequest {
  /** One of `source`, as `listSnapshots` tells it. */
  readonly snapshotId: string;
  /** What a snapshot of the present state is called and how long it is kept, where one is taken. */
  readonly label: string;
  readonly keepUntilMs: number;
}

export interface RestoredVirdomain {
  readonly live: LiveVirdomain;
  /** The VM and the snapshot it was made from. */
  readonly source: LiveVirdomain;
  readonly snapshotId: string;
  /** Holds what the VM held before, where the VM itself went back. */
  readonly kept: SnapshotReference | undefined;
}

export interface HandOverRequest {
  readonly mark: OwnershipMark;
  readonly name: string;
}

/** What a change may use and must respect. */
export interface ChangeContext {
  /** Aborts everything at once: lost lease, process ending. */
  readonly signal: AbortSignal;
  /** A newer revision exists: stop at the next safe boundary (throw `stopped`), and stop waiting at once. */
  readonly stop: AbortSignal;
  /** Called right before every call that changes something; throws `lease-lost` when this process may no longer write. */
  beforeChange(): void;
  /** One line of progress, e.g. "uploading ubuntu-web 43%". */
  progress(text: string): void;
}
