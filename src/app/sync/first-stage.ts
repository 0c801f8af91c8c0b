import type { Plan } from "../../plan/plan.ts";
import type { RolloutPlan } from "../../plan/stage-rollouts.ts";
import { describeRollout, describeWaiting } from "../../report/rollout-text.ts";
import { rolloutProgress, stageGate } from "../../sync/rollout.ts";
import type { ClusterPass, ClusterResult, SyncRecord, SyncRollout } from "../../sync/sync-record.ts";
import type { Engine } from "../engine.ts";
import { rolloutOf } from "./rollout-gate.ts";

const nothingEnded: ReadonlyMap<string, ClusterResult> = new Map();

/**
 * The rollouts of a new sync, worked out once and kept with it. Those of one stage wait for nobody and are left out,
 * unless the pause of a superseded sync still goes on.
 */
export async function stagedRollouts(
  engine: Pick<Engine, "store">,
  previousSync: string | undefined,
  plan: Plan,
): Promise<Pick<SyncRecord, "rollouts">> {
  if (plan.rollouts === undefined) return {};
  const previous = previousSync === undefined ? undefined : await engine.store.readSync(previousSync);
  const before = previous?.state.kind === "superseded" ? (previous.record.rollouts ?? []) : [];
  const results = previous === undefined ? nothingEnded : await engine.store.readClusterResults(previous.record.id);
  const rollouts = plan.rollouts
    .map((rollout) => continued(rollout, before, results))
    .filter(({ stages, notBeforeMs }) => stages.length > 1 || notBeforeMs !== undefined);
  return rollouts.length === 0 ? {} : { rollouts };
}

/**
 * A commit that does not touch the clusters that are through (they take no part any more) goes on after the pause that
 * began with them. One that changes them anew begins with them at once.
 */
function continued(
  rollout: RolloutPlan,
  before: readonly SyncRollout[],
  results: ReadonlyMap<string, ClusterResult>,
): SyncRollout {
  const first = new Set(rollout.stages[0]?.clusters);
  const untils = before
    .filter(({ deployments }) => deployments.some((deployment) => rollout.deployments.includes(deployment)))
    .flatMap(({ stages, notBeforeMs }) => {
      const through = stages.flatMap(({ clusters }) => clusters.flatMap((cluster) => results.get(cluster) ?? []));
      if (through.some(({ cluster }) => first.has(cluster))) return [];
      const ends = through.map(({ atMs }) => atMs + rollout.pauseMs);
      return notBeforeMs === undefined ? ends : [...ends, notBeforeMs];
    });
  return untils.length === 0 ? rollout : { ...rollout, notBeforeMs: Math.max(...untils) };
}

/** Why a cluster's pass begins held when it is not its turn. */
export function firstWait(
  record: SyncRecord,
  cluster: string,
  nowMs: number,
): { readonly code: string; readonly reason: string } | undefined {
  const rollout = rolloutOf(record, cluster);
  if (rollout === undefined) return undefined;
  const gate = stageGate(rollout, cluster, { results: nothingEnded, passes: new Map(), lossesDecided: true }, nowMs);
  if (gate.kind !== "waiting") return undefined;
  return { code: "rollout-waiting", reason: describeWaiting(gate, rollout.stages.length, nowMs) };
}

/** How a sync with a rollout begins; undefined without one. */
export function describeFirst(record: SyncRecord, passes: readonly ClusterPass[]): string | undefined {
  const [rollout] = record.rollouts ?? [];
  if (rollout === undefined) return undefined;
  const facts = {
    results: nothingEnded,
    passes: new Map(passes.map((pass) => [pass.cluster, pass])),
    lossesDecided: true,
  };
  const progress = rolloutProgress(rollout, facts, record.startedAtMs);
  return progress === undefined ? undefined : describeRollout(progress, record.startedAtMs);
}
