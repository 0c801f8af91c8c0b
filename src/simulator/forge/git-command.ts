import { execFile } from "node:child_process";
import { devNull } from "node:os";

export interface GitResult {
  readonly code: number;
  readonly stdout: string;
}

export interface GitOptions {
  readonly input?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Exit codes that are an answer and not a failure; default only 0. */
  readonly accept?: readonly number[];
}

const SETTINGS = [
  // What github.com allows its clients.
  ["uploadpack.allowFilter", "true"],
  ["uploadpack.allowReachableSHA1InWant", "true"],
  ["uploadpack.allowAnySHA1InWant", "true"],
  ["receive.hideRefs", "refs/pull"],
  ["receive.hideRefs", "refs/merge-requests"],
  // Heads that were pushed over stay readable: their statuses do too.
  ["gc.auto", "0"],
  ["receive.autogc", "false"],
  // A data folder on a volume may belong to another user; every repository in it is the forge's own.
  ["safe.directory", "*"],
] as const;

/**
 * The forge works the same on every machine: nobody's own git configuration is read, nobody is asked for a password.
 * Settings come with the environment, so that repositories made by an earlier version have them too.
 */
export function gitEnvironment(): Record<string, string> {
  const settings = SETTINGS.flatMap(([key, value], at) => [
    [`GIT_CONFIG_KEY_${at}`, key],
    [`GIT_CONFIG_VALUE_${at}`, value],
  ]);
  return {
    GIT_CONFIG_COUNT: `${SETTINGS.length}`,
    ...(Object.fromEntries(settings) as Record<string, string>),
    PATH: process.env["PATH"] ?? "",
    LC_ALL: "C",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: devNull,
    GIT_TERMINAL_PROMPT: "0",
  };
}

const DEADLINE_MS = 60_000;
const MAX_OUTPUT_BYTES = 256 * 1024 * 1024;

/** Runs git in a bare repository and answers what it printed; throws when it ends with a code that is not accepted. */
export function git(directory: string, args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      "git",
      [`--git-dir=${directory}`, ...args],
      { env: { ...gitEnvironment(), ...options.env }, timeout: DEADLINE_MS, maxBuffer: MAX_OUTPUT_BYTES },
      (error, stdout, stderr) => {
        const code = error ? Number(error.code) : 0;
        if ((options.accept ?? [0]).includes(code)) resolve({ code, stdout });
        else
          reject(
            new Error(`git ${args[0] ?? ""} failed: ${stderr.trim() || String(error?.message)}`, { cause: error }),
          );
      },
    );
    // A git that ends before it has read its input is reported by its exit code, not by the broken pipe.
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(options.input ?? "");
  });
}

/** What git printed, without the line end. */
export async function gitText(directory: string, args: readonly string[], options: GitOptions = {}): Promise<string> {
  return (await git(directory, args, options)).stdout.trimEnd();
}

export async function gitLines(directory: string, args: readonly string[]): Promise<string[]> {
  const text = await gitText(directory, args);
  return text === "" ? [] : text.split("\n");
}
