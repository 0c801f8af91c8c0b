import { DelayedError, type Job, Worker } from "bullmq";
import { WatcherError, messageOf } from "../../lib/errors.ts";
import type {
  AdvanceJob,
  DeliveryJob,
  JobAnswer,
  JobHandlers,
  OperationJob,
  WorkOptions,
} from "../../ports/job-queue.ts";
import type { Log } from "../../ports/log.ts";
import type { RedisConnection } from "./connection.ts";

/**
 * A job whose process died is taken up again when its lock ends: after 5 to 8 seconds. Two processes with one job do no
 * harm (the operation gate keeps the second one out), so a short lock costs nothing but a look.
 */
const lockMs = 6_000;
const stalledCheckMs = 2_000;
/** Waiting in Redis for a job: new jobs end the wait at once, so this only bounds how long a broken connection goes unseen. */
const blockSeconds = 5;
const longestBackoffMs = 30_000;
/** For handlers that were asked to stop. */
const abortedMs = 2_000;

interface Start {
  readonly connection: RedisConnection;
  readonly prefix: string;
  readonly log: Log;
  readonly handlers: JobHandlers;
  readonly options: WorkOptions;
}

type Handle<T> = (job: T, signal: AbortSignal) => Promise<JobAnswer>;

/** Starts one worker per queue; disposing stops them as the port says. */
export async function startWorkers(start: Start): Promise<AsyncDisposable> {
  const { handlers, options } = start;
  const stopping = new AbortController();
  const { concurrency } = options;
  const workers = [
    startWorker<AdvanceJob>(
      start,
      "sync",
      concurrency.advance,
      (job, signal) => handlers.advance(job, signal),
      stopping,
    ),
    startWorker<OperationJob>(
      start,
      "operations",
      concurrency.operations,
      (job, signal) => handlers.operation(job, signal),
      stopping,
    ),
    startWorker<DeliveryJob>(
      start,
      "outbox",
      concurrency.delivery,
      (job, signal) => handlers.deliver(job, signal),
      stopping,
    ),
  ];
  return Promise.resolve({
    [Symbol.asyncDispose]: () => stopWorkers(workers, options.graceMs, stopping, start.log),
  });
}

function startWorker<T>(
  { connection, prefix, log }: Start,
  queue: string,
  concurrency: number,
  handle: Handle<T>,
  stopping: AbortController,
): Worker<T> {
  const worker = new Worker<T>(
    queue,
    async (job, token, lost) => {
      const signal = AbortSignal.any(lost === undefined ? [stopping.signal] : [lost, stopping.signal]);
      await runJob(job, token, handle, signal, log.child({ queue, jobId: job.id }));
    },
    {
      connection: connection.workerOptions,
      prefix,
      concurrency,
      lockDuration: lockMs,
      stalledInterval: stalledCheckMs,
      maxStalledCount: 1_000_000,
      drainDelay: blockSeconds,
      runRetryDelay: 1_000,
      settings: { backoffStrategy },
    },
  );
  worker.on("error", reportOnce(log.child({ queue }), connection.address));
  worker.on("ready", () => log.debug({ queue, concurrency }, "taking jobs"));
  worker.on("stalled", (jobId) => log.warn({ queue, jobId }, "a job's process went away, running the job again"));
  worker.on("lockRenewalFailed", (ids) => {
    for (const id of ids) worker.cancelJob(id, "another process may have taken the job over");
  });
  return worker;
}

/** Ends normally for `done`; a job to be looked at again goes back with its delay, which costs no attempt. */
async function runJob<T>(
  job: Job<T>,
  token: string | undefined,
  handle: Handle<T>,
  signal: AbortSignal,
  log: Log,
): Promise<void> {
  const answer = await answerOf(job, handle, signal, log);
  if (answer.kind === "done") return;
  await job.moveToDelayed(Date.now() + answer.inMs, token);
  throw new DelayedError();
}

async function answerOf<T>(job: Job<T>, handle: Handle<T>, signal: AbortSignal, log: Log): Promise<JobAnswer> {
  try {
    if (signal.aborted) return { kind: "again", inMs: 0 };
    return await handle(job.data, signal);
  } catch (error) {
    if (signal.aborted) return { kind: "again", inMs: 0 };
    log.warn({ err: error, attempt: job.attemptsMade + 1 }, "job failed, will be tried again");
    throw forStorage(error);
  }
}

/** BullMQ stores what a job throws: its kind is enough there, the log has the rest. */
function forStorage(error: unknown): Error {
  const code = error instanceof WatcherError ? error.code : "unexpected";
  const stored = new JobFailed(code);
  stored.retryAfterMs = error instanceof WatcherError ? error.retryAfterMs : undefined;
  return stored;
}

class JobFailed extends Error {
  override readonly name = "JobFailed";
  retryAfterMs: number | undefined;
}

/** 0.5 s, doubling up to 30 s, a quarter of it by chance; never earlier than the other side asked for. */
export function backoffStrategy(attempt: number, _type?: string, error?: Error): number {
  const delay = Math.min(500 * 2 ** Math.min(attempt - 1, 10), longestBackoffMs);
  const jittered = delay * (0.75 + Math.random() * 0.25);
  const asked = error instanceof JobFailed ? (error.retryAfterMs ?? 0) : 0;
  return Math.round(Math.max(jittered, asked));
}

/** Workers try again for as long as Redis is away: the same complaint is worth one line until it changes. */
function reportOnce(log: Log, address: string): (error: Error) => void {
  let last = "";
  return (error) => {
    const reason = messageOf(error);
    if (reason !== last) log.warn({ address, reason }, "queue trouble, going on when it ends");
    last = reason;
  };
}

/** Takes no more jobs, waits for those under way up to the grace, asks the rest to stop, and lets go in any case. */
async function stopWorkers(
  workers: readonly Worker[],
  graceMs: number,
  stopping: AbortController,
  log: Log,
): Promise<void> {
  const closed = Promise.allSettled(workers.map((worker) => worker.close()));
  if (await within(closed, graceMs)) return;
  stopping.abort(new WatcherError("stopped", "the process is ending"));
  if (await within(closed, abortedMs)) return;
  log.warn({ graceMs }, "jobs under way did not stop in time; another process takes them up again");
  await within(Promise.allSettled(workers.map((worker) => worker.disconnect())), abortedMs);
}

async function within(work: Promise<unknown>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  const inTime = work.then(() => true as const);
  try {
    return await Promise.race([inTime, late]);
  } finally {
    clearTimeout(timer);
  }
}
