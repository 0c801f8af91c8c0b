import { WatcherError } from "../../lib/errors.ts";
import type { ChangeContext } from "../../ports/hypervisor.ts";
import { holdOnCluster } from "../../sync/pauses.ts";
import type { Engine } from "../engine.ts";
import { purgeQuarantined } from "./purge-quarantined.ts";
import { readHoldRules } from "../holds.ts";

type CleaningEngine = Pick<Engine, "clock" | "config" | "hypervisor" | "log" | "random" | "repository" | "store">;

/** How often one cluster is cleaned, over all processes and restarts. */
const everyMs = 3_600_000;
/** How often a process looks whether it is time for one of the clusters. */
const lookMs = 60_000;
/** Clusters cleaned at the same time: there is no hurry, and syncs come first. */
const breadth = 4;

/** Removes expired snapshots, orphaned uploads and VMs whose quarantine is over about once an hour until disposed. */
export function startCleaning(engine: CleaningEngine): AsyncDisposable {
  const stop = new AbortController();
  async function keepLooking(): Promise<void> {
    // Processes that start together must not ask all clusters at the same moment.
    for (let waitMs = lookMs * engine.random(); ; waitMs = lookMs * (0.9 + 0.2 * engine.random())) {
      await engine.clock.sleep(waitMs, stop.signal).catch(() => undefined);
      if (stop.signal.aborted) return;
      await cleanClusters(engine, stop.signal);
    }
  }
  const looking = keepLooking();
  return {
    async [Symbol.asyncDispose]() {
      stop.abort(new WatcherError("stopped", "the process ends"));
      await looking;
    },
  };
}

/** One look: cleans the clusters whose time has come and that no other process has taken. Trouble waits for the next time. */
export async function cleanClusters(engine: CleaningEngine, signal: AbortSignal): Promise<void> {
  const waiting = engine.config().clusters.map(({ name }) => name);
  const worker = async (): Promise<void> => {
    for (let cluster = waiting.shift(); cluster !== undefined && !signal.aborted; cluster = waiting.shift())
      await cleanInTurn(engine, cluster, signal);
  };
  await Promise.all(Array.from({ length: Math.min(breadth, waiting.length) }, worker));
}

async function cleanInTurn(engine: CleaningEngine, cluster: string, signal: AbortSignal): Promise<void> {
  try {
    const startedMs = engine.clock.now();
    const place = { repository: "", cluster };
    if (holdOnCluster(await readHoldRules(engine, place.repository, cluster), place, startedMs) !== undefined) return;
    // The lease is not given back: it spaces the looks out over all processes.
    if ((await engine.store.acquireLease(`cleaning/${cluster}`, everyMs)) === undefined) return;
    await clean(engine, cluster, startedMs + everyMs, signal);
  } catch (error) {
    if (signal.aborted) return;
    const expected =
      error instanceof WatcherError && (error.retry !== "terminal" || error.code === "cluster-unsupported");
    engine.log[expected ? "info" : "warn"]({ err: error, cluster }, "cluster cannot be cleaned now");
  }
}

async function clean(engine: CleaningEngine, cluster: string, leaseEndsMs: number, signal: AbortSignal): Promise<void> {
  const hypervisor = await engine.hypervisor(cluster);
  await hypervisor.ensureReady(signal);
  const context: ChangeContext = {
    signal,
    stop: signal,
    // Nothing is written under a lease that ended while the process was asleep.
    beforeChange() {
      signal.throwIfAborted();
      if (engine.clock.now() >= leaseEndsMs)
        throw new WatcherError("lease-lost", `another process may be cleaning ${cluster}`);
    },
    progress: () => undefined,
  };
  const removed = await hypervisor.removeExpiredSnapshots(engine.clock.now(), context);
  if (removed.length > 0)
    engine.log.info({ cluster, snapshots: removed.map(({ id }) => id) }, "expired snapshots removed");
  const uploads = await hypervisor.removeOrphanedUploads(context);
  if (uploads.length > 0) engine.log.info({ cluster, uploads }, "orphaned uploads removed");
  for (const { name, mark } of await purgeQuarantined(engine, hypervisor, context))
    engine.log.warn({ cluster, virdomain: name, quarantine: mark?.quarantine }, "VM deleted, its quarantine is over");
}
