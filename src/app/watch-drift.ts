import { WatcherError } from "../lib/errors.ts";
import { ClusterDrift, type DriftEngine } from "./cluster-drift.ts";
import type { Engine } from "./engine.ts";
import { followRoster } from "./follow-roster.ts";
import { keepLease } from "./keep-lease.ts";

type WatchingEngine = DriftEngine & Pick<Engine, "hypervisor" | "random" | "traits">;

/** How long a cluster goes unwatched after its watcher was killed. */
const leaseMs = 10_000;
/** Between two attempts to watch a cluster. */
const againMs = 5_000;
/** How often it is looked whether a look is due. */
const tickMs = 500;

/**
 * Follows what clusters with events tell of changed VMs, one process at a time for each of them, until disposed. Clusters
 * come and go with the configuration.
 */
export function startDriftWatch(engine: WatchingEngine): AsyncDisposable {
  return followRoster(engine.clock, {
    wanted: () =>
      new Map(
        engine
          .config()
          .clusters.filter(({ driver }) => engine.traits(driver).events)
          .map((cluster) => [cluster.name, JSON.stringify(cluster)]),
      ),
    work: (cluster, signal) => watchCluster(engine, cluster, signal),
  });
}

async function watchCluster(engine: WatchingEngine, cluster: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await watchUnderLease(engine, cluster, signal);
    } catch (error) {
      if (signal.aborted) return;
      const expected = error instanceof WatcherError && error.retry !== "terminal";
      engine.log[expected ? "info" : "warn"]({ err: error, cluster }, "cluster cannot be watched for drift now");
    }
    await engine.clock.sleep(againMs * (0.9 + 0.2 * engine.random()), signal).catch(() => undefined);
  }
}

/** Does nothing while another process watches the cluster. */
async function watchUnderLease(engine: WatchingEngine, cluster: string, signal: AbortSignal): Promise<void> {
  const lease = await engine.store.acquireLease(`drift/${cluster}`, leaseMs);
  if (lease === undefined) return;
  await using kept = keepLease(lease, leaseMs, engine.clock);
  await listen(engine, cluster, AbortSignal.any([signal, kept.lost]));
}

/** Hears of changes and looks at them, until aborted or until the cluster tells no more. */
async function listen(engine: WatchingEngine, cluster: string, signal: AbortSignal): Promise<void> {
  const hypervisor = await engine.hypervisor(cluster);
  const drift = new ClusterDrift(engine, hypervisor);
  const ended = new AbortController();
  const listening = AbortSignal.any([signal, ended.signal]);
  async function keepLooking(): Promise<void> {
    while (!listening.aborted) {
      await drift.look(listening);
      await engine.clock.sleep(tickMs, listening).catch(() => undefined);
    }
  }
  // Nobody listened until now.
  drift.notice(undefined);
  const hearing = hypervisor.watchChanges((id) => drift.notice(id), listening).finally(() => ended.abort());
  await Promise.all([hearing, keepLooking()]);
}
