import { type DesiredState, targetKey } from "../fleet/desired-state.ts";
import { targetsOn } from "./cluster-index.ts";
import type { Plan } from "./plan.ts";
import { type RolloutPlan, stageRollouts } from "./stage-rollouts.ts";

interface Given {
  readonly desired: DesiredState;
  readonly base: DesiredState | undefined;
  readonly scope: ReadonlySet<string> | undefined;
}

/**
 * The stages of a plan. A cluster takes part when a deployment with a rollout has an operation or a conflict there; one
 * that could not be read, when such a deployment may have something to do there.
 */
export function rolloutsOf(
  given: Given,
  plan: Pick<Plan, "targets" | "operations" | "conflicts" | "held">,
): readonly RolloutPlan[] {
  const { rollouts } = given.desired;
  if (rollouts === undefined || rollouts.size === 0) return [];
  const work = new Map<string, Set<string>>();
  const add = (deployment: string | undefined, cluster: string): void => {
    if (deployment === undefined) return;
    const known = work.get(deployment) ?? new Set<string>();
    work.set(deployment, known.add(cluster));
  };
  const deployments = new Map(plan.targets.map((target) => [targetKey(target), target.deployment]));
  for (const { deployment, cluster } of plan.operations) add(deployment, cluster);
  for (const conflict of plan.conflicts) add(deployments.get(targetKey(conflict)), conflict.cluster);
  for (const { cluster } of plan.held) {
    const targets = [...targetsOn(given.desired, cluster), ...targetsOn(given.base, cluster)];
    for (const target of targets)
      if (given.scope === undefined || given.scope.has(targetKey(target))) add(target.deployment, cluster);
  }
  return stageRollouts(rollouts, work);
}
