import type { DiskType, GuestState, MachineType, NicType, Policy, Readiness } from "../manifest/document.ts";
import type { Position, Problem } from "../manifest/problem.ts";
import type { NetworkTarget } from "./cluster.ts";
import type { RolloutRules } from "./resolve-rollouts.ts";

/**
 * What makes a VM the same VM over time. It is written on the VM itself, so that it outlives our own memory.
 * `deployment` is informative: a VM found without its exact deployment is still matched by the rest.
 */
export interface VirdomainIdentity {
  readonly repository: string;
  readonly application: string;
  /** Resource name as written in the manifest, variables included. */
  readonly resource: string;
  /** 1..N for `instances`, otherwise 0. */
  readonly ordinal: number;
}

/** One text for an identity, used as key in maps, locks and reports: `fleet/three-tier-webapp/web-tier-lb` or `.../app-tier#2`. */
export function identityKey(identity: VirdomainIdentity): string {
  const base = `${identity.repository}/${identity.application}/${identity.resource}`;
  return identity.ordinal === 0 ? base : `${base}#${identity.ordinal}`;
}

/** An asset as a cluster must fetch it: variables filled in, not yet mirrored. */
export interface DesiredAsset {
  readonly name: string;
  readonly type: "virtual_disk" | "iso";
  readonly format: string;
  readonly url: string;
  /** Hash of the URL: says whether a disk was made from this asset without downloading anything. */
  readonly id: string;
}

export interface DesiredDisk {
  readonly name: string;
  readonly type: DiskType;
  readonly asset: DesiredAsset | undefined;
  /** Undefined: as large as the image. */
  readonly capacityBytes: number | undefined;
  readonly boot: number | undefined;
}

export interface DesiredNic {
  readonly name: string;
  readonly type: NicType;
  readonly network: NetworkTarget;
}

export interface DesiredCloudInit {
  readonly userData: string;
  readonly metaData: string;
  /** Hash of both texts, remembered on the VM: cloud-init cannot be read back. */
  readonly hash: string;
}

/** One VM as git wants it on one cluster: everything rendered, nothing left to decide. Holds guest secrets in cloudInit. */
export interface DesiredVirdomain {
  readonly identity: VirdomainIdentity;
  readonly deployment: string | undefined;
  /** Identities this VM may also be found under (`renamed_from`). */
  readonly formerIdentities: readonly VirdomainIdentity[];
  readonly name: string;
  readonly description: string;
  readonly os: string | undefined;
  readonly cpu: number;
  /** Rounded up to whole MiB. */
  readonly memoryBytes: number;
  /** What the manifest asks for where the cluster's limits give less. Left out: the VM gets what it asks for. */
  readonly scaledDown?: { readonly memoryBytes?: number; readonly cpu?: number };
  readonly machineType: MachineType;
  readonly state: GuestState;
  readonly tags: readonly string[];
  readonly disks: readonly DesiredDisk[];
  readonly nics: readonly DesiredNic[];
  readonly cloudInit: DesiredCloudInit | undefined;
  /** Step in the order of its deployment, from 0; VMs no step names come after the last step. */
  readonly step: number;
  readonly readiness: Readiness | undefined;
  readonly policy: Policy;
  readonly position: Position;
}

/** One application (of a deployment) on one cluster: the unit of sync state. */
export interface Target {
  readonly cluster: string;
  readonly application: string;
  readonly deployment: string | undefined;
  readonly virdomains: readonly DesiredVirdomain[];
  /** Hash of everything above: equal hashes mean nothing to do for this target. */
  readonly hash: string;
}

/** `cluster/application`, the key of a target. */
export function targetKey(target: { readonly cluster: string; readonly application: string }): string {
  return `${target.cluster}/${target.application}`;
}

/** What one revision asks of the whole fleet. */
export interface DesiredState {
  readonly repository: string;
  /** By target key, in a stable order. */
  readonly targets: ReadonlyMap<string, Target>;
  readonly problems: readonly Problem[];
  /** Applications named anywhere in the repository that are broken: their VMs are neither changed nor deleted. */
  readonly brokenApplications: ReadonlySet<string>;
  /**
   * True when every file could be read far enough to know which applications exist. When false, a VM whose
   * application is not found is kept: its manifest may be in the file that could not be read.
   */
  readonly complete: boolean;
  /** Applications removed on purpose by `lifecycle: undeploy`. */
  readonly undeployed: ReadonlySet<string>;
  /** Applications with `lifecycle: draft`: validated only. They have no targets, and VMs they may have stay as they are. */
  readonly drafts?: ReadonlySet<string>;
  /** The pace of deployments that have one, by name. */
  readonly rollouts?: ReadonlyMap<string, RolloutRules>;
}
