import { WatcherError } from "../../lib/errors.ts";
import { Turns } from "../../lib/turns.ts";
import { SharedWork } from "../../lib/shared-work.ts";
import type { DesiredDisk, DesiredVirdomain } from "../../fleet/desired-state.ts";
import type { ClusterCapacity } from "../../plan/cluster-capacity.ts";
import { type LiveState, type LiveVirdomain, type OwnershipMark, toLiveState } from "../../plan/live-state.ts";
import type {
  ChangeContext,
  CloudInitState,
  HandOverRequest,
  Hypervisor,
  KeptSnapshot,
  RestoredVirdomain,
  RestoreRequest,
  SnapshotReference,
  SnapshotRequest,
} from "../../ports/hypervisor.ts";
import { type ClusterAccess, findVm, listVms } from "./access.ts";
import { readCapacity } from "./capacity.ts";
import { checkCluster } from "./check.ts";
import { HypercoreClient } from "./rest/client.ts";
import { type Convergence, prepareMedia } from "./vm/converge.ts";
import { createVm } from "./vm/create.ts";
import { deleteVm } from "./vm/delete.ts";
import { removeExpiredSnapshots } from "./snapshots/expired-snapshots.ts";
import { ImageLibrary } from "./images/image-library.ts";
import { type HypercoreOptions, defaultTimeouts } from "./options.ts";
import { OrphanedUploads } from "./images/orphaned-uploads.ts";
import { startVm, stopVm } from "./vm/power.ts";
import { handOverCopy } from "./snapshots/hand-over.ts";
import { copyFromSnapshot, findRestoring, type Restoring } from "./snapshots/restore.ts";
import { ensureSnapshot, findSnapshot, listSnapshots } from "./snapshots/snapshots.ts";
import { TaskWaiter } from "./rest/task-tag.ts";
import { toVirdomain } from "./vm/to-virdomain.ts";
import { hypercoreTraits } from "./traits.ts";
import { remarkVm } from "./vm/remark.ts";
import { refuseCommas, updateVm } from "./vm/update.ts";
import { requireNotUpdating } from "./update-status.ts";
import { readVersion, versionAtLeast } from "./version.ts";

/** Opens a driver for one cluster. Nothing is sent before the first call. Throws `config-invalid`. */
export async function openHypercore(options: HypercoreOptions): Promise<Hypervisor> {
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  const client = await HypercoreClient.open(options, timeouts);
  const access: ClusterAccess = {
    cluster: options.cluster,
    client,
    tasks: new TaskWaiter(client, timeouts.taskMs),
    timeouts,
    assets: options.assets,
    exclusive: options.exclusive ?? ((_name, signal, work) => work(signal)),
    log: options.log ?? (() => {}),
    turns: new Turns(),
  };
  return new HypercoreDriver(access, options);
}

class HypercoreDriver implements Hypervisor {
  readonly cluster: string;
  readonly traits = hypercoreTraits;
  readonly #access: ClusterAccess;
  readonly #options: HypercoreOptions;
  readonly #library: ImageLibrary;
  readonly #orphans = new OrphanedUploads();
  readonly #looks = new SharedWork<string>();
  #idle: { readonly untilMs: number; readonly version: string } | undefined;

  constructor(access: ClusterAccess, options: HypercoreOptions) {
    this.cluster = options.cluster;
    this.#access = access;
    this.#options = options;
    this.#library = new ImageLibrary(access);
  }

  async readLiveState(signal: AbortSignal): Promise<LiveState> {
    return toLiveState(this.cluster, (await listVms(this.#access, signal)).map(toVirdomain));
  }

  async readCapacity(signal: AbortSignal): Promise<ClusterCapacity> {
    return readCapacity(this.#access, signal);
  }

  async findVirdomain(id: string, signal: AbortSignal): Promise<LiveVirdomain | undefined> {
    const vm = await findVm(this.#access, id, signal);
    return vm === undefined ? undefined : toVirdomain(vm);
  }

  async readCloudInit(): Promise<CloudInitState> {
    throw new WatcherError(
      "cluster-unsupported",
      `cluster ${this.cluster}: HyperCore does not tell how far cloud-init is in a guest`,
    );
  }

  async watchChanges(): Promise<void> {
    await Promise.resolve();
  }

  async ensureReady(signal: AbortSignal): Promise<void> {
    await this.#readVersion(signal);
  }

  /**
   * The version, read only once the cluster was found idle: during an update every node tells its own. Operations begun
   * together share one look.
   */
  async #readVersion(signal: AbortSignal): Promise<string> {
    if (this.#idle !== undefined && performance.now() < this.#idle.untilMs) return this.#idle.version;
    const look = async (looking: AbortSignal): Promise<string> => {
      await this.#access.client.learnNodes(looking);
      await requireNotUpdating(this.#access, looking);
      const version = await readVersion(this.#access, looking);
      this.#idle = { untilMs: performance.now() + this.#access.timeouts.idleMs, version };
      return version;
    };
    return this.#looks.run("idle", look, signal);
  }

  /** What an operation goes by from its beginning to its end, whatever happens to the cluster meanwhile. */
  async #knowsLabels(signal: AbortSignal): Promise<boolean> {
    return versionAtLeast(this.#idle?.version ?? (await this.#readVersion(signal)), 9, 7);
  }

  async prepare(disks: readonly DesiredDisk[], context: ChangeContext): Promise<void> {
    await prepareMedia({ library: this.#library, context }, disks);
  }

  async create(desired: DesiredVirdomain, mark: OwnershipMark, context: ChangeContext): Promise<LiveVirdomain> {
    refuseCommas({ desired });
    return toVirdomain(await createVm({ ...(await this.#run(desired, mark, context)), adopt: false }));
  }

  async update(
    live: LiveVirdomain,
    desired: DesiredVirdomain,
    mark: OwnershipMark,
    context: ChangeContext,
  ): Promise<LiveVirdomain> {
    return toVirdomain(await updateVm(live, await this.#run(desired, mark, context)));
  }

  async remark(
    live: LiveVirdomain,
    mark: OwnershipMark,
    name: string | undefined,
    context: ChangeContext,
  ): Promise<LiveVirdomain> {
    this.#requireOwn(mark);
    const knowsLabels = await this.#knowsLabels(context.signal);
    return toVirdomain(await remarkVm(live, name, { access: this.#access, mark, knowsLabels, context }));
  }

  async #run(
    desired: DesiredVirdomain,
    mark: OwnershipMark,
    context: ChangeContext,
  ): Promise<Omit<Convergence, "adopt">> {
    this.#requireOwn(mark);
    const knowsLabels = await this.#knowsLabels(context.signal);
    return { access: this.#access, library: this.#library, desired, mark, knowsLabels, context };
  }

  #requireOwn({ instance }: OwnershipMark): void {
    if (instance === this.#options.instance) return;
    throw new WatcherError(
      "virdomain-conflict",
      `cluster ${this.cluster}: instance ${this.#options.instance} does not touch VMs of instance ${instance}`,
    );
  }

  async start(id: string, context: ChangeContext): Promise<void> {
    await startVm(this.#access, id, context);
  }

  async stop(
    id: string,
    options: { readonly graceMs: number; readonly force: boolean },
    context: ChangeContext,
  ): Promise<void> {
    await stopVm(this.#access, id, options, context);
  }

  async delete(live: LiveVirdomain, context: ChangeContext): Promise<void> {
    if (live.mark === undefined)
      throw new WatcherError(
        "virdomain-conflict",
        `cluster ${this.cluster}: VM ${live.name} does not carry our mark and is not deleted`,
      );
    this.#requireOwn(live.mark);
    await deleteVm(this.#access, live.id, live.mark, context);
  }

  async ensureSnapshot(
    live: LiveVirdomain,
    request: SnapshotRequest,
    context: ChangeContext,
  ): Promise<SnapshotReference> {
    if (live.mark !== undefined) this.#requireOwn(live.mark);
    return ensureSnapshot(this.#access, this.#options.instance, live, request, context);
  }

  async findSnapshot(virdomainId: string, label: string, signal: AbortSignal): Promise<SnapshotReference | undefined> {
    return findSnapshot(this.#access, this.#options.instance, virdomainId, label, signal);
  }

  async listSnapshots(virdomainId: string, signal: AbortSignal): Promise<readonly KeptSnapshot[]> {
    return listSnapshots(this.#access, this.#options.instance, virdomainId, signal);
  }

  async restoreSnapshot(
    source: LiveVirdomain,
    { snapshotId }: RestoreRequest,
    context: ChangeContext,
  ): Promise<RestoredVirdomain> {
    const run = await this.#restoring(source, snapshotId, context);
    return { live: toVirdomain(await copyFromSnapshot(run)), source, snapshotId, kept: undefined };
  }

  async handOver(
    { live, source, snapshotId }: RestoredVirdomain,
    request: HandOverRequest,
    context: ChangeContext,
  ): Promise<LiveVirdomain> {
    this.#requireOwn(request.mark);
    const run = await this.#restoring(source, snapshotId, context);
    return toVirdomain(await handOverCopy(run, live.id, request, await this.#knowsLabels(context.signal)));
  }

  async #restoring(source: LiveVirdomain, snapshotId: string, context: ChangeContext): Promise<Restoring> {
    if (source.mark !== undefined) this.#requireOwn(source.mark);
    return findRestoring(this.#access, this.#options.instance, source, snapshotId, context);
  }

  async removeOrphanedUploads(context: ChangeContext): Promise<readonly string[]> {
    return this.#orphans.remove(this.#access, context);
  }

  async removeExpiredSnapshots(nowMs: number, context: ChangeContext): Promise<readonly SnapshotReference[]> {
    return removeExpiredSnapshots(this.#access, this.#options.instance, nowMs, context);
  }

  async check(signal: AbortSignal): Promise<readonly string[]> {
    return checkCluster(this.#access, this.#options, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#access.client.close();
  }
}
