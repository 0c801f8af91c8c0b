import { messageOf, WatcherError } from "../../lib/errors.ts";
import { contentHash } from "../../lib/canonical-json.ts";
import { type DesiredVirdomain, identityKey } from "../../fleet/desired-state.ts";
import type { Operation } from "../../plan/plan.ts";
import { owedKey, owedPower } from "../../plan/power.ts";
import { holdOnOperation } from "../../sync/pauses.ts";
import { decideRetry } from "../../sync/retry.ts";
import type { OperationOutcome, SyncRecord } from "../../sync/sync-record.ts";
import type { JobAnswer, OperationJob } from "../../ports/job-queue.ts";
import type { SnapshotReference } from "../../ports/hypervisor.ts";
import type { Log } from "../../ports/log.ts";
import type { OperationHold } from "../../ports/state-store.ts";
import { applyOperation } from "./apply-operation.ts";
import type { Engine } from "../engine.ts";
import { holdWatch } from "./hold-watch.ts";
import { quarantineLeaseMs, quarantineLeaseName } from "./leave-quarantine.ts";
import { readHoldRules } from "../holds.ts";
import { fetchRevision } from "../planning/load-revision.ts";
import { progressTeller } from "./progress-teller.ts";

const done: JobAnswer = { kind: "done" };
/** How long an operation's hold on its VM outlives a killed worker. */
const holdMs = 10_000;

/** One operation job: asks the gate, works, writes the outcome, wakes the sync. */
export async function runOperationJob(engine: Engine, job: OperationJob, signal: AbortSignal): Promise<JobAnswer> {
  const found = await findOperation(engine, job);
  if (found === undefined) return done;
  const { record, operation } = found;
  const begun = await engine.store.beginOperation({
    syncId: job.syncId,
    cluster: job.cluster,
    round: job.round,
    operationId: job.operationId,
    virdomainKey: identityKey(operation.identity),
    clusterLimit: engine.config().workers.perCluster,
    ttlMs: holdMs,
  });
  if (begun.kind === "virdomain-held" || begun.kind === "cluster-full")
    return { kind: "again", inMs: 100 + 100 * engine.random() };
  if (begun.kind !== "begun") return wake(engine, job);
  // What was begun before the pause is brought to its end.
  if (begun.attempt === 1 && (await isHeld(engine, record, operation))) {
    await begun.hold.end(undefined, { free: true });
    return wake(engine, job);
  }
  const log = engine.log.child({
    repository: record.repository,
    revision: record.revision,
    cluster: job.cluster,
    application: operation.application,
    virdomain: operation.virdomain,
    operation: operation.kind,
    job: job.operationId,
  });
  return work(engine, job, record, operation, begun.hold, begun.attempt, log, signal);
}

async function isHeld(engine: Engine, { repository }: SyncRecord, operation: Operation): Promise<boolean> {
  const rules = await readHoldRules(engine, repository, operation.cluster);
  return holdOnOperation(rules, repository, operation, engine.clock.now()) !== undefined;
}

async function findOperation(
  engine: Engine,
  job: OperationJob,
): Promise<{ record: SyncRecord; operation: Operation } | undefined> {
  const sync = await engine.store.readSync(job.syncId);
  if (sync?.state.kind !== "running") return undefined;
  const pass = await engine.store.readPass(job.syncId, job.cluster);
  const operation =
    pass?.round === job.round ? pass.operations.find((candidate) => candidate.id === job.operationId) : undefined;
  return operation === undefined ? undefined : { record: sync.record, operation };
}

async function work(
  engine: Engine,
  job: OperationJob,
  record: SyncRecord,
  operation: Operation,
  hold: OperationHold,
  attempt: number,
  log: Log,
  signal: AbortSignal,
): Promise<JobAnswer> {
  const startedMs = engine.clock.now();
  let guard: { readonly snapshot?: string } = {};
  await using teller = progressTeller(engine, job, operation, log);
  await using watch = holdWatch(engine, job.syncId, hold, holdMs, signal, teller.tell);
  try {
    const hypervisor = await engine.hypervisor(job.cluster);
    await hypervisor.ensureReady(watch.context.signal);
    const wish = await findDesired(engine, record, operation, watch.context.signal);
    const owed = owedStart(engine, operation);
    const desired = wish !== undefined && (await owed.isOwed()) ? owedPower(wish) : wish;
    const { instance } = engine.config();
    const { clock, probe } = engine;
    const token = contentHash({ sync: job.syncId, round: job.round, operation: job.operationId }, 8);
    const onSnapshot = (snapshot: SnapshotReference | undefined): void => {
      guard = snapshot === undefined ? {} : { snapshot: snapshot.id };
      if (snapshot !== undefined) log.info(guard, "snapshot taken");
    };
    const { revision } = record;
    const end = await applyOperation(
      {
        operation,
        desired,
        instance,
        revision,
        hypervisor,
        clock,
        probe,
        token,
        attempt,
        onSnapshot,
        owed,
        leaseQuarantined: (id) => engine.store.acquireLease(quarantineLeaseName(job.cluster, id), quarantineLeaseMs),
      },
      watch.context,
    );
    const atMs = engine.clock.now();
    const outcome: OperationOutcome =
      end.kind === "done"
        ? { kind: "done", atMs, durationMs: atMs - startedMs, ...guard }
        : { kind: "stale", atMs, message: end.message };
    log.info(
      { outcome: end.kind, durationMs: atMs - startedMs, ...(end.kind === "stale" ? { reason: end.message } : {}) },
      "operation ended",
    );
    await hold.end(outcome);
    return wake(engine, job);
  } catch (error) {
    return afterError(engine, job, hold, attempt, log, error, watch.context.stop.aborted, guard);
  }
}

async function afterError(
  engine: Engine,
  job: OperationJob,
  hold: OperationHold,
  attempt: number,
  log: Log,
  error: unknown,
  stopped: boolean,
  guard: { readonly snapshot?: string },
): Promise<JobAnswer> {
  if (stopped) {
    log.info({ reason: messageOf(error) }, "operation stopped for a newer revision");
    await hold.end(undefined, { free: true });
    return done;
  }
  const decision = decideRetry(error, attempt, engine.random());
  if (decision.kind === "again") {
    const waits = error instanceof WatcherError && error.retry === "wait";
    log.warn(
      { err: error, attempt, againInMs: Math.round(decision.inMs) },
      waits ? "operation waits" : "operation failed, will be tried again",
    );
    await hold.end(undefined, { free: waits });
    return { kind: "again", inMs: decision.inMs };
  }
  const { code, message, fault } = decision;
  log.error({ err: error, code, attempt, ...guard }, "operation failed");
  await hold.end({ kind: "failed", atMs: engine.clock.now(), code, message, fault, ...guard });
  return wake(engine, job);
}

/** What is owed to the VM of an operation. Whether anything is, is asked once: most VMs' power is not people's. */
function owedStart({ store }: Engine, { cluster, identity }: Operation) {
  const key = owedKey(cluster, identity);
  let owed = false;
  return {
    async isOwed(): Promise<boolean> {
      owed = (await store.listOwedStarts()).has(key);
      return owed;
    },
    async oweStart(): Promise<void> {
      owed = true;
      await store.oweStart(key);
    },
    async settleStart(): Promise<void> {
      if (owed) await store.settleStart(key);
    },
  };
}

/**
 * The VM as this revision wants it, or, for a deletion, as the revision before did. It comes from git, not from the
 * job: user data holds secrets and does not belong in Redis.
 */
async function findDesired(
  engine: Engine,
  record: SyncRecord,
  operation: Operation,
  signal: AbortSignal,
): Promise<DesiredVirdomain | undefined> {
  const removal = operation.kind === "delete" || operation.kind === "quarantine";
  const revision = removal ? record.baseRevision : record.revision;
  if (revision === undefined) return undefined;
  const repository = await engine.repository(record.repository);
  const { desired } = await fetchRevision(engine, repository, revision, signal);
  const target = desired.targets.get(`${operation.cluster}/${operation.application}`);
  const key = identityKey(operation.identity);
  return target?.virdomains.find((virdomain) => identityKey(virdomain.identity) === key);
}

async function wake(engine: Engine, job: OperationJob): Promise<JobAnswer> {
  await engine.queue.addAdvance(
    { schemaVersion: 1, syncId: job.syncId, cluster: job.cluster },
    `${job.round}-${job.operationId}`,
  );
  return done;
}
