import {
  type DesiredState,
  type DesiredVirdomain,
  identityKey,
  type Target,
  targetKey,
} from "../fleet/desired-state.ts";
import type { ClusterCapacity } from "./cluster-capacity.ts";
import { targetsOn } from "./cluster-index.ts";
import type { LiveState, LiveVirdomain, PlatformTraits } from "./live-state.ts";
import { indexNames, indexOwned } from "./match-virdomains.ts";

/** Everything planning one cluster rests on. */
export interface ClusterPlanInput {
  readonly instance: string;
  readonly desired: DesiredState;
  /** What the revision before asked for; tells a change of git from drift, and the order of deletions. */
  readonly base: DesiredState | undefined;
  readonly live: LiveState;
  readonly traits: PlatformTraits;
  /** Targets an earlier sync left in motion: what differs there is ours to put right, not drift. */
  readonly enforced: ReadonlySet<string>;
  /** Target keys to plan; undefined plans everything on this cluster. */
  readonly scope: ReadonlySet<string> | undefined;
  /** Whether marks are moved to where the platform keeps them best by now: no news for a review. Left out: yes. */
  readonly upkeep?: boolean;
  /** `cluster/identity` of VMs that a change which broke off left switched off, whoever decides about their power. */
  readonly owedStarts?: ReadonlySet<string>;
  /** What the cluster has room for. Left out: not asked. */
  readonly capacity?: ClusterCapacity | undefined;
}

/** The input sorted for looking things up, and what has been claimed so far. */
export interface Planner {
  readonly input: ClusterPlanInput;
  readonly owned: ReadonlyMap<string, readonly LiveVirdomain[]>;
  /** VMs of this repository in quarantine, by identity. */
  readonly quarantined: ReadonlyMap<string, readonly LiveVirdomain[]>;
  readonly names: ReadonlyMap<string, readonly LiveVirdomain[]>;
  readonly base: ReadonlyMap<string, DesiredVirdomain>;
  /** Identities asked for on this cluster: a VM that could not be matched (a conflict) is not deleted meanwhile. */
  readonly wanted: ReadonlySet<string>;
  /** Ids of live VMs that a desired VM is, in this cluster. */
  readonly claimed: Set<string>;
}

export function createPlanner(input: ClusterPlanInput): Planner {
  const { cluster, virdomains, quarantined = [] } = input.live;
  return {
    input,
    owned: indexOwned(virdomains, input.instance, input.desired.repository),
    quarantined: indexOwned(quarantined, input.instance, input.desired.repository),
    names: indexNames([...virdomains, ...quarantined]),
    base: baseVirdomains(input, cluster),
    wanted: identityKeys(targetsOn(input.desired, cluster)),
    claimed: new Set<string>(),
  };
}

export function inScope(
  input: ClusterPlanInput,
  target: { readonly cluster: string; readonly application: string },
): boolean {
  return input.scope === undefined || input.scope.has(targetKey(target));
}

function baseVirdomains(input: ClusterPlanInput, cluster: string): Map<string, DesiredVirdomain> {
  const virdomains = targetsOn(input.base, cluster).flatMap((target) => target.virdomains);
  return new Map(virdomains.map((virdomain) => [identityKey(virdomain.identity), virdomain]));
}

function identityKeys(targets: readonly Target[]): Set<string> {
  const virdomains = targets.flatMap((target) => target.virdomains);
  return new Set(
    virdomains.flatMap((virdomain) => [virdomain.identity, ...virdomain.formerIdentities].map(identityKey)),
  );
}
