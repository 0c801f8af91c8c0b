import type { DesiredState } from "../fleet/desired-state.ts";
import type { PlanInput } from "../plan/build-plan.ts";
import type { LiveState } from "../plan/live-state.ts";
import type { HeldCluster, Plan } from "../plan/plan.ts";
import { assumeApplied } from "../plan/assume-applied.ts";
import { targetsOn } from "../plan/cluster-index.ts";
import type { Engine, Repository } from "./engine.ts";
import type { LoadedManifests } from "./manifests.ts";
import { planWithCapacity } from "./plan-with-capacity.ts";
import { type ClustersRead, readClusters } from "./read-clusters.ts";

/** What a merge would give: the tree to plan, or the files that stand in its way. */
export interface MergePreview {
  readonly merged: LoadedManifests | undefined;
  readonly conflictFiles: readonly string[];
}

export interface MergeRequest {
  readonly head: string;
  readonly base: string;
  /** Clusters are asked; else git is compared with git. */
  readonly inFull: boolean;
  readonly approvals: ReadonlySet<string>;
}

/** The plan of a merge. */
export async function planMerge(
  engine: Engine,
  repository: Repository,
  { head, base, inFull, approvals }: MergeRequest,
  before: LoadedManifests,
  preview: MergePreview,
  affected: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Plan> {
  const clusters = [...new Set([...affected].map((key) => key.slice(0, key.indexOf("/"))))].sort();
  const read = inFull
    ? await readClusters(engine, clusters, signal)
    : assumeBaseApplied(engine, before.desired, clusters, base);
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
    offline: !inFull,
  };
  return planWithCapacity(engine, input, signal);
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
