import type { DesiredState } from "../../fleet/desired-state.ts";
import { assumeApplied } from "../../plan/assume-applied.ts";
import type { PlanInput } from "../../plan/build-plan.ts";
import { targetsOn } from "../../plan/cluster-index.ts";
import type { LiveState } from "../../plan/live-state.ts";
import type { HeldCluster, Plan } from "../../plan/plan.ts";
import type { Engine, Repository } from "../engine.ts";
import { loadRevision } from "../planning/load-revision.ts";
import type { LoadedManifests } from "../planning/manifests.ts";
import { planWithHistory } from "../planning/plan-with-history.ts";
import { type ClustersRead, readClusters } from "../planning/read-clusters.ts";

/** What a merge would give: the tree to plan, or the files that stand in its way. */
export interface MergePreview {
  readonly merged: LoadedManifests | undefined;
  readonly conflictFiles: readonly string[];
}

export async function previewMerge(
  engine: Engine,
  repository: Repository,
  base: string,
  head: string,
  signal: AbortSignal,
): Promise<MergePreview> {
  const merge = await repository.git.mergeTree(base, head, signal);
  if (merge.kind === "conflict") return { merged: undefined, conflictFiles: merge.files };
  return { merged: await loadRevision(engine, repository, merge.tree, signal), conflictFiles: [] };
}

/** Targets the merge adds, changes or takes away. */
export function affectedTargets(before: DesiredState, after: DesiredState): Set<string> {
  const affected = new Set<string>();
  for (const [key, target] of after.targets) if (before.targets.get(key)?.hash !== target.hash) affected.add(key);
  for (const key of before.targets.keys()) if (!after.targets.has(key)) affected.add(key);
  return affected;
}

/** A change as git has it: what is merged into which tip, and what that makes different. */
export interface MergeCandidate {
  readonly head: string;
  /** Tip of the base branch. */
  readonly base: string;
  /** Where the change comes from is not to be trusted: git is compared with git, and no cluster is asked. */
  readonly untrusted: boolean;
  /** Ids of approvals that hold. */
  readonly approvals: ReadonlySet<string>;
  readonly before: LoadedManifests;
  readonly preview: MergePreview;
  readonly affected: ReadonlySet<string>;
}

/** The plan of what merging would do. */
export async function planMerge(
  engine: Engine,
  repository: Repository,
  { head, base, untrusted, approvals, before, preview, affected }: MergeCandidate,
  signal: AbortSignal,
): Promise<Plan> {
  const clusters = [...new Set([...affected].map((key) => key.slice(0, key.indexOf("/"))))].sort();
  const offline = untrusted || preview.merged === undefined;
  const read = offline
    ? assumeBaseApplied(engine, before.desired, clusters, base)
    : await readClusters(engine, clusters, signal);
  const branch = await engine.store.readBranch(repository.config.name);
  const input: PlanInput = {
    instance: engine.config().instance,
    revision: head,
    baseRevision: base,
    desired: preview.merged?.desired ?? before.desired,
    base: before.desired,
    live: read.live,
    held: read.held,
    traitsOfHeld: new Map(
      read.held.map(({ cluster }: HeldCluster) => [cluster, engine.traits(driverOf(engine, cluster))]),
    ),
    enforced: new Set(),
    scope: affected,
    upkeep: false,
    rewritten:
      branch.observed !== undefined &&
      branch.observed !== base &&
      !(await repository.git.isAncestor(branch.observed, base, signal)),
    approvals,
    offline,
  };
  return planWithHistory(engine, repository, input, signal);
}

/** Git against git: clusters are taken to be as the base asks, and nothing of theirs is shown. */
function assumeBaseApplied(
  engine: Engine,
  before: DesiredState,
  clusters: readonly string[],
  base: string,
): ClustersRead {
  const { instance } = engine.config();
  const live = new Map(
    clusters.map((cluster) => {
      const virdomains = targetsOn(before, cluster).flatMap((target) =>
        target.virdomains.map((virdomain) => assumeApplied(virdomain, instance, base)),
      );
      const state: LiveState = { cluster, virdomains };
      return [cluster, { state, traits: engine.traits(driverOf(engine, cluster)) }] as const;
    }),
  );
  return { live, held: [] };
}

function driverOf(engine: Engine, cluster: string): "hypercore" | "libvirt" {
  return engine.config().clusters.find((candidate) => candidate.name === cluster)?.driver ?? "hypercore";
}

/** A plan that cannot be carried out as it stands fails its check; alarms alone do not: the reviewer decides. */
export function planState(plan: Plan, conflictFiles: readonly string[]): "success" | "failure" {
  const broken =
    plan.problems.some((problem) => problem.severity === "error") ||
    plan.conflicts.length > 0 ||
    conflictFiles.length > 0;
  return broken ? "failure" : "success";
}
