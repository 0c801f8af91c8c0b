import { messageOf, WatcherError } from "../lib/errors.ts";
import type { LiveState, PlatformTraits } from "../plan/live-state.ts";
import type { HeldCluster } from "../plan/plan.ts";
import type { Engine } from "./engine.ts";

export interface ClustersRead {
  readonly live: Map<string, { readonly state: LiveState; readonly traits: PlatformTraits }>;
  readonly held: HeldCluster[];
}

/** Clusters asked at the same time. */
const breadth = 16;

/**
 * Reads clusters side by side, one list call each. A cluster that does not answer, or not within `patienceMs`, is held
 * and delays only itself.
 */
export async function readClusters(
  engine: Pick<Engine, "hypervisor" | "log">,
  clusters: readonly string[],
  signal: AbortSignal,
  patienceMs = 120_000,
): Promise<ClustersRead> {
  const read: ClustersRead = { live: new Map(), held: [] };
  const waiting = [...clusters];
  const worker = async (): Promise<void> => {
    for (let cluster = waiting.shift(); cluster !== undefined; cluster = waiting.shift())
      await readOne(engine, cluster, read, signal, patienceMs);
  };
  await Promise.all(Array.from({ length: Math.min(breadth, clusters.length) }, worker));
  read.held.sort((a, b) => (a.cluster < b.cluster ? -1 : 1));
  return read;
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
