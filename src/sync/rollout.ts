import type { RolloutStage } from "../plan/stage-rollouts.ts";
import { isWilful } from "./pauses.ts";
import type { ClusterPass, ClusterResult, SyncRollout } from "./sync-record.ts";

/** What is known of the clusters of a rollout at a moment. */
export interface RolloutFacts {
  readonly results: ReadonlyMap<string, ClusterResult>;
  /** Of clusters without a result. */
  readonly passes: ReadonlyMap<string, Pick<ClusterPass, "round" | "held">>;
  /** Whether losses of this sync are decided: until then, a VM that was kept back for them is no failure. */
  readonly lossesDecided: boolean;
}

/** Whether a cluster that has not begun may begin. Stages count from 1. */
export type StageGate =
  | { readonly kind: "open" }
  | {
      readonly kind: "waiting";
      readonly stage: number;
      /** The earlier stage that is not over; the one before its own while only the pause is left. */
      readonly awaited: number;
      readonly canary: boolean;
      /** When the pause ends; undefined while clusters are awaited. */
      readonly untilMs: number | undefined;
    }
  | { readonly kind: "stopped"; readonly because: string };

/**
 * The gate in front of a cluster's first operation. It opens when every earlier stage is over and the pause after the
 * last end in them has passed; it closes for good at the first failure in the rollout, in whatever stage.
 */
export function stageGate(rollout: SyncRollout, cluster: string, facts: RolloutFacts, nowMs: number): StageGate {
  const because = rollout.stopOnFailure ? failedIn(rollout, facts) : undefined;
  if (because !== undefined) return { kind: "stopped", because };
  const own = rollout.stages.findIndex(({ clusters }) => clusters.includes(cluster));
  const earlier = rollout.stages.slice(0, Math.max(own, 0));
  const open = earlier.findIndex((stage) => !isOver(stage, facts));
  const stage = own + 1;
  if (open >= 0)
    return {
      kind: "waiting",
      stage,
      awaited: open + 1,
      canary: earlier[open]?.canary === true,
      untilMs: undefined,
    };
  const untilMs = restUntilMs(rollout, earlier, facts);
  if (untilMs === undefined || untilMs <= nowMs) return { kind: "open" };
  return { kind: "waiting", stage, awaited: own, canary: earlier.at(-1)?.canary === true, untilMs };
}

/** The first cluster that ended badly, in the order of the stages. */
export function failedIn(rollout: SyncRollout, { results, lossesDecided }: RolloutFacts): string | undefined {
  const clusters = rollout.stages.flatMap((stage) => stage.clusters);
  return clusters.find((cluster) => {
    const result = results.get(cluster);
    return result !== undefined && endedBadly(result, lossesDecided);
  });
}

function endedBadly({ failures, conflicts, blocked, refused }: ClusterResult, lossesDecided: boolean): boolean {
  return failures.length + conflicts.length + blocked.length > 0 || (lossesDecided && refused.length > 0);
}

/** Whether nobody waits for this stage any more: every cluster has its result or may be passed over. */
export function isOver({ canary, clusters }: RolloutStage, { results, passes }: RolloutFacts): boolean {
  return clusters.every((cluster) => {
    if (results.has(cluster)) return true;
    const pass = passes.get(cluster);
    return !canary && pass !== undefined && mayBePassedOver(pass);
  });
}

/**
 * A cluster that is away since before it began, or that people hold, does not stall those after it. One that went away in
 * the middle of its change may have done so because of that change: it is waited for, as a canary always is.
 */
function mayBePassedOver({ round, held }: Pick<ClusterPass, "round" | "held">): boolean {
  if (held === undefined || isRolloutHold(held)) return false;
  return round === 0 || isWilful(held);
}

/** The rollout itself holds a pass, not people, the clock or trouble. */
export function isRolloutHold(held: { readonly code: string } | undefined): boolean {
  return held?.code === "rollout-waiting" || held?.code === "rollout-stopped";
}

function restUntilMs(
  { pauseMs, notBeforeMs }: SyncRollout,
  stages: readonly RolloutStage[],
  { results }: RolloutFacts,
): number | undefined {
  const ends = stages.flatMap(({ clusters }) => clusters.flatMap((cluster) => results.get(cluster)?.atMs ?? []));
  const untils = [...(notBeforeMs === undefined ? [] : [notBeforeMs]), ...ends.map((atMs) => atMs + pauseMs)];
  return untils.length === 0 ? undefined : Math.max(...untils);
}

/** How far a rollout is, for people. */
export interface RolloutProgress {
  /** The stage under way, or the next one while there is a pause. */
  readonly stage: number;
  readonly stages: number;
  readonly done: number;
  readonly clusters: number;
  /** When the pause ends. */
  readonly nextAtMs: number | undefined;
}

/** Undefined when every cluster of the rollout has its result. */
export function rolloutProgress(rollout: SyncRollout, facts: RolloutFacts, nowMs: number): RolloutProgress | undefined {
  const { stages } = rollout;
  const unfinished = stages.findIndex(({ clusters }) => clusters.some((cluster) => !facts.results.has(cluster)));
  if (unfinished < 0) return undefined;
  const open = stages.findIndex((stage) => !isOver(stage, facts));
  const current = open < 0 ? unfinished : open;
  const [first] = stages[current]?.clusters.filter((cluster) => !facts.results.has(cluster)) ?? [];
  const begun = stages[current]?.clusters.some((cluster) => hasBegun(cluster, facts)) === true;
  const gate = first === undefined || begun ? undefined : stageGate(rollout, first, facts, nowMs);
  return {
    stage: current + 1,
    stages: stages.length,
    done: stages.flatMap(({ clusters }) => clusters.filter((cluster) => facts.results.has(cluster))).length,
    clusters: stages.flatMap(({ clusters }) => clusters).length,
    nextAtMs: gate?.kind === "waiting" ? gate.untilMs : undefined,
  };
}

function hasBegun(cluster: string, { results, passes }: RolloutFacts): boolean {
  return results.has(cluster) || (passes.get(cluster)?.round ?? 0) > 0;
}
