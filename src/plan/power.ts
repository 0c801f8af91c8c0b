import { type DesiredVirdomain, identityKey, type VirdomainIdentity } from "../fleet/desired-state.ts";
import type { LiveVirdomain } from "./live-state.ts";

/**
 * Whether people decide about a VM's power by now: policy gives it to them, and the VM is whole. What comes back from
 * quarantine was switched off by us, and is as good as new.
 */
export function isPowerOfPeople({ policy }: DesiredVirdomain, { mark }: Pick<LiveVirdomain, "mark">): boolean {
  return policy.power === "initial" && mark?.building !== true && mark?.quarantine === undefined;
}

/** The VM with the power it has now, where that is people's: what a change of something else has to leave behind. */
export function keepingPower(desired: DesiredVirdomain, live: LiveVirdomain): DesiredVirdomain {
  if (!isPowerOfPeople(desired, live)) return desired;
  return { ...desired, state: live.power === "shutoff" || live.power === "crashed" ? "shutoff" : "running" };
}

/** The key of a VM of one cluster among those that have to be switched on again. */
export function owedKey(cluster: string, identity: VirdomainIdentity): string {
  return `${cluster}/${identityKey(identity)}`;
}

/**
 * The VM as it has to be after we switched it off for a change that did not come to its end: on, whoever decides about its
 * power otherwise.
 */
export function owedPower(desired: DesiredVirdomain): DesiredVirdomain {
  return { ...desired, state: "running", policy: { ...desired.policy, power: "enforced" } };
}
