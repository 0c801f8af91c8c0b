import { contentHash } from "../lib/canonical-json.ts";
import type { DesiredState } from "../fleet/desired-state.ts";
import { assumeApplied } from "./assume-applied.ts";
import { checkCapacity } from "./check-capacity.ts";
import type { ClusterCapacity } from "./cluster-capacity.ts";
import { targetsOn } from "./cluster-index.ts";
import { judgeDeletions } from "./deletion-rules.ts";
import type { LiveState, PlatformTraits } from "./live-state.ts";
import { type ClusterPlan, planCluster } from "./plan-cluster.ts";
import { rolloutsOf } from "./rollout-work.ts";
import { type CapacityFinding, type HeldCluster, type Operation, type Plan, planSchemaVersion } from "./plan.ts";

/** Everything a plan rests on. `live` has an entry for each cluster that could be read; the others are in `held`. */
export interface PlanInput {
  readonly instance: string;
  readonly revision: string;
  readonly baseRevision: string | undefined;
  readonly desired: DesiredState;
  readonly base: DesiredState | undefined;
  readonly live: ReadonlyMap<string, { readonly state: LiveState; readonly traits: PlatformTraits }>;
  readonly held: readonly HeldCluster[];
  /** Traits of the held clusters, to foresee what they would lose. */
  readonly traitsOfHeld: ReadonlyMap<string, PlatformTraits>;
  readonly enforced: ReadonlySet<string>;
  readonly scope: ReadonlySet<string> | undefined;
  readonly upkeep?: boolean;
  readonly owedStarts?: ReadonlySet<string>;
  /** What clusters have room for, by name; those that were not asked are not in it. */
  readonly capacity?: ReadonlyMap<string, ClusterCapacity>;
  readonly rewritten: boolean;
  /** Revisions in marks that the repository does not know; only those of VMs that would lose data need to be looked for. */
  readonly unknownRevisions?: ReadonlySet<string>;
  readonly approvals: ReadonlySet<string>;
  readonly offline: boolean;
}

/** The plan of one revision over all clusters. Deterministic: the same facts give the same plan and the same id. */
export function buildPlan(input: PlanInput): Plan {
  const clusters = [...input.live.keys()].sort();
  const parts: ClusterPlan[] = [];
  const findings: CapacityFinding[] = [];
  for (const name of clusters) {
    const cluster = input.live.get(name);
    if (cluster === undefined) continue;
    const capacity = input.capacity?.get(name);
    const part = planCluster({ ...input, live: cluster.state, traits: cluster.traits, capacity });
    parts.push(part);
    if (capacity !== undefined) findings.push(...checkCapacity(name, part.operations, capacity));
  }
  const operations = parts.flatMap((part) => part.operations);
  const ownedLive = parts.reduce((sum, part) => sum + part.owned, 0);
  const ownedBefore = Math.max(ownedLive, countVirdomains(input.base));
  const facts = {
    targets: parts.flatMap((part) => part.targets),
    operations,
    conflicts: parts.flatMap((part) => part.conflicts),
    held: input.held,
  };
  const rollouts = rolloutsOf(input, facts);
  const content = {
    schemaVersion: planSchemaVersion as typeof planSchemaVersion,
    repository: input.desired.repository,
    revision: input.revision,
    baseRevision: input.baseRevision,
    ...facts,
    problems: input.desired.problems,
    deletions: judgeDeletions({
      operations: [...operations, ...foreseeHeld(input)],
      desired: input.desired,
      ownedBefore,
      rewritten: input.rewritten,
      foreign: operations.filter((operation) => input.unknownRevisions?.has(markedRevision(operation, input) ?? "")),
      approvals: input.approvals,
    }),
    capacity: findings,
    ...(rollouts.length === 0 ? {} : { rollouts }),
    offline: input.offline,
  };
  return { ...content, id: contentHash(content, 12) };
}

/** The revision that was applied last to the VM of an operation, as its mark has it (it may be abbreviated). */
export function markedRevision(
  { cluster, virdomainId }: Operation,
  { live }: Pick<PlanInput, "live">,
): string | undefined {
  return live.get(cluster)?.state.virdomains.find(({ id }) => id === virdomainId)?.mark?.revision;
}

function countVirdomains(desired: DesiredState | undefined): number {
  let count = 0;
  for (const target of desired?.targets.values() ?? []) count += target.virdomains.length;
  return count;
}

/**
 * What a cluster that cannot be read now will have to do when it comes back, from git alone: its losses count in the
 * budget from the beginning, and are done later only when they were foreseen here.
 */
function foreseeHeld(input: PlanInput): readonly Operation[] {
  return input.held.flatMap(({ cluster }) => {
    const traits = input.traitsOfHeld.get(cluster);
    if (input.base === undefined || traits === undefined) return [];
    const virdomains = targetsOn(input.base, cluster)
      .flatMap((target) => target.virdomains)
      .map((virdomain) => assumeApplied(virdomain, input.instance, input.baseRevision));
    return planCluster({ ...input, live: { cluster, virdomains }, traits, capacity: undefined }).operations;
  });
}
