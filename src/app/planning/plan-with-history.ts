import { markedRevision, type PlanInput } from "../../plan/build-plan.ts";
import { losesData } from "../../plan/deletion-rules.ts";
import type { Operation, Plan } from "../../plan/plan.ts";
import { findOrphans, findUndoneRename, type UndoneRename, withUndoneRenames } from "../../plan/undone-renames.ts";
import type { Engine, Repository } from "../engine.ts";
import { loadRevision } from "./load-revision.ts";
import { planWithCapacity } from "./plan-with-capacity.ts";

type PlanningEngine = Pick<Engine, "config" | "hypervisor" | "log">;

/** Revisions that are read for renames they made. */
const mostRevisions = 20;

/**
 * Builds a plan, and builds it once more when git knows more of VMs that would go or be made:
 * - A revert of a rename brings the same VM back under its old name: the revision on its mark says what it was called before.
 * - A VM that was last changed by a commit the repository does not have is lost only with a person's word. It is what two
 *   instances of one name, or a repository put in the place of another, look like.
 *
 * Costs nothing for plans without creations beside VMs nobody asks for, and without losses.
 */
export async function planWithHistory(
  engine: PlanningEngine,
  repository: Repository,
  input: PlanInput,
  signal: AbortSignal,
): Promise<Plan> {
  const first = await planWithCapacity(engine, input, signal);
  if (input.offline) return first;
  const renames = await findUndoneRenames(engine, repository, input, first.operations, signal);
  const known = renames.length === 0 ? input : { ...input, desired: withUndoneRenames(input.desired, renames) };
  const plan = known === input ? first : await planWithCapacity(engine, known, signal);
  const unknownRevisions = await findUnknownRevisions(repository, known, plan.operations, signal);
  return unknownRevisions.size === 0 ? plan : planWithCapacity(engine, { ...known, unknownRevisions }, signal);
}

async function findUndoneRenames(
  engine: PlanningEngine,
  repository: Repository,
  input: PlanInput,
  operations: readonly Operation[],
  signal: AbortSignal,
): Promise<readonly UndoneRename[]> {
  const orphans = findOrphans(input, operations);
  const revisions = [...new Set(orphans.map(({ revision }) => revision))].slice(0, mostRevisions);
  const renames: UndoneRename[] = [];
  for (const revision of revisions) {
    const commit = await repository.git.findCommit(revision, signal);
    if (commit === undefined) continue;
    const { desired } = await loadRevision(engine, repository, commit, signal);
    renames.push(
      ...orphans
        .filter((orphan) => orphan.revision === revision)
        .flatMap((orphan) => findUndoneRename(orphan, desired, operations) ?? []),
    );
  }
  return renames;
}

async function findUnknownRevisions(
  { git }: Repository,
  input: PlanInput,
  operations: readonly Operation[],
  signal: AbortSignal,
): Promise<ReadonlySet<string>> {
  const unknown = new Set<string>();
  for (const operation of operations.filter(losesData)) {
    const revision = markedRevision(operation, input);
    if (revision === undefined || unknown.has(revision)) continue;
    if ((await git.findCommit(revision, signal)) === undefined) unknown.add(revision);
  }
  return unknown;
}
