import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import type {
  AdvanceJob,
  JobAnswer,
  JobHandlers,
  JobQueue,
  OperationJob,
  WorkOptions,
} from "../../src/ports/job-queue.ts";

const workOptions: WorkOptions = { concurrency: { advance: 4, operations: 4, delivery: 2 }, graceMs: 1_000 };
const done: JobAnswer = { kind: "done" };

function advanceJob(syncId: string = randomUUID()): AdvanceJob {
  return { schemaVersion: 1, syncId, cluster: "lab" };
}

function operationJob(operationId: string, syncId: string): OperationJob {
  return { schemaVersion: 1, syncId, cluster: "lab", round: 1, operationId };
}

function idle(): Promise<JobAnswer> {
  return Promise.resolve(done);
}

function handlers(overrides: Partial<JobHandlers>): JobHandlers {
  return { advance: idle, operation: idle, deliver: idle, ...overrides };
}

async function total(queue: JobQueue): Promise<number> {
  return Object.values(await queue.counts()).reduce((sum, count) => sum + count, 0);
}

/** What every job queue must do. `open` answers a queue nobody else uses. */
export function jobQueueContract(open: () => Promise<JobQueue>): void {
  const check = (title: string, body: (queue: JobQueue) => Promise<void>): void => {
    it(title, async () => {
      await using queue = await open();
      await body(queue);
    });
  };

  check("gives every kind of job to its handler, whole", async (queue) => {
    const seen: unknown[] = [];
    const note = (job: unknown): Promise<JobAnswer> => {
      seen.push(job);
      return Promise.resolve(done);
    };
    const advance = advanceJob();
    const operation = operationJob("op-1", advance.syncId);
    const delivery = { schemaVersion: 1, repository: "fleet" } as const;
    await using _ = await queue.work({ advance: note, operation: note, deliver: note }, workOptions);
    await queue.addAdvance(advance, "new");
    await queue.addOperations([operation]);
    await queue.addDelivery(delivery, "new");
    await expect.poll(() => seen).toHaveLength(3);
    expect(seen).toEqual(expect.arrayContaining([advance, operation, delivery]));
    await expect.poll(() => total(queue)).toBe(0);
  });

  check("adding a known id changes nothing, until its job has ended", async (queue) => {
    const job = operationJob("op", randomUUID());
    await queue.addOperations([job, job]);
    await queue.addOperations([job]);
    expect(await queue.counts()).toMatchObject({ "operations.waiting": 1 });
    let runs = 0;
    const operation = (): Promise<JobAnswer> => {
      runs += 1;
      return Promise.resolve(done);
    };
    await using _ = await queue.work(handlers({ operation }), workOptions);
    await expect.poll(() => total(queue)).toBe(0);
    await queue.addOperations([job]);
    await expect.poll(() => runs).toBe(2);
  });

  check("ids that look alike stay apart", async (queue) => {
    const base = operationJob("c", "1");
    await queue.addOperations([
      { ...base, cluster: "a.b" },
      { ...base, cluster: "a", operationId: "b.c" },
      { ...base, cluster: "a:b" },
      { ...base, cluster: "1", syncId: "" },
    ]);
    expect(await queue.counts()).toMatchObject({ "operations.waiting": 4 });
  });

  check("a job wanted again comes again after its delay, as often as it says", async (queue) => {
    const starts: number[] = [];
    const advance = (): Promise<JobAnswer> => {
      starts.push(performance.now());
      return Promise.resolve(starts.length < 4 ? { kind: "again", inMs: 100 } : done);
    };
    await using _ = await queue.work(handlers({ advance }), workOptions);
    await queue.addAdvance(advanceJob(), "new");
    await expect.poll(() => starts).toHaveLength(4);
    const gaps = starts.slice(1).map((start, index) => start - (starts[index] ?? 0));
    for (const gap of gaps) {
      expect(gap).toBeGreaterThan(90);
      expect(gap).toBeLessThan(400);
    }
    await expect.poll(() => total(queue)).toBe(0);
  });

  check("a delayed job starts on time although nothing else happens", async (queue) => {
    let started = 0;
    const advance = (): Promise<JobAnswer> => {
      started = performance.now();
      return Promise.resolve(done);
    };
    await using _ = await queue.work(handlers({ advance }), workOptions);
    const added = performance.now();
    await queue.addAdvance(advanceJob(), "later", 300);
    await expect.poll(() => started).toBeGreaterThan(0);
    expect(started - added).toBeGreaterThan(280);
    expect(started - added).toBeLessThan(700);
  });

  check("a job whose handler throws is tried again and not lost", async (queue) => {
    let runs = 0;
    const deliver = (): Promise<JobAnswer> => {
      runs += 1;
      return runs < 3 ? Promise.reject(new Error("forge is down")) : Promise.resolve(done);
    };
    await using _ = await queue.work(handlers({ deliver }), workOptions);
    await queue.addDelivery({ schemaVersion: 1, repository: "fleet" }, "new");
    await expect.poll(() => runs, { timeout: 10_000 }).toBe(3);
    await expect.poll(() => total(queue)).toBe(0);
  });

  check("works on no more jobs at once than asked", async (queue) => {
    let atOnce = 0;
    let most = 0;
    let ended = 0;
    const operation = async (): Promise<JobAnswer> => {
      atOnce += 1;
      most = Math.max(most, atOnce);
      await new Promise((resolve) => setTimeout(resolve, 20));
      atOnce -= 1;
      ended += 1;
      return done;
    };
    const syncId = randomUUID();
    await queue.addOperations(Array.from({ length: 20 }, (_, index) => operationJob(`op-${index}`, syncId)));
    await using _ = await queue.work(handlers({ operation }), workOptions);
    await expect.poll(() => ended, { timeout: 10_000 }).toBe(20);
    expect(most).toBe(4);
  });

  check("stopping waits for the job under way", async (queue) => {
    const events: string[] = [];
    const operation = async (): Promise<JobAnswer> => {
      events.push("begun");
      await new Promise((resolve) => setTimeout(resolve, 200));
      events.push("ended");
      return done;
    };
    const work = await queue.work(handlers({ operation }), workOptions);
    await queue.addOperations([operationJob("op", randomUUID())]);
    await expect.poll(() => events).toEqual(["begun"]);
    await work[Symbol.asyncDispose]();
    expect(events).toEqual(["begun", "ended"]);
    expect(await total(queue)).toBe(0);
  });

  check("stopping aborts what exceeds the grace, and another worker takes the job at once", async (queue) => {
    let reason: unknown;
    const stuck = (_job: OperationJob, signal: AbortSignal): Promise<JobAnswer> =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          reason = signal.reason;
          reject(signal.reason as Error);
        });
      });
    const work = await queue.work(handlers({ operation: stuck }), { ...workOptions, graceMs: 50 });
    const job = operationJob("op", randomUUID());
    await queue.addOperations([job]);
    await expect.poll(() => queue.counts()).toMatchObject({ "operations.active": 1 });
    await work[Symbol.asyncDispose]();
    expect(reason).toMatchObject({ code: "stopped" });
    const seen: OperationJob[] = [];
    const operation = (next: OperationJob): Promise<JobAnswer> => {
      seen.push(next);
      return Promise.resolve(done);
    };
    await using _ = await queue.work(handlers({ operation }), workOptions);
    await expect.poll(() => seen, { timeout: 3_000 }).toEqual([job]);
  });
}
