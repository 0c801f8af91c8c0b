import type { Engine } from "../app/engine.ts";
import { wakeSyncs } from "../app/holds.ts";
import { lookUpRepository } from "../app/inspect/look-up.ts";
import type { Config } from "../config/config.ts";
import { WatcherError } from "../lib/errors.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { complain, print, printJson, progressLine } from "./output.ts";
import type { GlobalOptions } from "./settings.ts";
import { userName } from "./user-name.ts";
import { clusterNames, repositoryNames, withEngine } from "./with-engine.ts";

export interface SyncOptions extends GlobalOptions {
  readonly wait?: boolean;
  /** A cluster of which a person says that the VMs it no longer shows are gone. */
  readonly acceptEmpty?: string;
  readonly timeoutMs: number;
}

const lookMs = 250;

/** Asks the watcher to compare everything with the clusters now, whatever was applied before. With `--wait` follows it to its end. */
export function syncCommand(repository: string | undefined, options: SyncOptions): Promise<ExitCode> {
  return withEngine(options, async (engine, config) => {
    const names = repositoryNames(config, repository);
    if (options.acceptEmpty !== undefined) await acceptEmpty(engine, config, options.acceptEmpty);
    const before = await Promise.all(names.map(async (name) => (await engine.store.readBranch(name)).currentSync));
    for (const name of names) await engine.store.requestSync(name);
    if (options.acceptEmpty !== undefined) await wakeSyncs(engine);
    if (options.wait !== true) {
      if (options.json === true) printJson({ schemaVersion: 1, requested: names });
      else print(`Asked for a sync of ${names.join(", ")}. Follow it with: kraken-gitops status`);
      return exitCodes.ok;
    }
    const codes: ExitCode[] = [];
    for (const [index, name] of names.entries()) codes.push(await follow(engine, name, before[index], options));
    return codes.includes(exitCodes.error)
      ? exitCodes.error
      : codes.includes(exitCodes.changes)
        ? exitCodes.changes
        : exitCodes.ok;
  });
}

/** Forgets what the cluster had. It is looked at first: VMs that are there again are not to be forgotten. */
async function acceptEmpty(engine: Engine, config: Config, cluster: string): Promise<void> {
  clusterNames(config, cluster);
  const hypervisor = await engine.hypervisor(cluster);
  const isEmptied = await hypervisor.readLiveState(AbortSignal.timeout(60_000)).then(
    () => false,
    (error: unknown) => {
      if (error instanceof WatcherError && error.code === "cluster-emptied") return true;
      throw error;
    },
  );
  if (!isEmptied)
    throw new WatcherError(
      "usage",
      `--accept-empty: ${cluster} misses no VMs of ours; run \`kraken-gitops sync\` without it`,
    );
  const count = await engine.store.forgetSighted(cluster);
  engine.log.warn({ cluster, count, by: userName() }, "VMs of a cluster are taken for lost, and made anew");
}

async function follow(
  engine: Engine,
  name: string,
  before: string | undefined,
  options: SyncOptions,
): Promise<ExitCode> {
  const progress = progressLine();
  const deadline = engine.clock.now() + options.timeoutMs;
  while (engine.clock.now() < deadline) {
    const { sync, clusters } = await lookUpRepository(engine, name);
    const done = clusters.reduce((sum, cluster) => sum + cluster.done, 0);
    const total = clusters.reduce((sum, cluster) => sum + cluster.total, 0);
    progress.show(`syncing ${name}: ${done} of ${total} operations`);
    if (sync !== undefined && sync.record.id !== before && sync.state.kind === "finished") {
      progress.clear();
      const { verdict } = sync.state;
      if (options.json === true)
        printJson({ schemaVersion: 1, repository: name, revision: sync.record.revision, verdict });
      else print(`${name} ${sync.record.revision.slice(0, 12)} ${verdict.state}: ${verdict.description}`);
      return verdict.state === "success" ? exitCodes.ok : exitCodes.error;
    }
    await engine.clock.sleep(lookMs);
  }
  progress.clear();
  const { condition } = await lookUpRepository(engine, name);
  const why = condition?.ok === false ? condition.message : "is `kraken-gitops run` (or watch and work) running?";
  complain(`error: ${name} is not synced after ${Math.round(options.timeoutMs / 1000)} s; ${why}`);
  return exitCodes.changes;
}
