import { WatcherError } from "../../lib/errors.ts";
import type { Config } from "../../config/config.ts";
import { ClusterDrift, type DriftEngine } from "./cluster-drift.ts";
import type { Engine } from "../engine.ts";
import { followRoster } from "../process/follow-roster.ts";
import { keepLease } from "../process/keep-lease.ts";

type WatchingEngine = DriftEngine & Pick<Engine, "hypervisor" | "random" | "traits">;

/** How long a cluster with events goes unwatched after its watcher was killed, and how often others try to take over. */
const busy = { leaseMs: 10_000, againMs: 5_000 } as const;
/** The same where nobody listens: there is time from round to round, and many clusters must not keep Redis busy. */
const calm = { leaseMs: 120_000, againMs: 30_000 } as const;
/** How often it is looked whether a look is due. */
const tickMs = 500;

/**
 * Compares clusters with what was applied to them, each in rounds of its own and, where it tells of changed VMs, as they
 * happen; one process at a time for each of them, until disposed. Clusters come and go with the configuration.
 */
export function startDriftWatch(engine: WatchingEngine): AsyncDisposable {
  let known: { readonly config: Config; readonly wanted: ReadonlyMap<string, string> } | undefined;
  return followRoster(engine.clock, {
    wanted() {
      const config = engine.config();
      if (known?.config !== config) known = { config, wanted: watched(engine, config) };
      return known.wanted;
    },
    work: (cluster, signal) => watchCluster(engine, cluster, signal),
  });
}

function watched(engine: WatchingEngine, { clusters, drift }: Config): ReadonlyMap<string, string> {
  const wanted = clusters.filter(({ driver }) => drift.intervalMs > 0 || engine.traits(driver).events);
  return new Map(wanted.map((cluster) => [cluster.name, JSON.stringify([cluster, drift])]));
}

async function watchCluster(engine: WatchingEngine, cluster: string, signal: AbortSignal): Promise<void> {
  const driver = engine.config().clusters.find(({ name }) => name === cluster)?.driver;
  const events = driver !== undefined && engine.traits(driver).events;
  const pace = events ? busy : calm;
  const work = events ? listen : goRounds;
  while (!signal.aborted) {
    try {
      await underLease(engine, cluster, pace.leaseMs, signal, (inOffice) => work(engine, cluster, inOffice));
    } catch (error) {
      if (signal.aborted) return;
      const expected = error instanceof WatcherError && error.retry !== "terminal";
      engine.log[expected ? "info" : "warn"]({ err: error, cluster }, "cluster cannot be watched for drift now");
    }
    await engine.clock.sleep(pace.againMs * (0.9 + 0.2 * engine.random()), signal).catch(() => undefined);
  }
}

/** Does nothing while another process watches the cluster. */
async function underLease(
  engine: WatchingEngine,
  cluster: string,
  leaseMs: number,
  signal: AbortSignal,
  work: (inOffice: AbortSignal) => Promise<void>,
): Promise<void> {
  const lease = await engine.store.acquireLease(`drift/${cluster}`, leaseMs);
  if (lease === undefined) return;
  await using kept = keepLease(lease, leaseMs, engine.clock);
  await work(AbortSignal.any([signal, kept.lost]));
}

/** Hears of changes and looks at them, and at everything in rounds, until aborted or until the cluster tells no more. */
async function listen(engine: WatchingEngine, cluster: string, signal: AbortSignal): Promise<void> {
  const hypervisor = await engine.hypervisor(cluster);
  const drift = new ClusterDrift(engine, hypervisor);
  const ended = new AbortController();
  const listening = AbortSignal.any([signal, ended.signal]);
  async function keepLooking(): Promise<void> {
    for (let roundMs = nextRound(engine); !listening.aborted; ) {
      if (engine.clock.now() >= roundMs) {
        drift.beginRound();
        roundMs = nextRound(engine);
      }
      await drift.look(listening);
      await engine.clock.sleep(tickMs, listening).catch(() => undefined);
    }
  }
  // Nobody listened until now.
  drift.notice(undefined);
  const hearing = hypervisor.watchChanges((id) => drift.notice(id), listening).finally(() => ended.abort());
  await Promise.all([hearing, keepLooking()]);
}

/** When the next round begins, a little sooner or later for each cluster, so that they do not come together. */
function nextRound(engine: WatchingEngine): number {
  const { intervalMs } = engine.config().drift;
  return intervalMs === 0 ? Number.POSITIVE_INFINITY : engine.clock.now() + intervalMs * (0.9 + 0.2 * engine.random());
}

/** One look at everything after each interval, until aborted. The first comes at any moment of the interval. */
async function goRounds(engine: WatchingEngine, cluster: string, signal: AbortSignal): Promise<void> {
  await engine.clock.sleep(engine.config().drift.intervalMs * engine.random(), signal).catch(() => undefined);
  if (signal.aborted) return;
  const drift = new ClusterDrift(engine, await engine.hypervisor(cluster));
  while (!signal.aborted) {
    const roundMs = nextRound(engine);
    drift.beginRound();
    await drift.look(signal);
    await engine.clock.sleep(Math.max(0, roundMs - engine.clock.now()), signal).catch(() => undefined);
  }
}
