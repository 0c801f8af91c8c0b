import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { waitFor } from "./wait-for.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const program = join(root, "bin", "kraken-gitops.js");
const built = join(root, "dist", "cli", "main.js");
const lock = join(root, "dist", ".building");
const buildMs = 60_000;

/** Builds the program unless what is there is newer than the sources; test files side by side build it once. */
export async function buildProgram(): Promise<void> {
  await waitFor(
    () => {
      if (isCurrent()) return true;
      if (!takeLock()) return undefined;
      try {
        execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", "tsconfig.build.json"], {
          cwd: root,
        });
      } finally {
        rmSync(lock, { force: true });
      }
      return true;
    },
    { what: "the build", timeoutMs: buildMs },
  );
}

function isCurrent(): boolean {
  const age = changedAt(built);
  return age !== undefined && changedAt(lock) === undefined && age > newestSource();
}

/** A lock older than a build takes was left behind by a killed process. */
function takeLock(): boolean {
  const since = changedAt(lock);
  if (since !== undefined && Date.now() - since > buildMs) rmSync(lock, { force: true });
  mkdirSync(join(root, "dist"), { recursive: true });
  try {
    closeSync(openSync(lock, "wx"));
    return true;
  } catch {
    return false;
  }
}

function newestSource(): number {
  return readdirSync(join(root, "src"), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith(".test.ts"))
    .reduce((newest, entry) => Math.max(newest, changedAt(join(entry.parentPath, entry.name)) ?? 0), 0);
}

function changedAt(file: string): number | undefined {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs;
}

/** What a command line gave back. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs `kraken-gitops <args>` to its end. */
export async function runProgram(args: readonly string[], options: RunOptions): Promise<Ran> {
  const running = startProgram(args, options);
  const code = await running.ended;
  return { code, stdout: running.stdout(), stderr: running.stderr() };
}

/** A command that goes on until it is told to stop. */
export interface Running extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  stdout(): string;
  stderr(): string;
  /** Waits for a text on stdout or stderr. */
  says(text: string | RegExp): Promise<void>;
}

export function startProgram(args: readonly string[], { cwd, env = {} }: RunOptions): Running {
  const { KRAKEN_GITOPS_CONFIG: _own, ...inherited } = process.env;
  const child = spawn(process.execPath, [program, ...args], {
    cwd,
    env: { ...inherited, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const texts = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    texts.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    texts.stderr += text;
  });
  const ended = once(child, "close").then(([code]) => code as number | null);
  return {
    child,
    ended,
    stdout: () => texts.stdout,
    stderr: () => texts.stderr,
    says: async (text) => {
      const said = (): string => texts.stdout + texts.stderr;
      await waitFor(() => ((typeof text === "string" ? said().includes(text) : text.test(said())) ? true : undefined), {
        what: `${String(text)} from kraken-gitops ${args.join(" ")}`,
        describe: () => Promise.resolve(said()),
      });
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      const force = setTimeout(() => child.kill("SIGKILL"), 25_000);
      await ended;
      clearTimeout(force);
    },
  };
}
