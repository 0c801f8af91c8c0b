import type { Plan } from "../plan/plan.ts";
import type { RolloutPlan } from "../plan/stage-rollouts.ts";
import type { RolloutProgress, StageGate } from "../sync/rollout.ts";
import { formatDuration, formatPeriod, formatTime, joinNames, plural } from "./format.ts";

/** `Rolling out: stage 2 of 4, 3 of 10 clusters done; next at 14:30 UTC`. */
export function describeRollout(progress: RolloutProgress, nowMs: number): string {
  const { stage, stages, done, clusters, nextAtMs } = progress;
  const next = nextAtMs === undefined ? "" : `; next at ${clockTime(nextAtMs, nowMs)}`;
  return `Rolling out: stage ${stage} of ${stages}, ${done} of ${plural(clusters, "cluster")} done${next}`;
}

/** `stage 3 of 4 waits for stage 2`, `stage 2 of 4 begins at 14:30 UTC`. */
export function describeWaiting(gate: Extract<StageGate, { kind: "waiting" }>, stages: number, nowMs: number): string {
  const own = `stage ${gate.stage} of ${stages}`;
  if (gate.untilMs !== undefined) return `${own} begins at ${clockTime(gate.untilMs, nowMs)}`;
  return `${own} waits for ${gate.canary ? "the canary" : `stage ${gate.awaited}`}`;
}

/** Minutes are rounded up: what is said to begin then has begun by then. The date is left out on the same day. */
function clockTime(atMs: number, nowMs: number): string {
  const text = formatTime(Math.ceil(atMs / 60_000) * 60_000);
  return text.slice(0, 10) === formatTime(nowMs).slice(0, 10) ? text.slice(11) : text;
}

/**
 * What a plan's rollouts do, a sentence each: `In 4 stages 10 minutes apart: canary store-1, then 3 batches of up to 3
 * clusters. The first failure stops what has not begun.`
 */
export function describeStages(plan: Plan, show: (name: string) => string): readonly string[] {
  const staged = (plan.rollouts ?? []).filter(({ stages }) => stages.length > 1);
  return staged.map((rollout) => {
    const { stages, pauseMs, stopOnFailure, deployments } = rollout;
    const apart =
      pauseMs === 0 ? "" : `, ${pauseMs % 60_000 === 0 ? formatPeriod(pauseMs) : formatDuration(pauseMs)} apart`;
    const whose = `${deployments.length === 1 ? "Deployment" : "Deployments"} ${joinNames(deployments.map(show))}`;
    const stop = stopOnFailure ? " The first failure stops what has not begun." : "";
    return `${whose} in ${plural(stages.length, "stage")}${apart}: ${describeOrder(stages, show)}.${stop}`;
  });
}

function describeOrder(stages: RolloutPlan["stages"], show: (name: string) => string): string {
  const canaries = stages.filter(({ canary }) => canary).flatMap(({ clusters }) => clusters);
  const batches = stages.filter(({ canary }) => !canary);
  const first =
    canaries.length === 0 ? [] : [`${canaries.length === 1 ? "canary" : "canaries"} ${joinNames(canaries.map(show))}`];
  return [...first, ...(batches.length === 0 ? [] : [describeBatches(batches, show)])].join(", then ");
}

function describeBatches(batches: RolloutPlan["stages"], show: (name: string) => string): string {
  const [only] = batches;
  if (batches.length === 1 && only !== undefined) return joinNames(only.clusters.map(show));
  const sizes = batches.map(({ clusters }) => clusters.length);
  const most = Math.max(...sizes);
  const even = sizes.every((size) => size === most);
  return `${plural(batches.length, "batch", "batches")} of ${even ? "" : "up to "}${plural(most, "cluster")}`;
}
