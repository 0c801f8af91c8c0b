import { type PlanInput, buildPlan } from "../../plan/build-plan.ts";
import type { ClusterCapacity } from "../../plan/cluster-capacity.ts";
import type { Plan } from "../../plan/plan.ts";
import type { Engine } from "../engine.ts";

/** A cluster that does not tell within this time is planned without knowing its room. */
const patienceMs = 5_000;
/** Clusters asked at the same time. */
const breadth = 16;

/**
 * Builds a plan, and builds it once more with what the clusters have room for when anything in it needs room; a plan
 * without such operations costs no further call.
 */
export async function planWithCapacity(
  engine: Pick<Engine, "hypervisor" | "log">,
  input: PlanInput,
  signal: AbortSignal,
): Promise<Plan> {
  const plan = buildPlan(input);
  if (input.offline) return plan;
  const demanding = plan.operations.filter(({ demand, snapshot }) => demand !== undefined || snapshot !== undefined);
  const clusters = [...new Set(demanding.map(({ cluster }) => cluster))];
  if (clusters.length === 0) return plan;
  const capacity = await readCapacities(engine, clusters, signal);
  return capacity.size === 0 ? plan : buildPlan({ ...input, capacity });
}

async function readCapacities(
  engine: Pick<Engine, "hypervisor" | "log">,
  clusters: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, ClusterCapacity>> {
  const capacities = new Map<string, ClusterCapacity>();
  const waiting = [...clusters];
  const place = async (): Promise<void> => {
    for (let cluster = waiting.shift(); cluster !== undefined; cluster = waiting.shift()) {
      try {
        const hypervisor = await engine.hypervisor(cluster);
        const patience = AbortSignal.any([signal, AbortSignal.timeout(patienceMs)]);
        capacities.set(cluster, await hypervisor.readCapacity(patience));
      } catch (error) {
        signal.throwIfAborted();
        engine.log.debug({ err: error, cluster }, "capacity of a cluster cannot be read now");
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(breadth, clusters.length) }, place));
  return capacities;
}
