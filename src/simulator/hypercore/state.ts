import { type Contract, contractOf } from "./contract.ts";
import { type SimulatorSettings, versionAtLeast } from "./options.ts";
import { Random } from "./random.ts";
import { notFoundPage, notNow, TaskFailure } from "./refusal.ts";
import { Store, type Table } from "./store.ts";
import { Timers } from "./timers.ts";
import type { BlockDevice, Iso, NetDevice, Snapshot, TaskTagStatus, VirDomain, VirtualDisk } from "./wire.ts";
import type { WorkRecord } from "./work.ts";

/** A change of power state on its way; `at` in Unix milliseconds. */
export interface PendingPower {
  readonly id: string;
  readonly to: "RUNNING" | "SHUTDOWN" | "SHUTOFF";
  readonly at: number;
}

/** Where a disk's first content is from; "" names the source when it is another disk. */
export interface DiskOrigin {
  readonly source: string;
  readonly name: string;
  readonly regenerateDiskID: boolean;
}

/** What is true of a VM's guest and is not in the API. */
export interface Guest {
  /** Unix milliseconds from which the guest listens to ACPI; absent while off. */
  readonly bootsAt?: number | undefined;
  /** The next change of power state that no task covers. */
  readonly pending?: PendingPower | undefined;
  /** What cloud-init finds on its CD: the data the VM was born with, whatever PATCH says later. */
  readonly cloudInitData?: VirDomain["cloudInitData"] | undefined;
  readonly ignoresShutdown?: boolean;
  readonly releasesDisks?: boolean;
  /** Tiering factors of young disks, which still read 0. */
  readonly tiering?: Readonly<Record<string, number>>;
  /** How disks came from images, by disk UUID. */
  readonly origins?: Readonly<Record<string, DiskOrigin>>;
}

/** What is true of an image's or ISO's content and is not in the API. The bytes themselves are not kept. */
export interface Content {
  readonly bytes: number;
  readonly sha256: string;
  /** Size of the disk inside the image, in bytes. */
  readonly virtualBytes: number;
  /** The name without the prefix of its phase. */
  readonly finalName: string;
}

/** Facts of the cluster as a whole. */
export interface ClusterFacts {
  readonly starts: number;
  readonly nextTask: number;
  readonly nextMac: number;
  readonly uuid: string;
  readonly nodeUUIDs: readonly string[];
  readonly icosVersion: string;
  /** Set by the control API: new storage is refused whatever the capacity. */
  readonly storageFull: boolean;
}

/** One cluster: its tables, its clock-driven events and its settings. All nodes share one. */
export class ClusterState {
  readonly settings: SimulatorSettings;
  readonly store = new Store();
  readonly timers = new Timers(() => this.store.flush());
  readonly virdomains = this.store.table<VirDomain>("virdomain");
  readonly guests = this.store.table<Guest>("guest");
  readonly images = this.store.table<VirtualDisk>("image");
  readonly isos = this.store.table<Iso>("iso");
  readonly contents = this.store.table<Content>("content");
  readonly snapshots = this.store.table<Snapshot>("snapshot");
  readonly tasks = this.store.table<TaskTagStatus>("task");
  readonly works = this.store.table<WorkRecord>("work");
  /** Images whose deletion was answered and has not happened yet. */
  readonly vanishing = this.store.table<Record<string, never>>("vanishing");
  readonly #facts: Table<ClusterFacts> = this.store.table<ClusterFacts>("cluster");
  readonly #deviceOwners = new Map<string, string>();
  readonly random: Random;

  constructor(settings: SimulatorSettings) {
    this.settings = settings;
    this.store.open(settings.stateFile);
    const known = this.#facts.get("cluster");
    const starts = (known?.starts ?? 0) + 1;
    this.random = new Random(settings.seed + starts * 7919);
    this.#facts.put("cluster", {
      starts,
      nextTask: known?.nextTask ?? 1,
      nextMac: known?.nextMac ?? Math.floor(this.random.next() * 0xff_0000),
      uuid: known?.uuid ?? this.random.uuid(),
      nodeUUIDs: this.#growNodes(known?.nodeUUIDs ?? []),
      icosVersion: known?.icosVersion ?? settings.icosVersion,
      storageFull: known?.storageFull ?? false,
    });
    for (const vm of this.virdomains.values()) this.#indexDevices(vm);
    this.store.flush();
  }

  get facts(): ClusterFacts {
    const facts = this.#facts.get("cluster");
    if (facts === undefined) throw new Error("the cluster's facts are written by the constructor");
    return facts;
  }

  get knowsLabels(): boolean {
    return versionAtLeast(this.facts.icosVersion, 9, 7);
  }

  get contract(): Contract {
    return contractOf(this.knowsLabels);
  }

  updateFacts(change: Partial<ClusterFacts>): void {
    this.#facts.put("cluster", { ...this.facts, ...change });
  }

  /** The next task tag: a number in decimal digits. */
  nextTaskTag(): string {
    const { nextTask } = this.facts;
    this.updateFacts({ nextTask: nextTask + 1 });
    return String(nextTask);
  }

  /** A MAC address with the prefix HyperCore generates. */
  nextMac(): string {
    const { nextMac } = this.facts;
    this.updateFacts({ nextMac: nextMac + 1 });
    const digits = (nextMac & 0xff_ffff).toString(16).padStart(6, "0").toUpperCase();
    return `7C:4C:58:${digits.slice(0, 2)}:${digits.slice(2, 4)}:${digits.slice(4)}`;
  }

  putVirDomain(vm: VirDomain): void {
    this.virdomains.put(vm.uuid, vm);
    this.#indexDevices(vm);
  }

  /** Changes members of a VM; a VM that is gone stays gone. */
  updateVirDomain(uuid: string, change: Partial<VirDomain>): void {
    const vm = this.virdomains.get(uuid);
    if (vm !== undefined) this.putVirDomain({ ...vm, ...change, modified: unixSeconds() });
  }

  updateGuest(uuid: string, change: Partial<Guest>): void {
    if (this.virdomains.has(uuid)) this.guests.put(uuid, { ...this.guests.get(uuid), ...change });
  }

  /** The VM, or the refusal for a change to something that does not exist. */
  getVirDomain(uuid: string): VirDomain {
    return this.virdomains.get(uuid) ?? this.refuseMissing();
  }

  /** The VM for a task's effect. */
  takeVirDomain(uuid: string): VirDomain {
    const vm = this.virdomains.get(uuid);
    if (vm === undefined) throw new TaskFailure("Virtual machine %@ does not exist", [uuid]);
    return vm;
  }

  findDisk(uuid: string): { readonly vm: VirDomain; readonly disk: BlockDevice } | undefined {
    const vm = this.virdomains.get(this.#deviceOwners.get(uuid) ?? "");
    const disk = vm?.blockDevs.find((device) => device.uuid === uuid);
    return vm === undefined || disk === undefined ? undefined : { vm, disk };
  }

  findNic(uuid: string): { readonly vm: VirDomain; readonly nic: NetDevice } | undefined {
    const vm = this.virdomains.get(this.#deviceOwners.get(uuid) ?? "");
    const nic = vm?.netDevs.find((device) => device.uuid === uuid);
    return vm === undefined || nic === undefined ? undefined : { vm, nic };
  }

  refuseMissing(): never {
    throw this.settings.missingObjectStatus === 404 ? notFoundPage() : notNow();
  }

  /** Off for good: neither running nor on its way there. */
  isOff(vm: VirDomain): boolean {
    const settled = this.guests.get(vm.uuid)?.pending === undefined;
    return settled && (vm.state === "SHUTOFF" || vm.state === "CRASHED");
  }

  durationOf(kind: string): number {
    const usual = kind === "stop-race" ? 10 * this.settings.taskMs : this.settings.taskMs;
    return this.settings.taskMsByKind[kind] ?? usual;
  }

  close(): void {
    this.timers.close();
    this.store.close();
  }

  #growNodes(known: readonly string[]): readonly string[] {
    const missing = Math.max(0, this.settings.nodes - known.length);
    return [...known, ...Array.from({ length: missing }, () => this.random.uuid())].slice(0, this.settings.nodes);
  }

  #indexDevices(vm: VirDomain): void {
    for (const device of vm.blockDevs) this.#deviceOwners.set(device.uuid, vm.uuid);
    for (const device of vm.netDevs) this.#deviceOwners.set(device.uuid, vm.uuid);
  }
}

export function unixSeconds(): number {
  return Math.floor(Date.now() / 1000);
}
