import { messageOf, WatcherError } from "../../lib/errors.ts";
import type { LiveState, PlatformTraits } from "../../plan/live-state.ts";
import type { HeldCluster } from "../../plan/plan.ts";
import type { Engine } from "../engine.ts";

export interface ClustersRead {
  readonly live: Map<string, { readonly state: LiveState; readonly traits: PlatformTraits }>;
  readonly held: HeldCluster[];
}

/** How many clusters are asked at the same time. */
interface Pace {
  /** Not counting the slow ones. */
  readonly breadth: number;
  /** A cluster that has not answered by then no longer keeps the next one waiting, */
  readonly slowMs: number;
  /** unless so many are slow that there would be no end of open connections. */
  readonly mostSlow: number;
}

const usualPace: Pace = { breadth: 16, slowMs: 250, mostSlow: 240 };

/**
 * Reads clusters side by side, one list call each. A cluster that does not answer, or not within `patienceMs`, is held
 * and delays only itself: it gives its place to the next one long before.
 */
export async function readClusters(
  engine: Pick<Engine, "hypervisor" | "log">,
  clusters: readonly string[],
  signal: AbortSignal,
  patienceMs = 120_000,
  pace = usualPace,
): Promise<ClustersRead> {
  const read: ClustersRead = { live: new Map(), held: [] };
  const waiting = [...clusters];
  const slow = new Set<Promise<void>>();
  const place = async (): Promise<void> => {
    for (let cluster = waiting.shift(); cluster !== undefined; cluster = waiting.shift()) {
      const reading = readOne(engine, cluster, read, signal, patienceMs);
      if (await endsWithin(reading, pace.slowMs)) continue;
      slow.add(reading);
      void reading.finally(() => slow.delete(reading)).catch(() => undefined);
      if (slow.size > pace.mostSlow) await Promise.race(slow);
    }
  };
  await Promise.all(Array.from({ length: Math.min(pace.breadth, clusters.length) }, place));
  await Promise.all(slow);
  read.held.sort((a, b) => (a.cluster < b.cluster ? -1 : 1));
  return read;
}

/** False when the time comes first. Its failure is its own. */
async function endsWithin(work: Promise<void>, ms: number): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(() => resolve(false), ms);
  });
  try {
    return await Promise.race([work.then(() => true as const), late]);
  } finally {
    clearTimeout(timer);
  }
}

async function readOne(
  engine: Pick<Engine, "hypervisor" | "log">,
  cluster: string,
  read: ClustersRead,
  signal: AbortSignal,
  patienceMs: number,
): Promise<void> {
  const patience = AbortSignal.timeout(patienceMs);
  try {
    const hypervisor = await engine.hypervisor(cluster);
    read.live.set(cluster, {
      state: await hypervisor.readLiveState(AbortSignal.any([signal, patience])),
      traits: hypervisor.traits,
    });
  } catch (error) {
    signal.throwIfAborted();
    if (patience.aborted) {
      engine.log.warn({ cluster, patienceMs }, "cluster does not answer in time, held");
      read.held.push({ cluster, code: "cluster-unreachable", reason: `no answer within ${patienceMs / 1000} s` });
      return;
    }
    const code = error instanceof WatcherError ? error.code : "internal";
    engine.log.warn({ err: error, cluster, code }, "cluster cannot be read, held");
    read.held.push({ cluster, code, reason: messageOf(error) });
  }
}
