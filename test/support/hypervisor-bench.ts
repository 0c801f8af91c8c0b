import type { DesiredAsset, DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import type { Hypervisor } from "../../src/ports/hypervisor.ts";
import { desiredVm } from "./desired-vm.ts";

/** What the suite needs from a platform besides its driver. */
export interface HypervisorBench extends AsyncDisposable {
  readonly driver: Hypervisor;
  readonly instance: string;
  /** A VM as it can be on this platform: its networks stand for the VLANs of the suite. */
  adapt(desired: DesiredVirdomain): DesiredVirdomain;
  image(name: string): Promise<DesiredAsset>;
  iso(name: string): Promise<DesiredAsset>;
  /** The image of a guest that hears a shutdown request. */
  guest(): Promise<DesiredAsset>;
  /** Waits until that guest is up in a VM that was started. */
  untilBooted(id: string): Promise<void>;
  /** A person copies a VM by the platform's own means; answers the copy's id. */
  cloneByHand(live: LiveVirdomain, name: string): Promise<string>;
  /** A person makes a VM by hand; answers its id. */
  createByHand(name: string): Promise<string>;
  /** Every tag a person sees on a VM, ours included. */
  rawTags(id: string): Promise<readonly string[]>;
  /** From now on the guest does not hear a shutdown request. */
  ignoreShutdown(name: string): Promise<void>;
  /** Every snapshot on the cluster. */
  snapshots(): Promise<readonly BenchSnapshot[]>;
  /** A person takes a snapshot; answers its id. `expiresAtMs` 0: kept for ever. */
  snapshotByHand(virdomainId: string, label: string, expiresAtMs: number): Promise<string>;
}

/** A snapshot as the platform shows it. `label` is the whole one. */
export interface BenchSnapshot {
  readonly id: string;
  readonly virdomainId: string;
  readonly label: string;
  readonly replicated: boolean;
  readonly expiresAtMs: number;
}

/** A VM of the suite on the networks of this platform. */
export function vmOn(
  bench: HypervisorBench,
  name: string,
  overrides: Partial<DesiredVirdomain> = {},
): DesiredVirdomain {
  return bench.adapt(desiredVm(name, overrides));
}
