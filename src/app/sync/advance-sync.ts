import type { PlanInput } from "../../plan/build-plan.ts";
import type { Operation, Plan } from "../../plan/plan.ts";
import { describeHeld, describeProgress } from "../../report/status-text.ts";
import { nextPassStep, nextRound } from "../../sync/cluster-pass.ts";
import { type Hold, holdOnCluster, holdOnOperation, isWilful } from "../../sync/pauses.ts";
import type { ClusterPass, ClusterResult, OperationOutcome, SyncRecord } from "../../sync/sync-record.ts";
import type { AdvanceJob, JobAnswer } from "../../ports/job-queue.ts";
import type { Engine } from "../engine.ts";
import { finishSyncIfDone } from "./finish-sync.ts";
import { readHoldRules, recheckAtMs } from "../holds.ts";
import { fetchRevision } from "../planning/load-revision.ts";
import { planWithHistory } from "../planning/plan-with-history.ts";
import { readClusters } from "../planning/read-clusters.ts";
import { askGate, describeRollouts, leaveUnbegun, waitForStage, wakeRollout } from "./rollout-gate.ts";
import { tell } from "./tell.ts";

const done: JobAnswer = { kind: "done" };

/**
 * Takes the next step for one cluster of a sync. Runs after every operation, after pauses, and whenever the watcher
 * sweeps; running it too often or at once in two processes changes nothing.
 */
export async function advanceSync(engine: Engine, job: AdvanceJob, signal: AbortSignal): Promise<JobAnswer> {
  const found = await engine.store.readSync(job.syncId);
  if (found === undefined || found.state.kind !== "running") return done;
  const { record } = found;
  const results = await engine.store.readClusterResults(record.id);
  const pass = await engine.store.readPass(record.id, job.cluster);
  if (results.has(job.cluster) || pass === undefined) {
    await finishSyncIfDone(engine, record);
    return done;
  }
  const gate = await askGate(engine, record, pass, results);
  if (gate.kind === "stopped") return leaveUnbegun(engine, record, pass, gate.because);
  if (await predecessorUnderWay(engine, record, job.cluster)) return { kind: "again", inMs: 200 };
  const rules = await readHoldRules(engine, record.repository, job.cluster);
  const nowMs = engine.clock.now();
  const troubled = pass.held !== undefined && !isWilful(pass.held);
  const onCluster = holdOnCluster(rules, { repository: record.repository, cluster: job.cluster }, nowMs);
  if (gate.kind === "waiting") return waitForStage(engine, record, pass, gate, onCluster);
  if (onCluster !== undefined && (pass.round === 0 || troubled)) return waitOut(engine, record, pass, onCluster);
  const outcomes = await engine.store.readOutcomes(record.id, job.cluster);
  const holdOf = (operation: Operation) => holdOnOperation(rules, record.repository, operation, nowMs);
  // Reading back what was done is no beginning: a commit that is finished but for that gets its verdict.
  const step =
    pass.round === 0 || troubled
      ? { kind: "plan-again" as const }
      : nextPassStep(pass, outcomes, engine.config().workers.perCluster, (one) => holdOf(one) !== undefined);
  if (step.kind === "wait") {
    const [hold] = step.operations.flatMap((operation) => holdOf(operation) ?? []);
    if (hold !== undefined) return waitOut(engine, record, pass, hold);
  }
  if (step.kind === "run") {
    const open = pass.held === undefined ? pass : { ...pass, held: undefined };
    if (open !== pass) await engine.store.replacePass(record.id, open, pass.round);
    await announce(engine, record, open, step.operations);
    if (outcomes.size > 0) await tellProgress(engine, record);
    return done;
  }
  return planAgain(engine, record, pass, outcomes, signal);
}

/**
 * People or the clock hold this part of the sync: nothing is begun, what is under way finishes, and the commit stays
 * pending with the reason. One look for each cluster is planned, however often this runs in between.
 */
async function waitOut(engine: Engine, record: SyncRecord, pass: ClusterPass, hold: Hold): Promise<JobAnswer> {
  const nowMs = engine.clock.now();
  if (pass.held?.code !== hold.code || pass.held.reason !== hold.reason) {
    const held = { code: hold.code, reason: hold.reason, sinceMs: pass.held?.sinceMs ?? nowMs, attempts: 0 };
    await engine.store.replacePass(record.id, { ...pass, held }, pass.round);
    engine.log.info({ repository: record.repository, cluster: pass.cluster, reason: hold.reason }, "sync held");
    await wakeRollout(engine, record, pass.cluster, `held-${nowMs}`);
  }
  await tell(engine, record, describeHeld([hold.reason]));
  const atMs = recheckAtMs(hold, nowMs);
  const { cluster } = pass;
  await engine.queue.addAdvance({ schemaVersion: 1, syncId: record.id, cluster }, `held-${atMs}`, atMs - nowMs);
  return done;
}

/** How soon a job that was queued may be queued again, in case it got lost. */
const announceAgainMs = 2_000;
const announced = new WeakMap<ClusterPass, Map<string, number>>();

/**
 * Queues operations, but for those this process queued for the very same pass a moment ago: every end of an operation
 * looks at all that may run beside it, and queueing them over and over would cost more than running them.
 */
async function announce(
  engine: Engine,
  record: SyncRecord,
  pass: ClusterPass,
  operations: readonly Operation[],
): Promise<void> {
  const nowMs = engine.clock.now();
  const times = announced.get(pass) ?? new Map<string, number>();
  announced.set(pass, times);
  const fresh = operations.filter(({ id }) => nowMs - (times.get(id) ?? Number.NEGATIVE_INFINITY) >= announceAgainMs);
  const { cluster, round } = pass;
  await engine.queue.addOperations(
    fresh.map(({ id: operationId }) => ({ schemaVersion: 1, syncId: record.id, cluster, round, operationId })),
  );
  for (const { id } of fresh) times.set(id, nowMs);
}

/** Operations of a superseded sync finish on their own; planning before that would read a cluster in motion. */
async function predecessorUnderWay(engine: Engine, record: SyncRecord, cluster: string): Promise<boolean> {
  for (const predecessor of record.predecessors)
    if ((await engine.store.countUnderWay(predecessor, cluster)) > 0) return true;
  return false;
}

async function planAgain(
  engine: Engine,
  record: SyncRecord,
  pass: ClusterPass,
  outcomes: ReadonlyMap<string, OperationOutcome>,
  signal: AbortSignal,
): Promise<JobAnswer> {
  const fresh = await planOneCluster(engine, record, pass.cluster, signal);
  const trouble = fresh.held[0];
  if (trouble !== undefined)
    return isFatal(trouble.code, engine.clock.now() - heldSinceMs(engine, pass, trouble.code))
      ? failCluster(engine, record, pass, outcomes, trouble)
      : hold(engine, record, pass, trouble);
  const step = nextRound(pass, outcomes, fresh, record.deletions, engine.clock.now());
  if (step.kind === "finished") return endCluster(engine, record, step.result);
  await engine.store.replacePass(record.id, step.pass, pass.round);
  return { kind: "again", inMs: 0 };
}

/** The same planning as at the beginning, for one cluster: live state is read anew. */
async function planOneCluster(engine: Engine, record: SyncRecord, cluster: string, signal: AbortSignal): Promise<Plan> {
  const repository = await engine.repository(record.repository);
  const { desired } = await fetchRevision(engine, repository, record.revision, signal);
  const base =
    record.baseRevision === undefined
      ? undefined
      : await fetchRevision(engine, repository, record.baseRevision, signal).catch(() => undefined);
  const { live, held } = await readClusters(engine, [cluster], signal);
  const input: PlanInput = {
    instance: engine.config().instance,
    revision: record.revision,
    baseRevision: record.baseRevision,
    desired,
    base: base?.desired,
    live,
    held,
    traitsOfHeld: new Map(),
    enforced: new Set(record.enforced),
    scope: new Set(Object.keys(record.targets)),
    owedStarts: await engine.store.listOwedStarts(),
    rewritten: false,
    approvals: new Set(),
    offline: false,
  };
  return planWithHistory(engine, repository, input, signal);
}

/** A cluster that hides its VMs for a moment is waited for; one that lost them needs a person. */
const emptiedPatienceMs = 10 * 60 * 1000;

/** Only a person can change these; holding on would leave the commit pending for ever. */
function isFatal(code: string, heldMs: number): boolean {
  if (code === "cluster-emptied") return heldMs >= emptiedPatienceMs;
  return (
    code === "cluster-auth-failed" || code === "cluster-unsupported" || code === "config-invalid" || code === "internal"
  );
}

/** Since when the cluster is held for this reason: patience with one trouble does not begin with another, or with a pause. */
function heldSinceMs({ clock }: Pick<Engine, "clock">, { held }: ClusterPass, code: string): number {
  return held?.code === code ? held.sinceMs : clock.now();
}

async function failCluster(
  engine: Engine,
  record: SyncRecord,
  pass: ClusterPass,
  outcomes: ReadonlyMap<string, OperationOutcome>,
  trouble: Plan["held"][number],
): Promise<JobAnswer> {
  const step = nextRound(
    pass,
    outcomes,
    { operations: [], conflicts: pass.conflicts },
    record.deletions,
    engine.clock.now(),
  );
  if (step.kind !== "finished") return done;
  const failure = {
    kind: "update" as const,
    application: "",
    key: "",
    virdomain: "all VMs",
    group: "",
    step: 0,
    code: trouble.code,
    message: trouble.reason,
    fault: "platform" as const,
  };
  return endCluster(engine, record, { ...step.result, failures: [...step.result.failures, failure] });
}

/** The end of this cluster's part. Clusters that wait for it in a rollout go on at once. */
async function endCluster(engine: Engine, record: SyncRecord, result: ClusterResult): Promise<JobAnswer> {
  await engine.store.recordClusterResult(record.id, result);
  if (await finishSyncIfDone(engine, record)) return done;
  await wakeRollout(engine, record, result.cluster, "ended");
  const progress = await describeRollouts(engine, record);
  if (progress !== undefined) await tell(engine, record, progress);
  return done;
}

/** The cluster is away or busy with an update: its part of the sync waits, told on the commit, and costs no retry. */
async function hold(
  engine: Engine,
  record: SyncRecord,
  pass: ClusterPass,
  trouble: Plan["held"][number],
): Promise<JobAnswer> {
  const attempts = (pass.held?.attempts ?? 0) + 1;
  const sinceMs = heldSinceMs(engine, pass, trouble.code);
  const held = { code: trouble.code, reason: trouble.reason, sinceMs, attempts };
  await engine.store.replacePass(record.id, { ...pass, held }, pass.round);
  if (attempts === 1) await wakeRollout(engine, record, pass.cluster, `held-${sinceMs}`);
  await tell(engine, record, describeHeld([`${pass.cluster} (${trouble.reason})`]));
  return { kind: "again", inMs: Math.min(60_000, 1_000 * 2 ** Math.min(attempts, 6)) * (0.5 + engine.random() / 2) };
}

/** Between two looks at how far a sync is, whichever process looks. */
const progressMs = 5_000;

/** Tells how far the whole sync is. The lease is not given back: it spaces the tellings out over all processes. */
async function tellProgress(engine: Engine, record: SyncRecord): Promise<void> {
  if ((await engine.store.acquireLease(`progress/${record.id}`, progressMs)) === undefined) return;
  const rollouts = await describeRollouts(engine, record);
  if (rollouts !== undefined) return tell(engine, record, rollouts);
  const results = await engine.store.readClusterResults(record.id);
  const counts = await Promise.all(
    record.clusters.map((cluster) => countOperations(engine, record, cluster, results.get(cluster))),
  );
  const done = counts.reduce((sum, count) => sum + count.done, 0);
  const total = counts.reduce((sum, count) => sum + count.total, 0);
  if (done > 0) await tell(engine, record, describeProgress(done, total));
}

async function countOperations(
  engine: Engine,
  record: SyncRecord,
  cluster: string,
  result: ClusterResult | undefined,
): Promise<{ done: number; total: number }> {
  if (result !== undefined)
    return {
      done: result.completed.length,
      total: result.completed.length + result.failures.length + result.blocked.length,
    };
  const [pass, outcomes] = await Promise.all([
    engine.store.readPass(record.id, cluster),
    engine.store.readOutcomes(record.id, cluster),
  ]);
  const before = pass?.completed.length ?? 0;
  return { done: before + outcomes.size, total: before + (pass?.operations.length ?? 0) };
}
