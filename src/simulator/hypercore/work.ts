import type { Iso, MachineKeyword, VirDomain } from "./wire.ts";

/** The members of a disk as a body gives them. */
export interface DiskBody {
  readonly type: string;
  readonly capacity?: number;
  readonly cacheMode?: string;
  readonly slot?: number;
  readonly path?: string;
  readonly name?: string;
  readonly tieringPriorityFactor?: number;
  readonly disableSnapshotting?: boolean;
}

export interface NicBody {
  readonly type?: string;
  readonly macAddress?: string;
  readonly vlan?: number;
  readonly connected?: boolean;
}

/** The members of a VM that PATCH, and a clone's template, may set. */
export type VirDomainPatch = Partial<
  Pick<
    VirDomain,
    | "name"
    | "description"
    | "operatingSystem"
    | "mem"
    | "numVCPU"
    | "tags"
    | "bootDevices"
    | "snapshotScheduleUUID"
    | "machineType"
    | "cpuType"
    | "affinityStrategy"
    | "cloudInitData"
    | "labels"
    | "runnable"
  >
>;

export interface VirDomainBody extends VirDomainPatch {
  readonly blockDevs?: readonly DiskBody[];
  readonly netDevs?: readonly NicBody[];
}

export interface CreateOptions {
  readonly attachGuestToolsISO?: boolean;
  readonly machineTypeKeyword?: MachineKeyword;
}

export interface SnapshotBody {
  readonly domainUUID: string;
  readonly label: string;
  readonly type: string;
  readonly automatedTriggerTimestamp: number;
  readonly localRetainUntilTimestamp: number;
  readonly remoteRetainUntilTimestamp: number;
  readonly blockCountDiffFromSerialNumber: number;
  readonly replication: boolean;
}

/** What a task will have done when it is COMPLETE: plain data, so that a restarted cluster can still do it. `vm` is the VM concerned. */
export type Work =
  | { readonly kind: "vm-create"; readonly vm: string; readonly dom: VirDomainBody; readonly options: CreateOptions }
  | { readonly kind: "vm-patch"; readonly vm: string; readonly changes: VirDomainPatch }
  | { readonly kind: "vm-delete"; readonly vm: string }
  | {
      readonly kind: "vm-clone";
      readonly vm: string;
      readonly source: string;
      readonly snapUUID: string | undefined;
      readonly template: VirDomainPatch;
    }
  | { readonly kind: "start" | "stop" | "stop-race" | "reboot" | "reset" | "pause" | "nothing"; readonly vm: string }
  | { readonly kind: "migrate"; readonly vm: string; readonly node: string }
  | { readonly kind: "disk-create"; readonly vm: string; readonly uuid: string; readonly disk: DiskBody }
  | {
      readonly kind: "disk-attach" | "disk-clone";
      readonly vm: string;
      readonly uuid: string;
      /** The VirtualDisk, or the disk being cloned. */
      readonly source: string;
      readonly disk: DiskBody;
      readonly regenerateDiskID: boolean;
      readonly readOnly: boolean;
    }
  | { readonly kind: "disk-patch"; readonly vm: string; readonly uuid: string; readonly changes: Partial<DiskBody> }
  | { readonly kind: "disk-delete" | "nic-delete"; readonly vm: string; readonly uuid: string }
  | { readonly kind: "nic-create" | "nic-patch"; readonly vm: string; readonly uuid: string; readonly nic: NicBody }
  | { readonly kind: "image-upload" | "iso-delete"; readonly uuid: string }
  | { readonly kind: "iso-create"; readonly uuid: string; readonly iso: Iso }
  | { readonly kind: "iso-patch"; readonly uuid: string; readonly changes: Partial<Iso> }
  | { readonly kind: "snapshot-create"; readonly vm: string; readonly uuid: string; readonly snapshot: SnapshotBody }
  | { readonly kind: "snapshot-delete"; readonly vm: string; readonly uuid: string };

export type WorkKind = Work["kind"];
/** The work whose kind is, or may be, `K`. */
export type WorkOf<K extends WorkKind, W extends Work = Work> = W extends Work
  ? K extends W["kind"]
    ? W
    : never
  : never;

/** A task's work and the objects nobody else may change until it ends. */
export interface WorkRecord {
  readonly work: Work;
  readonly locks: readonly string[];
}
