import { type CommitStanding, lookUpCommit } from "../app/inspect/look-up.ts";
import type { Engine } from "../app/engine.ts";
import { WatcherError } from "../lib/errors.ts";
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
    const found = await waitForCommit(engine, names, options);
    if (found.kind !== "settled") {
      complain(`error: ${describeOpen(found, names, options)}`);
      if (options.json === true) printJson({ schemaVersion: 1, commit: options.commit, standing: found.kind });
      return exitCodes.changes;
    }
    const { entry } = found;
    if (options.json === true) printJson({ schemaVersion: 1, entry });
    else print(`${options.commit.slice(0, 12)} ${entry.verdict.state}: ${entry.verdict.description}`);
    return entry.verdict.state === "success" ? exitCodes.ok : exitCodes.error;
  });
}

function describeOpen(found: CommitStanding, names: readonly string[], options: WaitOptions): string {
  const commit = options.commit.slice(0, 12);
  const seconds = Math.round(options.timeoutMs / 1000);
  return found.kind === "open"
    ? `${commit} is still being synced after ${seconds} s; see: kraken-gitops status`
    : `${commit} was not seen on a tracked branch of ${names.join(", ")} within ${seconds} s; is it pushed, and is \`kraken-gitops run\` (or watch and work) running?`;
}

/** Looks until the commit is settled or the time is over, and answers how it stands then. */
async function waitForCommit(
  engine: Engine,
  names: readonly string[],
  options: Pick<WaitOptions, "commit" | "timeoutMs">,
): Promise<CommitStanding> {
  const progress = progressLine();
  const deadline = engine.clock.now() + options.timeoutMs;
  try {
    for (;;) {
      const standings = await Promise.all(names.map((name) => lookUpCommit(engine, name, options.commit)));
      const standing =
        standings.find(({ kind }) => kind === "settled") ?? standings.find(({ kind }) => kind === "open");
      if (standing?.kind === "settled" || engine.clock.now() >= deadline) return standing ?? { kind: "unknown" };
      progress.show(
        standing?.kind === "open"
          ? `${options.commit.slice(0, 12)} is being synced ...`
          : `waiting for ${options.commit.slice(0, 12)} to reach the branch ...`,
      );
      await engine.clock.sleep(lookMs);
    }
  } finally {
    progress.clear();
  }
}
