import { advanceSync } from "./advance-sync.ts";
import { createCourier } from "./deliver-outbox.ts";
import type { Engine } from "./engine.ts";
import { startCleaning } from "./clean-clusters.ts";
import { runOperationJob } from "./run-operation.ts";
import { watchRepository } from "./watch-repository.ts";

/** How long running operations get to finish when the process ends. */
const graceMs = 20_000;
/** How often the list of repositories is compared with the configuration. */
const rosterMs = 1_000;

/** Watches every configured repository, following the configuration, and removes expired snapshots, until disposed. */
export function startWatching(engine: Engine): AsyncDisposable {
  const stop = new AbortController();
  const watchers = new Map<string, { readonly controller: AbortController; readonly ended: Promise<void> }>();

  async function followRoster(): Promise<void> {
    while (!stop.signal.aborted) {
      const names = new Set(engine.config().repositories.map((repository) => repository.name));
      for (const name of names) if (!watchers.has(name)) watchers.set(name, startOne(name));
      for (const [name, watcher] of watchers) {
        if (names.has(name)) continue;
        watcher.controller.abort();
        watchers.delete(name);
        engine.log.info({ repository: name }, "repository left the configuration, no longer watched");
      }
      await engine.clock.sleep(rosterMs, stop.signal).catch(() => undefined);
    }
  }

  function startOne(name: string): { controller: AbortController; ended: Promise<void> } {
    const controller = new AbortController();
    engine.log.info({ repository: name }, "watching");
    return { controller, ended: watchRepository(engine, name, AbortSignal.any([controller.signal, stop.signal])) };
  }

  const roster = followRoster();
  const removing = startCleaning(engine);
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await removing[Symbol.asyncDispose]();
      await roster;
      await Promise.all([...watchers.values()].map((watcher) => watcher.ended));
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
