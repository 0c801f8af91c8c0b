import type { Position } from "./problem.ts";

/**
 * The documents of a repository after parsing and normalising, before their template variables are filled in.
 * Plain data: safe to cache by blob id and to compare. Sizes are bytes as JavaScript numbers (exact up to 2^53).
 */
export type ManifestDocument = ApplicationDocument | ClusterGroupDocument | DeploymentDocument;

/**
 * A text that still holds `{{ variables }}`, kept with its place so that an undefined variable can be reported.
 * Fields typed `Templated<T>` hold either the final value or this.
 */
export interface TemplateText {
  readonly template: string;
  readonly position: Position;
  /** Path inside the document, for error texts. */
  readonly path: string;
}
export type Templated<T> = T | TemplateText;

export type Lifecycle = "draft" | "testonly" | "production" | "undeploy";
export type MachineType = "bios" | "uefi" | "tpm";
export type GuestState = "running" | "shutoff";
export type NicType = "virtio" | "e1000" | "rtl8139";
export type DiskType = "virtio_disk" | "ide_disk" | "scsi_disk" | "ide_cdrom";

/** `type: Application`: assets and the virdomains that use them. */
export interface ApplicationDocument {
  readonly type: "Application";
  readonly position: Position;
  readonly name: string;
  readonly description: string;
  readonly labels: readonly string[];
  /** `metadata.clusterGroups`: names of cluster groups this application goes to without a Deployment. */
  readonly clusterGroups: readonly string[];
  readonly lifecycle: Lifecycle;
  readonly assets: readonly AssetTemplate[];
  readonly resources: readonly VirdomainTemplate[];
}

export interface AssetTemplate {
  readonly name: string;
  readonly type: "virtual_disk" | "iso";
  /** `raw`, `qcow2`, `vmdk`, `vhd`, `vhdx` or `iso`. */
  readonly format: string;
  readonly url: Templated<string>;
  readonly position: Position;
}

export interface VirdomainTemplate {
  /** The resource name as written (its raw text, variables included): part of the VM's identity. */
  readonly resource: string;
  readonly name: Templated<string>;
  readonly position: Position;
  readonly description: Templated<string>;
  readonly os: Templated<string> | undefined;
  readonly cpu: Templated<number>;
  readonly memoryBytes: Templated<number>;
  readonly machineType: MachineType;
  readonly state: GuestState;
  readonly tags: readonly Templated<string>[];
  readonly disks: readonly DiskTemplate[];
  readonly nics: readonly NicTemplate[];
  /** Absent when the manifest has no cloud_init_data, or an empty one. Guest text: unknown variables stay as they are. */
  readonly cloudInit: { readonly userData: Templated<string>; readonly metaData: Templated<string> } | undefined;
}

export interface DiskTemplate {
  readonly name: string;
  readonly type: DiskType;
  /** Name of an asset of the same application. */
  readonly source: string | undefined;
  /** Undefined: the image's own size (or a CD-ROM). */
  readonly capacityBytes: Templated<number> | undefined;
  readonly boot: number | undefined;
  readonly position: Position;
}

export interface NicTemplate {
  readonly name: string;
  readonly type: NicType;
  readonly vlan: Templated<number> | undefined;
  readonly position: Position;
}

/** Chooses clusters: by name or glob (`store-1*`), or by label `key=value`. */
export type ClusterSelector = { readonly name: string } | { readonly label: string };

export type Variables = Readonly<Record<string, string>>;

/** `type: ClusterGroup`: a named set of clusters with variables of their own. */
export interface ClusterGroupDocument {
  readonly type: "ClusterGroup";
  readonly position: Position;
  readonly name: string;
  readonly clusters: readonly ClusterSelector[];
  readonly variables: Variables;
}

/** `type: Deployment`: applications x cluster groups, with variables, instances, order and policy. */
export interface DeploymentDocument {
  readonly type: "Deployment";
  readonly position: Position;
  readonly name: string;
  readonly applications: readonly string[];
  readonly clusterGroups: readonly string[];
  readonly variables: Variables;
  /** Resource name or tag -> number of copies. */
  readonly instances: Readonly<Record<string, number>>;
  /** Steps, each a tag or a VM name. */
  readonly order: readonly string[];
  /** New resource name -> the name it had before, per application resource. */
  readonly renamedFrom: Readonly<Record<string, string>>;
  readonly readiness: Readiness | undefined;
  readonly rollout: Rollout | undefined;
  readonly policy: Policy;
}

/** When a VM counts as ready, beyond being in its power state. */
export interface Readiness {
  readonly guestAgent: boolean;
  /** cloud-init has finished in the guest, asked through its agent. VMs without cloud-init data are not asked. */
  readonly cloudInit: boolean;
  /** TCP port that must accept a connection on an address of the guest. */
  readonly tcp: number | undefined;
  /** `http://` path and port probed on an address of the guest, e.g. `:8080/healthz`. */
  readonly http: string | undefined;
  readonly timeoutMs: number;
}

/** The pace of a deployment over its clusters. */
export interface Rollout {
  /** Names of cluster groups, else of clusters: these go first. */
  readonly canary: readonly string[];
  /** Clusters at a time: a count, or a percentage of all of the deployment's. Undefined: all that are left. */
  readonly batch: { readonly count: number } | { readonly percent: number } | undefined;
  /** From the end of a stage to the beginning of the next one. */
  readonly pauseMs: number;
  /** Whether the first failure keeps clusters that have not begun from beginning. */
  readonly stopOnFailure: boolean;
}

export interface DeletionBudget {
  readonly count: number;
  readonly percent: number;
}

/** What a deployment allows; fields left out fall back to `defaultPolicy`. */
export interface Policy {
  readonly drift: "correct" | "report";
  /** Whether `state` of the manifest holds for good, or only until the VM has been made: then its power is people's. */
  readonly power: "enforced" | "initial";
  readonly cloudInit: "ignore" | "rebuild" | "refuse";
  readonly adopt: boolean;
  /** How long a deleted VM is kept, switched off; 0: not at all. */
  readonly quarantineMs: number;
  readonly deletionBudget: DeletionBudget;
  /** Tags or VM names that may not be deleted or rebuilt. */
  readonly protect: readonly string[];
  /** How long a guest gets to shut down by itself. */
  readonly shutdownGraceMs: number;
  /** Whether a guest that ignores the shutdown is then switched off. */
  readonly forceShutdown: boolean;
  readonly snapshots: SnapshotPolicy;
}

export const snapshotOccasions = ["reboot", "rebuild", "data-loss"] as const;
/** A cost of a change that is reason enough for a snapshot before it. */
export type SnapshotOccasion = (typeof snapshotOccasions)[number];

/** Before which changes a snapshot of the VM is taken; before none when the list is empty. */
export interface SnapshotPolicy {
  readonly before: readonly SnapshotOccasion[];
  /** From when it is taken until it is removed. */
  readonly keepMs: number;
}

export const defaultPolicy: Policy = {
  drift: "correct",
  power: "enforced",
  cloudInit: "ignore",
  adopt: false,
  quarantineMs: 7 * 24 * 3_600_000,
  deletionBudget: { count: 3, percent: 20 },
  protect: [],
  shutdownGraceMs: 300_000,
  forceShutdown: true,
  snapshots: { before: snapshotOccasions, keepMs: 7 * 24 * 3_600_000 },
};
