import type { RolloutRules } from "../fleet/resolve-rollouts.ts";
import { compareText } from "../lib/compare.ts";

/** Clusters that are changed side by side; the next stage waits for their end. */
export interface RolloutStage {
  readonly canary: boolean;
  /** Sorted by name. */
  readonly clusters: readonly string[];
}

/** The order in which clusters are changed: those of one deployment, or of several that share clusters. */
export interface RolloutPlan {
  readonly deployments: readonly string[];
  readonly stages: readonly RolloutStage[];
  /** From the end of a stage to the beginning of the next one. */
  readonly pauseMs: number;
  readonly stopOnFailure: boolean;
}

/** Clusters with something to do, by deployment. */
export type RolloutWork = ReadonlyMap<string, ReadonlySet<string>>;

/**
 * The stages of all clusters that have something to do: canaries first, then batches in the order of names. Clusters are
 * changed as a whole, so deployments that share some make one rollout: whoever is a canary for one of them is a canary,
 * no batch holds more clusters of a deployment than that allows, the longest pause counts, and one that stops on failure
 * stops all. The same input gives the same stages.
 */
export function stageRollouts(rules: ReadonlyMap<string, RolloutRules>, work: RolloutWork): readonly RolloutPlan[] {
  const tracks = [...rules]
    .flatMap(([deployment, rule]) => {
      const clusters = work.get(deployment) ?? new Set<string>();
      return clusters.size === 0 ? [] : [{ deployment, rule, clusters }];
    })
    .sort((a, b) => compareText(a.deployment, b.deployment));
  return connected(tracks).map((together) => ({
    deployments: together.map(({ deployment }) => deployment),
    stages: stagesOf(together),
    pauseMs: Math.max(...together.map(({ rule }) => rule.pauseMs)),
    stopOnFailure: together.some(({ rule }) => rule.stopOnFailure),
  }));
}

interface Track {
  readonly deployment: string;
  readonly rule: RolloutRules;
  readonly clusters: ReadonlySet<string>;
}

/** Tracks that share clusters, directly or through others. */
function connected(tracks: readonly Track[]): readonly (readonly Track[])[] {
  let found: { tracks: Track[]; clusters: Set<string> }[] = [];
  for (const track of tracks) {
    const joined = found.filter(({ clusters }) => [...track.clusters].some((cluster) => clusters.has(cluster)));
    const merged = {
      tracks: [...joined.flatMap((part) => part.tracks), track],
      clusters: new Set([...joined.flatMap((part) => [...part.clusters]), ...track.clusters]),
    };
    found = [...found.filter((part) => !joined.includes(part)), merged];
  }
  return found.map((part) => part.tracks.sort((a, b) => compareText(a.deployment, b.deployment)));
}

function stagesOf(tracks: readonly Track[]): readonly RolloutStage[] {
  const clusters = [...new Set(tracks.flatMap((track) => [...track.clusters]))].sort(compareText);
  const first = new Set(tracks.flatMap(({ rule }) => rule.canaries));
  const canaries = clusters.filter((cluster) => first.has(cluster));
  const batches: string[][] = [];
  for (const cluster of clusters.filter((one) => !first.has(one))) {
    const own = tracks.filter((track) => track.clusters.has(cluster));
    const place = batches.find((batch) => own.every((track) => hasRoom(track, batch)));
    if (place === undefined) batches.push([cluster]);
    else place.push(cluster);
  }
  return [
    ...(canaries.length === 0 ? [] : [{ canary: true, clusters: canaries }]),
    ...batches.map((batch) => ({ canary: false, clusters: batch })),
  ];
}

function hasRoom({ rule, clusters }: Track, batch: readonly string[]): boolean {
  if (rule.batch === undefined) return true;
  return batch.filter((cluster) => clusters.has(cluster)).length < rule.batch;
}
