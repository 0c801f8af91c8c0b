import type { DesiredState, Target } from "../fleet/desired-state.ts";

interface Index {
  readonly byCluster: ReadonlyMap<string, readonly Target[]>;
  readonly applications: ReadonlySet<string>;
}

const indexes = new WeakMap<DesiredState, Index>();

/** A desired state is immutable, so it is sorted by cluster once however many clusters are planned from it. */
function indexOf(desired: DesiredState): Index {
  const known = indexes.get(desired);
  if (known !== undefined) return known;
  const byCluster = new Map<string, Target[]>();
  const applications = new Set<string>();
  for (const target of desired.targets.values()) {
    applications.add(target.application);
    const list = byCluster.get(target.cluster);
    if (list === undefined) byCluster.set(target.cluster, [target]);
    else list.push(target);
  }
  const index = { byCluster, applications };
  indexes.set(desired, index);
  return index;
}

/** The targets of one cluster, in the desired state's order. */
export function targetsOn(desired: DesiredState | undefined, cluster: string): readonly Target[] {
  return desired === undefined ? [] : (indexOf(desired).byCluster.get(cluster) ?? []);
}

/** Applications with at least one target anywhere. */
export function plannedApplications(desired: DesiredState): ReadonlySet<string> {
  return indexOf(desired).applications;
}
