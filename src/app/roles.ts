import { advanceSync } from "./sync/advance-sync.ts";
import { createCourier } from "./outbox/deliver-outbox.ts";
import type { Engine } from "./engine.ts";
import { startCleaning } from "./upkeep/clean-clusters.ts";
import { followRoster } from "./process/follow-roster.ts";
import { runOperationJob } from "./operation/run-operation.ts";
import { startDriftWatch } from "./drift/watch-drift.ts";
import { watchRepository } from "./watch/watch-repository.ts";

/** How long running operations get to finish when the process ends. */
const graceMs = 20_000;
/**
 * Watches every configured repository, following the configuration, cleans clusters and listens to those that tell of
 * changes, until disposed.
 */
export function startWatching(engine: Engine): AsyncDisposable {
  const watching = followRoster(engine.clock, {
    wanted: () => new Map(engine.config().repositories.map(({ name }) => [name, ""])),
    work(name, signal) {
      engine.log.info({ repository: name }, "watching");
      return watchRepository(engine, name, signal);
    },
    onLeft: (name) => engine.log.info({ repository: name }, "repository left the configuration, no longer watched"),
  });
  const parts = [watching, startCleaning(engine), startDriftWatch(engine)];
  return {
    async [Symbol.asyncDispose]() {
      await Promise.all(parts.map((part) => part[Symbol.asyncDispose]()));
    },
  };
}

/** Takes jobs until disposed: operations under way may finish, nothing new is begun. */
export async function startWorking(engine: Engine): Promise<AsyncDisposable> {
  const courier = createCourier(engine);
  const { concurrency } = engine.config().workers;
  return engine.queue.work(
    {
      advance: (job, signal) => advanceSync(engine, job, signal),
      operation: (job, signal) => runOperationJob(engine, job, signal),
      deliver: (job, signal) => courier.deliver(job, signal),
    },
    {
      concurrency: { advance: Math.max(4, Math.ceil(concurrency / 4)), operations: concurrency, delivery: 4 },
      graceMs,
    },
  );
}
