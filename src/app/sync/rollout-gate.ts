import { describeRollout, describeWaiting } from "../../report/rollout-text.ts";
import type { Hold } from "../../sync/pauses.ts";
import { failedIn, isOver, type RolloutFacts, rolloutProgress, type StageGate, stageGate } from "../../sync/rollout.ts";
import type { ClusterPass, ClusterResult, SyncRecord, SyncRollout } from "../../sync/sync-record.ts";
import type { JobAnswer } from "../../ports/job-queue.ts";
import type { Engine } from "../engine.ts";
import { finishSyncIfDone } from "./finish-sync.ts";
import { tell } from "./tell.ts";

const done: JobAnswer = { kind: "done" };
const open: StageGate = { kind: "open" };
/** Timers and clocks of several processes differ a little: looking too early would cost a whole poll. */
const marginMs = 100;

type Waiting = Extract<StageGate, { kind: "waiting" }>;
type GateEngine = Pick<Engine, "clock" | "config" | "log" | "queue" | "store">;

export function rolloutOf(record: SyncRecord, cluster: string): SyncRollout | undefined {
  return record.rollouts?.find(({ stages }) => stages.some(({ clusters }) => clusters.includes(cluster)));
}

/**
 * Whether a cluster may begin. One that has begun (its pass left round 0) is brought to its end whatever happens
 * elsewhere; one that was told not to begin never does.
 */
export async function askGate(
  engine: GateEngine,
  record: SyncRecord,
  pass: ClusterPass,
  results: ReadonlyMap<string, ClusterResult>,
): Promise<StageGate> {
  const rollout = rolloutOf(record, pass.cluster);
  const isStopped = pass.held?.code === "rollout-stopped";
  if (rollout === undefined || (pass.round > 0 && !isStopped)) return open;
  const facts = await readFacts(engine, record, rollout, results);
  return stageGate(rollout, pass.cluster, facts, engine.clock.now());
}

/**
 * Passes are read as far as the first stage that is not over: what comes after it waits. Results count from the one
 * reading of them: what a cluster was before it ended is of no interest.
 */
async function readFacts(
  engine: GateEngine,
  record: SyncRecord,
  { stages }: SyncRollout,
  results: ReadonlyMap<string, ClusterResult>,
): Promise<RolloutFacts> {
  const passes = new Map<string, ClusterPass>();
  const facts = { results, passes, lossesDecided: record.deletions.allowed };
  for (const stage of stages) {
    for (const cluster of stage.clusters.filter((one) => !results.has(one))) {
      const pass = await engine.store.readPass(record.id, cluster);
      if (pass !== undefined) passes.set(cluster, pass);
    }
    if (!isOver(stage, facts)) break;
  }
  return facts;
}

/** A pass before its turn: looked at again when the stage before has ended (whoever ends it says so), or after the pause. */
export async function waitForStage(
  engine: GateEngine,
  record: SyncRecord,
  pass: ClusterPass,
  gate: Waiting,
  hold: Hold | undefined,
): Promise<JobAnswer> {
  const nowMs = engine.clock.now();
  const { cluster } = pass;
  const rollout = rolloutOf(record, cluster);
  const reason = [
    describeWaiting(gate, rollout?.stages.length ?? 0, nowMs),
    ...(hold === undefined ? [] : [hold.reason]),
  ].join("; ");
  if (pass.held?.code !== "rollout-waiting" || pass.held.reason !== reason) {
    const held = { code: "rollout-waiting", reason, sinceMs: pass.held?.sinceMs ?? nowMs, attempts: 0 };
    await engine.store.replacePass(record.id, { ...pass, held }, pass.round);
    engine.log.info({ repository: record.repository, cluster, reason }, "cluster waits for its turn");
    const progress = await describeRollouts(engine, record);
    if (progress !== undefined)
      await tell(engine, record, hold === undefined ? progress : `${progress}; ${hold.reason}`);
  }
  if (gate.untilMs !== undefined) {
    const atMs = gate.untilMs + marginMs;
    await engine.queue.addAdvance({ schemaVersion: 1, syncId: record.id, cluster }, `stage-${atMs}`, atMs - nowMs);
  }
  return done;
}

/**
 * The rollout stopped before this cluster began. Its pass leaves round 0 first, in the one step by which a pass begins as
 * well: so either it has begun, in whatever process, or it never will, and only then that is written down.
 */
export async function leaveUnbegun(
  engine: Engine,
  record: SyncRecord,
  pass: ClusterPass,
  because: string,
): Promise<JobAnswer> {
  const nowMs = engine.clock.now();
  if (pass.held?.code !== "rollout-stopped") {
    const reason = `not started: the rollout stopped at ${because}`;
    const held = { code: "rollout-stopped", reason, sinceMs: nowMs, attempts: 0 };
    const left = { ...pass, round: pass.round + 1, operations: [], held };
    if (!(await engine.store.replacePass(record.id, left, pass.round))) return { kind: "again", inMs: 0 };
  }
  const nothing = { completed: [], failures: [], conflicts: [], blocked: [], refused: [] };
  await engine.store.recordClusterResult(record.id, {
    cluster: pass.cluster,
    rounds: 0,
    ...nothing,
    notStarted: { because },
    atMs: nowMs,
  });
  engine.log.info({ repository: record.repository, cluster: pass.cluster, because }, "cluster not started");
  await finishSyncIfDone(engine, record);
  return done;
}

/**
 * Wakes what may begin, or never will, now that a cluster ended or is away: the stage whose turn it is, or all after a
 * failure. A lost wake-up is made good by the watcher's sweep.
 */
export async function wakeRollout(
  engine: GateEngine,
  record: SyncRecord,
  cluster: string,
  wake: string,
): Promise<void> {
  const rollout = rolloutOf(record, cluster);
  if (rollout === undefined) return;
  const results = await engine.store.readClusterResults(record.id);
  const facts = await readFacts(engine, record, rollout, results);
  const turn = rollout.stages.find((stage) => !isOver(stage, facts));
  const stopped = rollout.stopOnFailure && failedIn(rollout, facts) !== undefined;
  const concerned = stopped ? rollout.stages.flatMap(({ clusters }) => clusters) : (turn?.clusters ?? []);
  for (const other of concerned.filter((one) => one !== cluster && !results.has(one)))
    await engine.queue.addAdvance({ schemaVersion: 1, syncId: record.id, cluster: other }, `${cluster}-${wake}`);
}

/** How far the rollouts of a sync are, as a sentence about the first that has not ended; undefined without one. */
export async function describeRollouts(engine: GateEngine, record: SyncRecord): Promise<string | undefined> {
  if (record.rollouts === undefined) return undefined;
  const results = await engine.store.readClusterResults(record.id);
  const nowMs = engine.clock.now();
  for (const rollout of record.rollouts) {
    const progress = rolloutProgress(rollout, await readFacts(engine, record, rollout, results), nowMs);
    if (progress !== undefined) return describeRollout(progress, nowMs);
  }
  return undefined;
}
