import { listDrift } from "../app/inspect/list-drift.ts";
import { renderDrift } from "../report/drift-list.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { complain, print, printJson } from "./output.ts";
import type { GlobalOptions } from "./settings.ts";
import { clusterNames, withEngine } from "./with-engine.ts";

export interface DriftOptions extends GlobalOptions {
  readonly cluster?: string;
}

/** What drifted on the clusters. Exit code 1 when one of them could not be asked, else 2 when something drifted. */
export function driftCommand(options: DriftOptions): Promise<ExitCode> {
  return withEngine(options, async (engine, config) => {
    const clusters = clusterNames(config, options.cluster);
    const { held, ...list } = await listDrift(engine, clusters, AbortSignal.timeout(600_000));
    if (options.json === true) printJson({ schemaVersion: 1, instance: config.instance, ...list, unreachable: held });
    else print(renderDrift(list, engine.clock.now()));
    for (const { cluster, reason } of held) complain(`cluster ${cluster} could not be asked: ${reason}`);
    if (held.length > 0) return exitCodes.error;
    return list.drifted.length > 0 ? exitCodes.changes : exitCodes.ok;
  });
}
