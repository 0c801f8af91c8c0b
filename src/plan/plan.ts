import type { VirdomainIdentity } from "../fleet/desired-state.ts";
import type { Problem } from "../manifest/problem.ts";
import type { Demand } from "./cluster-capacity.ts";
import type { ChangeKind, QuarantineNote } from "./live-state.ts";
import type { RolloutPlan } from "./stage-rollouts.ts";

export const planSchemaVersion = 1;

/**
 * What a change costs the guest, from nothing to everything:
 * `live` no interruption; `reboot` shut down and started again; `rebuild` the VM is made anew; `data-loss` a disk's content goes.
 */
export type Disruption = "live" | "reboot" | "rebuild" | "data-loss";
export const disruptionOrder: readonly Disruption[] = ["live", "reboot", "rebuild", "data-loss"];

/** Where a change comes from: this revision (git against git), or drift that was there before (git against live). */
export type ChangeOrigin = "git" | "drift";

/** One field that differs. `from` and `to` are ready to show; sensitive text is masked already. */
export interface Change {
  readonly kind: ChangeKind;
  /** Manifest path relative to the virdomain, e.g. `memory`, `storage_devices.db-data.capacity`. */
  readonly path: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly disruption: Disruption;
  readonly origin: ChangeOrigin;
  /** Size of the disk whose content goes, for `data-loss`. */
  readonly lostBytes?: number;
}

/** Something a reader should know that is no operation, e.g. "cloud-init changed: no effect until the VM is rebuilt". */
export interface Notice {
  readonly code:
    | "cloud-init-unchanged-guest"
    | "disk-not-shrunk"
    | "may-restart"
    | "scaled-down"
    | "foreign-disk"
    | "foreign-nic"
    | "adopts"
    | "still-building"
    | "stays-protected"
    | "stays-quarantined"
    | "stays-incomplete";
  readonly path: string;
  readonly message: string;
  /** A line difference worth folding out; secrets are masked. */
  readonly detail?: string;
}

/** `quarantine` shuts a VM down and sets it aside in place of deleting it, `restore` brings such a VM back with its disks. */
export type OperationKind = "create" | "update" | "replace" | "delete" | "start" | "stop" | "quarantine" | "restore";

/** One step on one VM of one cluster. */
export interface Operation {
  /** Stable within a plan: hash of cluster, identity and kind. */
  readonly id: string;
  readonly kind: OperationKind;
  readonly cluster: string;
  readonly application: string;
  readonly deployment: string | undefined;
  readonly identity: VirdomainIdentity;
  /** What the VM's mark says it is, where it is renamed. Left out: the same. */
  readonly formerly?: VirdomainIdentity;
  /** The VM's name, for people. */
  readonly virdomain: string;
  /** The platform's id of the VM it was planned on; undefined for create. */
  readonly virdomainId: string | undefined;
  readonly changes: readonly Change[];
  readonly notices: readonly Notice[];
  readonly disruption: Disruption;
  /** Takes over a VM that carried no mark. */
  readonly adopt: boolean;
  /** Operations of one step run side by side; a later step waits for all earlier ones. Deletions come last, in reverse order. */
  readonly step: number;
  /** Hash of the live facts this was planned on; "" for create. */
  readonly fingerprint: string;
  /** Disks that go with a delete or replace, later with a quarantine, come into being with a create, or back with a restore. */
  readonly disks: readonly { readonly name: string; readonly capacityBytes: number | undefined }[];
  /** A snapshot is taken before the first change. Left out: none is. */
  readonly snapshot?: PlannedSnapshot;
  /** What it asks of its cluster. Left out: nothing the VM does not have already. */
  readonly demand?: Demand;
  /** How long the VM that goes, or is replaced, stays in quarantine. Left out: it goes into none. */
  readonly quarantine?: PlannedQuarantine;
  /** The quarantine a VM comes back from. Left out: it comes from none. */
  readonly restores?: QuarantineNote;
  /** The VM in quarantine that takes the place of a replaced one, with its disks. Left out: a new one is made. */
  readonly successor?: PlannedSuccessor;
}

export interface PlannedSuccessor {
  readonly virdomainId: string;
  /** The quarantine it comes back from. */
  readonly note: QuarantineNote;
  readonly disks: Operation["disks"];
}

export interface PlannedQuarantine {
  /** From when it begins. */
  readonly keepMs: number;
  /** When it ends, where it has begun already and is only completed. */
  readonly untilMs?: number;
}

export interface PlannedSnapshot {
  /** From when it is taken; one of a VM that is rebuilt goes with the old VM before that. */
  readonly keepMs: number;
}

/** A VM that cannot be planned: a name taken by a VM that is not ours, an unmapped network, a policy that refuses. */
export interface Conflict {
  readonly code:
    | "name-taken"
    | "duplicate-mark"
    | "network-unmapped"
    | "cloud-init-refused"
    | "protected"
    | "name-twice"
    | "replica"
    | "unsupported-change"
    | "does-not-fit";
  readonly cluster: string;
  readonly application: string;
  readonly virdomain: string;
  readonly message: string;
}

/** A cluster that could not be read now; its operations are planned when it comes back. */
export interface HeldCluster {
  readonly cluster: string;
  readonly code: string;
  readonly reason: string;
}

/** Something a cluster may not have room for, as a sentence with its numbers. Bytes; undefined where nobody tells one. */
export interface CapacityFinding {
  readonly cluster: string;
  readonly resource: "memory" | "storage" | "tier";
  readonly neededBytes: number | undefined;
  readonly availableBytes: number | undefined;
  readonly message: string;
}

/** What one VM loses: enough to tell a loss that was shown from a greater one that was not. */
export interface Loss {
  readonly cluster: string;
  /** Identity key of the VM. */
  readonly key: string;
  readonly kind: OperationKind;
  /** Disks that go with an update; empty for a deletion or a rebuild, which takes all. */
  readonly paths: readonly string[];
}

/** What the deletion rules say of this plan's losses (VM deletions, rebuilds, removed disks). */
export interface DeletionVerdict {
  /** VMs that lose data if everything planned is done, by `cluster/name`. */
  readonly losing: readonly string[];
  /** The same losses exactly: nothing else may be lost. */
  readonly losses: readonly Loss[];
  readonly budget: number;
  readonly allowed: boolean;
  /** Why not, when not allowed, as a sentence. */
  readonly reason: string | undefined;
  /** The same in a word. */
  readonly cause: "empty" | "rewritten" | "foreign" | "budget" | undefined;
  /** Binds an approval to exactly this set of losses: `Kraken-Approve: <approvalId>`. "" when nothing is lost. */
  readonly approvalId: string;
  readonly approved: boolean;
}

/** VMs already as desired are counted, not listed. */
export interface TargetSummary {
  readonly cluster: string;
  readonly application: string;
  readonly deployment: string | undefined;
  readonly unchanged: number;
  readonly operations: number;
  readonly notices: readonly (Notice & { readonly virdomain: string })[];
}

/** An immutable, serialisable plan. `id` is the hash of everything it rests on. */
export interface Plan {
  readonly schemaVersion: typeof planSchemaVersion;
  readonly id: string;
  readonly repository: string;
  readonly revision: string;
  /** The revision this is compared with: last synced, or a pull request's base. Undefined on first sight. */
  readonly baseRevision: string | undefined;
  readonly targets: readonly TargetSummary[];
  readonly operations: readonly Operation[];
  readonly conflicts: readonly Conflict[];
  readonly held: readonly HeldCluster[];
  readonly problems: readonly Problem[];
  readonly deletions: DeletionVerdict;
  /** What clusters may not have room for; empty as well where they were not asked. */
  readonly capacity: readonly CapacityFinding[];
  /** In which order clusters are changed where deployments say so. Left out: all at once. */
  readonly rollouts?: readonly RolloutPlan[];
  /** Planned without asking the clusters (git against git only). */
  readonly offline: boolean;
}
