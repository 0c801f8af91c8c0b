import type { VirdomainIdentity } from "../fleet/desired-state.ts";
import type { DiskType, MachineType, NicType } from "../manifest/document.ts";
import type { NetworkTarget } from "../fleet/cluster.ts";

/**
 * Our mark on a VM: who it is, and what cannot be read back from the platform. Adapters write it in the platform's
 * own way (tags, labels, metadata); above them it is this value.
 */
export interface OwnershipMark {
  readonly instance: string;
  readonly identity: VirdomainIdentity;
  readonly deployment: string | undefined;
  /** Full commit id last applied in whole, or undefined while the VM is being built. */
  readonly revision: string | undefined;
  /** Hash of the cloud-init data the VM was born with. */
  readonly cloudInitHash: string | undefined;
  /** True until every disk, the boot order and the mark are complete. Such a VM is never started. */
  readonly building: boolean;
  readonly protected: boolean;
  /** The VM was deleted and is kept for a time. Left out: it was not. */
  readonly quarantine?: QuarantineNote;
}

/** Written on a VM before anything else happens to it, and taken off again as the first step of bringing it back. */
export interface QuarantineNote {
  readonly atMs: number;
  /** The VM is purged no earlier. */
  readonly untilMs: number;
  /** The commit that deleted it; platforms may keep its beginning only. */
  readonly revision: string;
  /** The name it had, and has for as long as the quarantine is not complete. */
  readonly name: string;
}

export type PowerState = "running" | "shutoff" | "shutting-down" | "paused" | "crashed";

export interface LiveDisk {
  readonly id: string;
  /** The manifest's name for it, as remembered on the VM; undefined for a disk we did not make. */
  readonly name: string | undefined;
  /** The name was written down for the place before the disk was there, and the change that made it did not end. */
  readonly provisional?: boolean;
  readonly type: DiskType;
  readonly capacityBytes: number;
  /** Asset id it was made from, as remembered; undefined for empty disks. */
  readonly assetId: string | undefined;
  /** Position in the boot order from 1, or undefined when it is not in it. */
  readonly boot: number | undefined;
}

export interface LiveNic {
  readonly id: string;
  readonly name: string | undefined;
  readonly type: NicType | "other";
  readonly network: NetworkTarget;
  readonly connected: boolean;
  readonly addresses: readonly string[];
}

/** One VM as its cluster reports it. Platform-made devices (NVRAM, TPM, cloud-init and guest-tools drives) are left out. */
export interface LiveVirdomain {
  readonly id: string;
  readonly name: string;
  readonly description: string;
  readonly os: string | undefined;
  readonly cpu: number;
  readonly memoryBytes: number;
  readonly machineType: MachineType | "other";
  readonly power: PowerState;
  /** The tags the manifest is answerable for, in order; our marks and people's own tags are not among them. */
  readonly tags: readonly string[];
  readonly disks: readonly LiveDisk[];
  /** Names of disks that were about to be made and are not there: the change that was to make them did not end. */
  readonly unmadeDisks?: readonly string[];
  readonly nics: readonly LiveNic[];
  /** Our mark, when it is whole and on the VM it was made for (a clone carries a copy, see `clone`). */
  readonly mark: OwnershipMark | undefined;
  /** The platform could keep the mark in a better place by now (HyperCore from 9.7: labels in place of tags). */
  readonly markOutdated?: boolean;
  /** It carries our mark but was cloned from the VM the mark was made for: never touched. */
  readonly clone: boolean;
  /** Managed by somebody else's replication: never touched. */
  readonly replica: boolean;
  /** The platform is working on it right now, on a task that may not be ours. */
  readonly busy: boolean;
  readonly guestAgent: boolean;
  /** Most CPUs the running VM can be given without a restart. Left out: none beyond those it has. */
  readonly liveCpuLimit?: number;
}

/** What a cluster can do without interrupting the guest: data that lets planning stay pure. */
export interface PlatformTraits {
  readonly driver: "hypercore" | "libvirt";
  /** Changes that need the VM to be off. Everything not named is live. */
  readonly rebootFor: ReadonlySet<ChangeKind>;
  /** Changes tried on the running VM that end in a restart when the guest does not go along. */
  readonly mayRebootFor: ReadonlySet<ChangeKind>;
  /** A VM's disks can be kept as they are at a moment. Such a snapshot belongs to its VM and goes with it. */
  readonly snapshots: boolean;
  /** The platform can tell through the guest's agent how far cloud-init is. */
  readonly cloudInit: boolean;
  /** The platform tells of changes as they happen. */
  readonly events: boolean;
}

/** The kinds of change planning tells apart, each with its own cost on a platform. */
export type ChangeKind =
  | "name"
  | "description"
  | "os"
  | "tags"
  | "cpu"
  | "memory"
  | "machine-type"
  | "boot-order"
  | "disk-add"
  /** On a bus that many platforms cannot plug into. */
  | "ide-disk-add"
  | "disk-grow"
  | "disk-remove"
  | "disk-replace"
  | "disk-type"
  | "cdrom-medium"
  | "cdrom-add"
  | "cdrom-remove"
  | "nic-add"
  /** Of a model that imitates old hardware. */
  | "legacy-nic-add"
  | "nic-remove"
  | "nic-network"
  | "nic-type"
  | "cloud-init"
  | "power"
  | "ownership";

/** Everything one list call tells of a cluster. */
export interface LiveState {
  readonly cluster: string;
  readonly virdomains: readonly LiveVirdomain[];
  /** VMs in quarantine, of whatever instance: neither present nor foreign. Left out: none. */
  readonly quarantined?: readonly LiveVirdomain[];
}

/** Everything found on a cluster, with the VMs in quarantine apart. */
export function toLiveState(cluster: string, found: readonly LiveVirdomain[]): LiveState {
  const quarantined = found.filter(isQuarantined);
  if (quarantined.length === 0) return { cluster, virdomains: found };
  return { cluster, virdomains: found.filter((live) => !isQuarantined(live)), quarantined };
}

export function isQuarantined({ mark }: Pick<LiveVirdomain, "mark">): boolean {
  return mark?.quarantine !== undefined;
}

/** Whether two marks speak of the same quarantine, or both of none. */
export function sameQuarantine(a: OwnershipMark, b: OwnershipMark): boolean {
  return a.quarantine?.atMs === b.quarantine?.atMs && a.quarantine?.untilMs === b.quarantine?.untilMs;
}
