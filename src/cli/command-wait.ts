import { lookUpCommit } from "../app/look-up.ts";
import type { Engine } from "../app/engine.ts";
import { WatcherError } from "../lib/errors.ts";
import type { HistoryEntry } from "../ports/state-store.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { complain, print, printJson, progressLine } from "./output.ts";
import type { GlobalOptions } from "./settings.ts";
import { repositoryNames, withEngine } from "./with-engine.ts";

export interface WaitOptions extends GlobalOptions {
  readonly commit: string;
  readonly repository?: string;
  readonly timeoutMs: number;
}

const lookMs = 250;

/** Waits for a commit's final verdict: 0 synced, 1 failed, 2 when the time is over and it is still open. */
export function waitCommand(options: WaitOptions): Promise<ExitCode> {
  if (!/^[0-9a-f]{7,40}$/.test(options.commit))
    throw new WatcherError("usage", `--commit ${options.commit} is no commit id: give 7 to 40 hex digits`);
  return withEngine(options, async (engine, config) => {
    const names = repositoryNames(config, options.repository);
    const entry = await waitForCommit(engine, names, options);
    if (entry === undefined) {
      complain(
        `error: no final verdict on ${options.commit} after ${Math.round(options.timeoutMs / 1000)} s; see: kraken-gitops status`,
      );
      return exitCodes.changes;
    }
    if (options.json === true) printJson({ schemaVersion: 1, entry });
    else print(`${options.commit.slice(0, 12)} ${entry.verdict.state}: ${entry.verdict.description}`);
    return entry.verdict.state === "success" ? exitCodes.ok : exitCodes.error;
  });
}

async function waitForCommit(
  engine: Engine,
  names: readonly string[],
  options: Pick<WaitOptions, "commit" | "timeoutMs">,
): Promise<HistoryEntry | undefined> {
  const progress = progressLine();
  const deadline = engine.clock.now() + options.timeoutMs;
  try {
    for (;;) {
      const standings = await Promise.all(names.map((name) => lookUpCommit(engine, name, options.commit)));
      const settled = standings.find((standing) => standing.kind === "settled");
      if (settled?.kind === "settled") return settled.entry;
      if (engine.clock.now() >= deadline) return undefined;
      progress.show(
        standings.some((standing) => standing.kind === "open")
          ? `${options.commit.slice(0, 12)} is being synced ...`
          : `waiting for ${options.commit.slice(0, 12)} to reach the branch ...`,
      );
      await engine.clock.sleep(lookMs);
    }
  } finally {
    progress.clear();
  }
}
