import { type JobsOptions, Queue } from "bullmq";
import type { Redis } from "ioredis";
import type { AdvanceJob, DeliveryJob, JobQueue, OperationJob } from "../../ports/job-queue.ts";
import type { Log } from "../../ports/log.ts";
import { type RedisConnection, toRedisError } from "./connection.ts";
import { startWorkers } from "./job-workers.ts";
import { instanceTag } from "./keys.ts";

export const queueNames = ["sync", "operations", "outbox"] as const;
export type QueueName = (typeof queueNames)[number];

/** A job that ended is forgotten at once, because a kept one would block its id. A job never runs out of attempts: a wake-up is never lost. */
const jobOptions: JobsOptions = {
  removeOnComplete: true,
  removeOnFail: true,
  attempts: 1_000_000,
  backoff: { type: "capped" },
  stackTraceLimit: 1,
};

interface Queues {
  readonly sync: Queue<AdvanceJob>;
  readonly operations: Queue<OperationJob>;
  readonly outbox: Queue<DeliveryJob>;
}

/**
 * The job queue on BullMQ, which nobody outside this folder knows of. Adding fails with `redis-unavailable` within
 * seconds while Redis is away; workers wait for it and go on by themselves.
 */
export async function openJobQueue(options: {
  readonly connection: RedisConnection;
  readonly instance: string;
  readonly log: Log;
}): Promise<JobQueue> {
  const { connection, instance, log } = options;
  const redis = connection.producer();
  const ask = <T>(call: () => Promise<T>): Promise<T> => named(call, connection.address);
  const prefix = instanceTag(instance);
  const queues = await ask(() => openQueues(redis, prefix));
  return {
    async addAdvance(job, wake, delayMs = 0) {
      const jobId = jobIdOf(job.syncId, job.cluster, wake);
      await ask(() => queues.sync.add("advance", job, { jobId, delay: delayMs }));
    },
    async addOperations(jobs) {
      if (jobs.length === 0) return;
      await ask(() => queues.operations.addBulk(jobs.map(bulkEntry)));
    },
    async addDelivery(job, wake) {
      await ask(() => queues.outbox.add("deliver", job, { jobId: jobIdOf(job.repository, wake) }));
    },
    work: (handlers, workOptions) => startWorkers({ connection, prefix, log, handlers, options: workOptions }),
    counts: () => ask(() => countJobs(queues)),
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(Object.values(queues).map((queue: Queue) => queue.close()));
      redis.disconnect();
    },
  };
}

/** BullMQ waits for ever for a first connection, so the server is asked before. */
async function openQueues(redis: Redis, prefix: string): Promise<Queues> {
  try {
    await redis.ping();
    const open = <T>(name: QueueName): Queue<T> => openQueue<T>(name, redis, prefix);
    const queues = {
      sync: open<AdvanceJob>("sync"),
      operations: open<OperationJob>("operations"),
      outbox: open<DeliveryJob>("outbox"),
    };
    await Promise.all(Object.values(queues).map((queue: Queue) => queue.waitUntilReady()));
    return queues;
  } catch (error) {
    redis.disconnect();
    throw error;
  }
}

function openQueue<T>(name: QueueName, connection: Redis, prefix: string): Queue<T> {
  const queue = new Queue<T>(name, {
    connection,
    prefix,
    defaultJobOptions: jobOptions,
    streams: { events: { maxLen: 100 } },
  });
  // Outages are reported once, by the client the queues share; without a listener an event would end the process.
  queue.on("error", () => undefined);
  return queue;
}

function bulkEntry(job: OperationJob) {
  const jobId = jobIdOf(job.syncId, job.cluster, String(job.round), job.operationId);
  return { name: "operation", data: job, opts: { jobId } };
}

/** The same parts give the same id. BullMQ refuses `:` and bare numbers; encoded parts hold no slash, so none can be mistaken. */
export function jobIdOf(...parts: readonly string[]): string {
  return parts.map(encodeURIComponent).join("/");
}

async function countJobs(queues: Queues): Promise<Readonly<Record<string, number>>> {
  const counted = await Promise.all(
    queueNames.map(async (name) => {
      const counts = await queues[name].getJobCounts("waiting", "active", "delayed");
      return Object.entries(counts).map(([state, count]) => [`${name}.${state}`, count] as const);
    }),
  );
  return Object.fromEntries(counted.flat());
}

async function named<T>(call: () => Promise<T>, address: string): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw toRedisError(error, address);
  }
}
