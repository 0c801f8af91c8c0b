import { randomUUID } from "node:crypto";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openRedis } from "../../src/adapters/redis/connection.ts";
import { openJobQueue } from "../../src/adapters/redis/job-queue.ts";
import type { JobAnswer, JobHandlers, JobQueue, OperationJob } from "../../src/ports/job-queue.ts";
import { kill, startScript } from "../support/child-process.ts";
import { type TestRedis, silentLog, startTestRedis } from "../support/redis-server.ts";
import { jobQueueContract } from "./job-queue.contract.ts";

let server: TestRedis;
beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

const workOptions = { concurrency: { advance: 1, operations: 1, delivery: 1 }, graceMs: 1_000 };

async function open(instance: string = randomUUID()): Promise<JobQueue> {
  return openJobQueue({ connection: await server.connect(), instance, log: silentLog });
}

function done(): Promise<JobAnswer> {
  return Promise.resolve({ kind: "done" });
}

function collecting(seen: OperationJob[]): JobHandlers {
  return {
    advance: done,
    deliver: done,
    operation: (job) => {
      seen.push(job);
      return done();
    },
  };
}

function operationJob(operationId: string): OperationJob {
  return { schemaVersion: 1, syncId: "sync", cluster: "lab", round: 1, operationId };
}

describe("bullmq job queue", () => {
  jobQueueContract(open);

  it("runs the job of a killed worker process again", { timeout: 60_000 }, async () => {
    const instance = randomUUID();
    await using queue = await open(instance);
    const job = operationJob("op");
    await queue.addOperations([job]);
    const script = fileURLToPath(new URL("../support/queue-worker.ts", import.meta.url));
    const { child } = await startScript(script, [server.url, instance], /taken/);
    await kill(child);
    const seen: OperationJob[] = [];
    await using _ = await queue.work(collecting(seen), workOptions);
    await expect.poll(() => seen, { timeout: 30_000, interval: 100 }).toEqual([job]);
  });

  it("goes on after a restart of Redis, with the jobs that waited", async () => {
    const seen: OperationJob[] = [];
    await using queue = await open();
    await using _ = await queue.work(collecting(seen), workOptions);
    await queue.addOperations([operationJob("before")]);
    await expect.poll(() => seen).toHaveLength(1);
    await server.restart();
    await queue.addOperations([operationJob("after")]);
    await expect.poll(() => seen, { timeout: 15_000 }).toHaveLength(2);
  });

  it("says within seconds that Redis is away", async () => {
    const config = { url: "redis://127.0.0.1:1", password: undefined, caFile: undefined };
    const connection = await openRedis(config, "/nowhere", silentLog);
    await expect(openJobQueue({ connection, instance: "x", log: silentLog })).rejects.toMatchObject({
      code: "redis-unavailable",
    });
  });

  it("starts a job within milliseconds of its being added", async () => {
    await using queue = await open();
    let started = 0;
    const handlers = collecting([]);
    const operation = (): Promise<JobAnswer> => {
      started = performance.now();
      return Promise.resolve({ kind: "done" });
    };
    await using _ = await queue.work({ ...handlers, operation }, workOptions);
    const delays: number[] = [];
    for (let index = 0; index < 20; index += 1) {
      started = 0;
      const added = performance.now();
      await queue.addOperations([operationJob(`op-${index}`)]);
      await expect.poll(() => started, { interval: 1 }).toBeGreaterThan(0);
      delays.push(started - added);
    }
    const median = delays.toSorted((a, b) => a - b)[10] ?? Number.POSITIVE_INFINITY;
    expect(median).toBeLessThan(50);
  });
});
