import { renderHistory } from "../report/history.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { print, printJson } from "./output.ts";
import type { GlobalOptions } from "./settings.ts";
import { repositoryNames, withEngine } from "./with-engine.ts";

export interface HistoryOptions extends GlobalOptions {
  readonly application?: string;
  readonly limit: number;
}

/** Past syncs, newest first: commit, author, when, result, duration, operations. */
export function historyCommand(repository: string | undefined, options: HistoryOptions): Promise<ExitCode> {
  return withEngine(options, async (engine, config) => {
    const names = repositoryNames(config, repository);
    const found = await Promise.all(names.map((name) => engine.store.listHistory(name, 500)));
    const entries = found
      .flat()
      .filter((entry) => options.application === undefined || entry.applications.includes(options.application))
      .sort((a, b) => b.finishedAtMs - a.finishedAtMs)
      .slice(0, options.limit);
    if (options.json === true) printJson({ schemaVersion: 1, entries });
    else print(renderHistory(entries, engine.clock.now()));
    return exitCodes.ok;
  });
}
