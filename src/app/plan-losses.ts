import { markedRevision, type PlanInput } from "../plan/build-plan.ts";
import { losesData } from "../plan/deletion-rules.ts";
import type { Plan } from "../plan/plan.ts";
import type { Engine, Repository } from "./engine.ts";
import { planWithCapacity } from "./plan-with-capacity.ts";

/**
 * Builds a plan, and builds it once more when a VM that would lose data was last changed by a commit the repository does
 * not have: such a loss waits for a person. It is what two instances of one name, or a repository put in the place of
 * another, look like. Costs nothing for plans without losses.
 */
export async function planWithLosses(
  engine: Engine,
  { git }: Repository,
  input: PlanInput,
  signal: AbortSignal,
): Promise<Plan> {
  const plan = await planWithCapacity(engine, input, signal);
  if (input.offline) return plan;
  const unknownRevisions = new Set<string>();
  for (const operation of plan.operations.filter(losesData)) {
    const revision = markedRevision(operation, input);
    if (revision === undefined || unknownRevisions.has(revision)) continue;
    if (!(await git.hasCommit(revision, signal))) unknownRevisions.add(revision);
  }
  return unknownRevisions.size === 0 ? plan : planWithCapacity(engine, { ...input, unknownRevisions }, signal);
}
