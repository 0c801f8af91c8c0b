import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { openSync, writeSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { WatcherError } from "../../lib/errors.ts";

const program = fileURLToPath(new URL("../../../bin/kraken-gitops.js", import.meta.url));
const startMs = 20_000;
const stopMs = 15_000;

/** A command of this program in a process of its own. Disposing stops it by SIGTERM, and by force after 15 s. */
export interface Spawned extends AsyncDisposable {
  readonly child: ChildProcess;
  /** Resolves with the first line on stdout that `accept` takes; rejects when the process ends before. */
  line(accept: (line: string) => boolean): Promise<string>;
}

/** Starts `kraken-gitops <args>`; what it writes goes to `logFile`, stdout line by line to those who wait for one as well. */
export function startProgram(args: readonly string[], logFile: string): Spawned {
  const log = openSync(logFile, "a");
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", log] });
  const lines: string[] = [];
  const listeners = new Set<() => void>();
  const output = child.stdout;
  if (output === null) throw new Error("the child's stdout is a pipe");
  createInterface({ input: output }).on("line", (line) => {
    lines.push(line);
    writeSync(log, `${line}\n`);
    for (const listener of listeners) listener();
  });
  child.on("exit", () => {
    for (const listener of listeners) listener();
  });
  return {
    child,
    line: (accept) => waitForLine(child, lines, listeners, accept, args, logFile),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, "exit");
      child.kill("SIGTERM");
      const force = setTimeout(() => child.kill("SIGKILL"), stopMs);
      await exited;
      clearTimeout(force);
    },
  };
}

function waitForLine(
  child: ChildProcess,
  lines: readonly string[],
  listeners: Set<() => void>,
  accept: (line: string) => boolean,
  args: readonly string[],
  logFile: string,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const name = `kraken-gitops ${args.slice(0, 2).join(" ")}`;
    const give = (settle: () => void): void => {
      clearTimeout(timer);
      listeners.delete(look);
      settle();
    };
    const look = (): void => {
      const found = lines.find(accept);
      if (found !== undefined) give(() => resolve(found));
      else if (child.exitCode !== null)
        give(() => reject(new WatcherError("usage", `${name} ended with code ${child.exitCode}; see ${logFile}`)));
    };
    const timer = setTimeout(
      () =>
        give(() =>
          reject(new WatcherError("usage", `${name} was not ready after ${startMs / 1000} s; see ${logFile}`)),
        ),
      startMs,
    );
    listeners.add(look);
    look();
  });
}

/** The JSON line by which simulators say where they listen. */
export async function readyAddress(
  process: Spawned,
): Promise<{ readonly addresses?: readonly string[]; readonly url?: string; readonly apiUrl?: string }> {
  return JSON.parse(await process.line((line) => line.startsWith("{") && line.includes('"ready":true'))) as {
    addresses?: string[];
    url?: string;
    apiUrl?: string;
  };
}
