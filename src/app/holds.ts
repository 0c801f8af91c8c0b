import { type Hold, holdOnCluster, type HoldRules } from "../sync/pauses.ts";
import type { Engine } from "./engine.ts";

/** Longest time until a held cluster is looked at again: clocks are set, and files of configuration change. */
const longestMs = 30_000;
/** Timers and clocks of several processes differ a little: looking too early would cost a whole round of waiting. */
const marginMs = 100;

/** What may hold a repository's work on a cluster at the moment. */
export async function readHoldRules(
  engine: Pick<Engine, "clock" | "config" | "store">,
  repository: string,
  cluster: string,
): Promise<HoldRules> {
  const { repositories, clusters } = engine.config();
  return {
    pauses: await engine.store.listPauses(engine.clock.now()),
    repositoryWindows: repositories.find(({ name }) => name === repository)?.windows ?? [],
    clusterWindows: clusters.find(({ name }) => name === cluster)?.windows ?? [],
  };
}

/** Holds of whole clusters, by name. */
export async function readHolds(
  engine: Pick<Engine, "clock" | "config" | "store">,
  repository: string,
  clusters: readonly string[],
): Promise<ReadonlyMap<string, Hold>> {
  const found = await Promise.all(
    clusters.map(async (cluster) => {
      const rules = await readHoldRules(engine, repository, cluster);
      return [cluster, holdOnCluster(rules, { repository, cluster }, engine.clock.now())] as const;
    }),
  );
  return new Map(found.flatMap(([cluster, hold]) => (hold === undefined ? [] : [[cluster, hold] as const])));
}

/** When to look again: as soon as the hold ends by itself, else at the next of fixed moments, the same for all who ask. */
export function recheckAtMs({ untilMs }: Hold, nowMs: number): number {
  const slotMs = (Math.floor(nowMs / longestMs) + 1) * longestMs;
  return untilMs !== undefined && untilMs > nowMs - marginMs ? Math.min(slotMs, untilMs + marginMs) : slotMs;
}

/** Wakes every running sync, so that what somebody resumed goes on at once. Lost wake-ups are made good by the next poll. */
export async function wakeSyncs(engine: Pick<Engine, "clock" | "config" | "queue" | "store">): Promise<void> {
  for (const { name } of engine.config().repositories) {
    const { currentSync } = await engine.store.readBranch(name);
    const sync = currentSync === undefined ? undefined : await engine.store.readSync(currentSync);
    if (sync?.state.kind !== "running") continue;
    const results = await engine.store.readClusterResults(sync.record.id);
    const wake = `resumed-${engine.clock.now()}`;
    for (const cluster of sync.record.clusters.filter((one) => !results.has(one)))
      await engine.queue.addAdvance({ schemaVersion: 1, syncId: sync.record.id, cluster }, wake);
  }
}
