import type { DesiredDisk, DesiredVirdomain } from "../fleet/desired-state.ts";
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
  /** Powers on and waits until it runs. */
  start(id: string, context: ChangeContext): Promise<void>;
  /** Asks the guest to shut down; after `graceMs` switches it off when `force`, else throws `shutdown-timeout`. */
  stop(
    id: string,
    options: { readonly graceMs: number; readonly force: boolean },
    context: ChangeContext,
  ): Promise<void>;
  /** Removes a switched-off VM that carries our mark, with its disks. Absent already: success. */
  delete(live: LiveVirdomain, context: ChangeContext): Promise<void>;
  /** What `doctor` shows: version, nodes, warnings. */
  check(signal: AbortSignal): Promise<readonly string[]>;
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
