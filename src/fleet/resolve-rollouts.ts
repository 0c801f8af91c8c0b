import type { ClusterGroupDocument, DeploymentDocument, Rollout } from "../manifest/document.ts";
import type { Problem } from "../manifest/problem.ts";
import type { Cluster } from "./cluster.ts";
import { resolveClusterGroup } from "./cluster-group.ts";
import type { Inventory } from "./document-inventory.ts";

/** A deployment's rollout with everything that stood in names and percentages worked out. */
export interface RolloutRules {
  /** Clusters of the deployment that go first, by name. */
  readonly canaries: readonly string[];
  /** Clusters at a time after that; undefined: all that are left. */
  readonly batch: number | undefined;
  readonly pauseMs: number;
  readonly stopOnFailure: boolean;
}

export interface FleetRollouts {
  /** By deployment. */
  readonly rules: ReadonlyMap<string, RolloutRules>;
  readonly problems: readonly Problem[];
  readonly brokenApplications: ReadonlySet<string>;
}

/**
 * The rollouts of all deployments. A canary that is nobody breaks the deployment's applications: without it, what it was
 * to try out would meet every cluster at once.
 */
export function resolveRollouts(inventory: Inventory, clusters: readonly Cluster[]): FleetRollouts {
  const rules = new Map<string, RolloutRules>();
  const problems: Problem[] = [];
  const brokenApplications = new Set<string>();
  for (const deployment of new Set([...inventory.deployments.values()].flat())) {
    const { rollout, name } = deployment;
    if (rollout === undefined) continue;
    const members = membersOf(deployment.clusterGroups, inventory.groups, clusters);
    const found = rollout.canary.map((entry) => ({ entry, names: canariesOf(entry, members, inventory, clusters) }));
    for (const { entry, names } of found) {
      if (names.length > 0) continue;
      problems.push(unmatched(deployment, entry));
      for (const application of deployment.applications) brokenApplications.add(application);
    }
    rules.set(name, {
      canaries: [...new Set(found.flatMap(({ names }) => names))],
      batch: batchSize(rollout.batch, members.size),
      pauseMs: rollout.pauseMs,
      stopOnFailure: rollout.stopOnFailure,
    });
  }
  return { rules, problems, brokenApplications };
}

function membersOf(
  names: readonly string[],
  groups: ReadonlyMap<string, ClusterGroupDocument>,
  clusters: readonly Cluster[],
): ReadonlySet<string> {
  const chosen = names.flatMap((name) => {
    const group = groups.get(name);
    return group === undefined ? [] : resolveClusterGroup(group, clusters).clusters;
  });
  return new Set(chosen.map(({ name }) => name));
}

/** A group goes before a cluster of its name. */
function canariesOf(
  entry: string,
  members: ReadonlySet<string>,
  { groups }: Inventory,
  clusters: readonly Cluster[],
): readonly string[] {
  const named = groups.has(entry) ? [...membersOf([entry], groups, clusters)] : [entry];
  return named.filter((name) => members.has(name));
}

/** A percentage is rounded up, so that it is one cluster at least. */
function batchSize(batch: Rollout["batch"], clusters: number): number | undefined {
  if (batch === undefined) return undefined;
  return "count" in batch ? batch.count : Math.max(1, Math.ceil((clusters * batch.percent) / 100));
}

function unmatched({ name, position, clusterGroups }: DeploymentDocument, entry: string): Problem {
  return {
    severity: "error",
    code: "canary-unmatched",
    position,
    path: "spec.rollout.canary",
    message: `the canary "${entry}" is no cluster of the deployment "${name}", and no group that holds one`,
    hint: `name a cluster group or a cluster out of ${clusterGroups.join(", ")}`,
  };
}
