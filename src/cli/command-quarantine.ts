import { listQuarantined } from "../app/inspect/list-quarantined.ts";
import { renderQuarantine } from "../report/quarantine-list.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { complain, print, printJson } from "./output.ts";
import type { GlobalOptions } from "./settings.ts";
import { clusterNames, withEngine } from "./with-engine.ts";

export interface QuarantineOptions extends GlobalOptions {
  readonly cluster?: string;
}

/** What is kept in quarantine on the clusters. Exit code 1 when one of them could not be asked. */
export function quarantineCommand(options: QuarantineOptions): Promise<ExitCode> {
  return withEngine(options, async (engine, config) => {
    const clusters = clusterNames(config, options.cluster);
    const { virdomains, held } = await listQuarantined(engine, clusters, AbortSignal.timeout(300_000));
    if (options.json === true)
      printJson({ schemaVersion: 1, instance: config.instance, virdomains, unreachable: held });
    else print(renderQuarantine(virdomains, engine.clock.now()));
    for (const { cluster, reason } of held) complain(`cluster ${cluster} could not be asked: ${reason}`);
    return held.length === 0 ? exitCodes.ok : exitCodes.error;
  });
}
