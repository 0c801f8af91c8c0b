import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { WatcherError } from "../../lib/errors.ts";
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
import { type Accelerator, chooseAccelerator } from "./accelerator.ts";
import { readAddresses, readCloudInit } from "./agent.ts";
import { readCapacity } from "./capacity.ts";
import { checkHost } from "./check.ts";
import type { Domain, ListedDomain } from "./domain/domain.ts";
import { toVirdomain } from "./domain/to-virdomain.ts";
import { watchEvents } from "./events.ts";
import { findDomain, type Host, readInGroups } from "./host.ts";
import { defaultTimeouts, type LibvirtOptions } from "./options.ts";
import { removeExpiredSnapshots } from "./snapshots/expired-snapshots.ts";
import { revertTo } from "./snapshots/revert.ts";
import { ensureSnapshot, findSnapshot, listKept } from "./snapshots/snapshots.ts";
import { ImageLibrary, OrphanedUploads } from "./storage/image-library.ts";
import { type Pool, readPool } from "./storage/pool.ts";
import { capacitiesOf } from "./storage/volumes.ts";
import { libvirtTraits } from "./traits.ts";
import { Virsh } from "./virsh/virsh.ts";
import type { Convergence } from "./vm/convergence.ts";
import { createVm } from "./vm/create.ts";
import { deleteVm } from "./vm/delete.ts";
import { startVm, stopVm } from "./vm/power.ts";
import { remarkVm } from "./vm/remark.ts";
import { updateVm } from "./vm/update.ts";

/** Seeds that a killed process left in the work folder hold secrets and are nobody's after this time. */
const abandonedMs = 3_600_000;

/** Opens a driver for one host. Nothing is asked of it before the first call. */
export async function openLibvirt(options: LibvirtOptions): Promise<Hypervisor> {
  const timeouts = { ...defaultTimeouts, ...options.timeouts };
  await removeAbandoned(options.workDir);
  return new LibvirtDriver({
    cluster: options.cluster,
    virsh: new Virsh(options.cluster, options.uri, timeouts.callMs),
    options,
    timeouts,
    assets: options.assets,
    exclusive: options.exclusive ?? ((_name, signal, work) => work(signal)),
    log: options.log ?? (() => {}),
  });
}

async function removeAbandoned(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > abandonedMs) await rm(path, { recursive: true, force: true });
  }
}

class LibvirtDriver implements Hypervisor {
  readonly cluster: string;
  readonly traits = libvirtTraits;
  readonly #host: Host;
  readonly #library: ImageLibrary;
  readonly #orphans = new OrphanedUploads();
  readonly #looks = new SharedWork<Pool>();
  readonly #trials = new SharedWork<Accelerator>();
  #pool: { readonly untilMs: number; readonly pool: Pool } | undefined;
  #accelerator: Accelerator | undefined;
  /** Of the pool, on the host. */
  #folder: string | undefined;

  constructor(host: Host) {
    this.cluster = host.cluster;
    this.#host = host;
    this.#library = new ImageLibrary(host);
  }

  async readLiveState(signal: AbortSignal): Promise<LiveState> {
    const addresses = new Map<string, string[]>();
    const groups = await readInGroups(this.#host, signal, async (domains) => {
      const capacities = await this.#capacities(domains, signal);
      return domains.map((domain) => toVirdomain(domain, { capacities, addresses }));
    });
    return toLiveState(this.cluster, groups.flat());
  }

  /** Of disks; drives hold what others made. */
  async #capacities(domains: readonly ListedDomain[], signal: AbortSignal): Promise<Map<string, number>> {
    const sources = domains.flatMap(({ disks }) =>
      disks.flatMap(({ device }) => (device.device === "disk" && device.source !== undefined ? [device.source] : [])),
    );
    this.#folder ??= (await this.#readPool(signal)).path;
    return capacitiesOf(this.#host, sources, signal, this.#folder);
  }

  async readCapacity(signal: AbortSignal): Promise<ClusterCapacity> {
    return readCapacity(this.#host, signal);
  }

  async findVirdomain(id: string, signal: AbortSignal): Promise<LiveVirdomain | undefined> {
    const domain = await findDomain(this.#host, id, signal);
    return domain === undefined ? undefined : this.#toVirdomain(domain, signal);
  }

  async #toVirdomain(domain: Domain, signal: AbortSignal): Promise<LiveVirdomain> {
    const [capacities, addresses] = await Promise.all([
      this.#capacities([domain], signal),
      readAddresses(this.#host, domain, signal),
    ]);
    return toVirdomain(domain, { capacities, addresses });
  }

  async readCloudInit(id: string, signal: AbortSignal): Promise<CloudInitState> {
    return readCloudInit(this.#host, id, signal);
  }

  async ensureReady(signal: AbortSignal): Promise<void> {
    await this.#readPool(signal);
  }

  /** Operations begun together share one look. */
  async #readPool(signal: AbortSignal): Promise<Pool> {
    if (this.#pool !== undefined && performance.now() < this.#pool.untilMs) return this.#pool.pool;
    return this.#looks.run(
      "pool",
      async (looking) => {
        const pool = await readPool(this.#host, looking);
        this.#pool = { untilMs: performance.now() + this.#host.timeouts.hostMs, pool };
        return pool;
      },
      signal,
    );
  }

  /** Once: trying KVM starts a VM for a moment. */
  async #chooseAccelerator(signal: AbortSignal): Promise<Accelerator> {
    this.#accelerator ??= await this.#trials.run("kvm", (trying) => chooseAccelerator(this.#host, trying), signal);
    return this.#accelerator;
  }

  async prepare(disks: readonly DesiredDisk[], context: ChangeContext): Promise<void> {
    await this.#library.prepare(disks, context);
  }

  async create(desired: DesiredVirdomain, mark: OwnershipMark, context: ChangeContext): Promise<LiveVirdomain> {
    const run = await this.#run(desired, mark, context);
    const { emulated } = await this.#chooseAccelerator(context.signal);
    return this.#toVirdomain(await createVm({ ...run, adopt: false, emulated }), context.signal);
  }

  async update(
    live: LiveVirdomain,
    desired: DesiredVirdomain,
    mark: OwnershipMark,
    context: ChangeContext,
  ): Promise<LiveVirdomain> {
    const run = await this.#run(desired, mark, context);
    return this.#toVirdomain(await updateVm(live, run), context.signal);
  }

  async remark(
    live: LiveVirdomain,
    mark: OwnershipMark,
    name: string | undefined,
    context: ChangeContext,
  ): Promise<LiveVirdomain> {
    this.#requireOwn(mark);
    return this.#toVirdomain(await remarkVm(this.#host, live, { mark, name }, context), context.signal);
  }

  async #run(
    desired: DesiredVirdomain,
    mark: OwnershipMark,
    context: ChangeContext,
  ): Promise<Omit<Convergence, "adopt">> {
    this.#requireOwn(mark);
    const pool = await this.#readPool(context.signal);
    return { host: this.#host, library: this.#library, pool, desired, mark, context };
  }

  #requireOwn({ instance }: OwnershipMark): void {
    if (instance === this.#host.options.instance) return;
    throw new WatcherError(
      "virdomain-conflict",
      `cluster ${this.cluster}: instance ${this.#host.options.instance} does not touch VMs of instance ${instance}`,
    );
  }

  async start(id: string, context: ChangeContext): Promise<void> {
    await startVm(this.#host, id, context);
  }

  async stop(
    id: string,
    options: { readonly graceMs: number; readonly force: boolean },
    context: ChangeContext,
  ): Promise<void> {
    await stopVm(this.#host, id, options, context);
  }

  async delete(live: LiveVirdomain, context: ChangeContext): Promise<void> {
    if (live.mark === undefined)
      throw new WatcherError(
        "virdomain-conflict",
        `cluster ${this.cluster}: VM ${live.name} does not carry our mark and is not deleted`,
      );
    this.#requireOwn(live.mark);
    await deleteVm(this.#host, live.id, live.mark, context);
  }

  async ensureSnapshot(
    live: LiveVirdomain,
    request: SnapshotRequest,
    context: ChangeContext,
  ): Promise<SnapshotReference> {
    if (live.mark !== undefined) this.#requireOwn(live.mark);
    return ensureSnapshot(this.#host, live, request, context);
  }

  async findSnapshot(virdomainId: string, label: string, signal: AbortSignal): Promise<SnapshotReference | undefined> {
    return findSnapshot(this.#host, virdomainId, label, signal);
  }

  async removeExpiredSnapshots(nowMs: number, context: ChangeContext): Promise<readonly SnapshotReference[]> {
    return removeExpiredSnapshots(this.#host, nowMs, context);
  }

  async listSnapshots(virdomainId: string, signal: AbortSignal): Promise<readonly KeptSnapshot[]> {
    return listKept(this.#host, virdomainId, signal);
  }

  async restoreSnapshot(
    source: LiveVirdomain,
    request: RestoreRequest,
    context: ChangeContext,
  ): Promise<RestoredVirdomain> {
    if (source.mark !== undefined) this.#requireOwn(source.mark);
    const { domain, kept } = await revertTo(this.#host, source, request, context);
    return {
      live: await this.#toVirdomain(domain, context.signal),
      source,
      snapshotId: request.snapshotId,
      kept,
    };
  }

  /** It never was another VM. */
  async handOver(
    { live }: RestoredVirdomain,
    { mark, name }: HandOverRequest,
    context: ChangeContext,
  ): Promise<LiveVirdomain> {
    return this.remark(live, mark, name, context);
  }

  async removeOrphanedUploads(context: ChangeContext): Promise<readonly string[]> {
    return this.#orphans.remove(this.#host, context);
  }

  async watchChanges(onChange: (virdomainId: string | undefined) => void, signal: AbortSignal): Promise<void> {
    await watchEvents(this.#host, onChange, signal);
  }

  async check(signal: AbortSignal): Promise<readonly string[]> {
    return checkHost(this.#host, this.#host.options.networks ?? [], signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve();
  }
}
