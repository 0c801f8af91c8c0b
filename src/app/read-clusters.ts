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

/** Reads clusters side by side, one list call each. A cluster that does not answer is held and delays only itself. */
export async function readClusters(
  engine: Pick<Engine, "hypervisor" | "log">,
  clusters: readonly string[],
  signal: AbortSignal,
): Promise<ClustersRead> {
  const read: ClustersRead = { live: new Map(), held: [] };
  const waiting = [...clusters];
  const worker = async (): Promise<void> => {
    for (let cluster = waiting.shift(); cluster !== undefined; cluster = waiting.shift())
      await readOne(engine, cluster, read, signal);
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
): Promise<void> {
  try {
    const hypervisor = await engine.hypervisor(cluster);
    read.live.set(cluster, { state: await hypervisor.readLiveState(signal), traits: hypervisor.traits });
  } catch (error) {
    signal.throwIfAborted();
    const code = error instanceof WatcherError ? error.code : "internal";
    engine.log.warn({ err: error, cluster, code }, "cluster cannot be read, held");
    read.held.push({ cluster, code, reason: messageOf(error) });
  }
}
