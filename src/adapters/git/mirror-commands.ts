import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { WatcherError } from "../../lib/errors.ts";
import { GitExit, runGit } from "./git-command.ts";
import { runGitGroup } from "./git-process-group.ts";
import {
  credentialVariables,
  type GitAuth,
  localEnvironment,
  networkEnvironment,
  signatureEnvironment,
} from "./git-environment.ts";
import { gitError, isDamage, isLockClash, lockFileOf } from "./git-errors.ts";
import { type GitRemote, maskUrls } from "./git-remote.ts";
import { ensureMirror, rebuildMirror, removeStaleLock } from "./mirror.ts";
import { TransferLimits } from "./transfer-limits.ts";

export interface MirrorCommandOptions {
  readonly mirrorDir: string;
  readonly remote: GitRemote;
  readonly auth: GitAuth | undefined;
  readonly caFile: string | undefined;
  readonly proxy: string | undefined;
  readonly timeoutMs: number;
  readonly fetchTimeoutMs: number;
  readonly maxFetchBytes: number | undefined;
  readonly inherited: Readonly<Record<string, string | undefined>>;
}

/** The mirror itself is damaged; the next fetch builds a new one. */
export class MirrorDamaged extends WatcherError {
  constructor(message: string, cause: unknown) {
    super("git-failed", message, { cause });
  }
}

const lockAttempts = 8;

/** git on one mirror: environment, credentials, deadlines, retries of lock clashes, and errors in the product's words. */
export class MirrorCommands {
  /** For commands on the mirror alone; holds nothing secret. */
  readonly env: Readonly<Record<string, string>>;
  readonly #networkEnv: Readonly<Record<string, string>>;
  readonly #options: MirrorCommandOptions;

  constructor(options: MirrorCommandOptions) {
    this.#options = options;
    this.env = localEnvironment({ ...options, gitDir: options.mirrorDir });
    this.#networkEnv = networkEnvironment({ ...options, gitDir: options.mirrorDir });
  }

  /** Beside the mirror, so that one that was deleted is noticed by git and not by the operating system. */
  get cwd(): string {
    return dirname(this.#options.mirrorDir);
  }

  get remoteName(): string {
    return maskUrls(this.#options.remote.url);
  }

  async version(signal: AbortSignal): Promise<string> {
    await mkdir(this.cwd, { recursive: true, mode: 0o700 });
    const output = await this.#explained("ask git's version", [], () =>
      runGit({ cwd: this.cwd, args: ["version"], env: this.env, signal }),
    );
    return /\d+(\.\d+)+/.exec(output)?.[0] ?? output.trim();
  }

  async ensureMirror(signal: AbortSignal): Promise<void> {
    await this.#explained("prepare the mirror", [], () => ensureMirror(this.#mirror, signal));
  }

  async rebuildMirror(signal: AbortSignal): Promise<void> {
    await this.#explained("rebuild the mirror", [], () => rebuildMirror(this.#mirror, signal));
  }

  /** A command on the mirror alone. `doing` completes the sentence "Could not ... of <remote>". */
  async local(args: readonly string[], doing: string, signal: AbortSignal): Promise<string> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(this.#options.fetchTimeoutMs)]);
    return await this.#explained(doing, [], () => this.#patient(() => this.#run(args, limited), limited));
  }

  /** Packs the mirror; git starts helpers of its own for it. */
  async pack(signal: AbortSignal): Promise<void> {
    const call = { cwd: this.cwd, args: ["gc", "--quiet"], env: this.env, signal };
    await this.#explained("pack the mirror", [], () => runGitGroup(call));
  }

  /** As `local`, for commands whose exit code 1 is an answer. */
  async question(
    args: readonly string[],
    doing: string,
    signal: AbortSignal,
  ): Promise<{ yes: boolean; output: string }> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(this.#options.fetchTimeoutMs)]);
    return await this.#explained(doing, [], async () => {
      try {
        return { yes: true, output: await this.#run(args, limited) };
      } catch (error) {
        if (error instanceof GitExit && isAnswer(error)) return { yes: false, output: error.stdout };
        throw error;
      }
    });
  }

  /** What git's own check of one commit's signature says by these keys; both streams together, as the programs wrote them. */
  async verifyCommit(
    revision: string,
    keys: { readonly gnupgHome: string; readonly allowedSigners: string },
    signal: AbortSignal,
  ): Promise<{ ok: boolean; said: string }> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(this.#options.timeoutMs)]);
    const env = signatureEnvironment({ ...this.#options, gitDir: this.#options.mirrorDir }, keys);
    const heard: Buffer[] = [];
    const onStderr = (text: string): void => void heard.push(Buffer.from(text, "latin1"));
    const said = (): string => Buffer.concat(heard).toString("utf8");
    return await this.#explained(`check the signature of ${revision.slice(0, 10)}`, [], async () => {
      try {
        const args = ["verify-commit", "--raw", revision];
        await runGitGroup({ cwd: this.cwd, args, env, signal: limited, onStderr });
        return { ok: true, said: said() };
      } catch (error) {
        // Code 1 is an answer; one that comes of a program that is missing is told by its text.
        if (error instanceof GitExit && error.exitCode === 1) return { ok: false, said: said() };
        throw error;
      }
    });
  }

  /** The references of the remote that match these full names (or all branches): one round trip. */
  async listRemote(patterns: readonly string[], signal: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const scope = patterns.length === 0 ? ["--heads", "origin"] : ["origin", ...patterns];
    const output = await this.#remote(
      ["ls-remote", ...scope],
      "ask for the newest commit",
      this.#options.timeoutMs,
      signal,
    );
    const lines = output.split("\n").filter((line) => line !== "");
    return new Map(lines.map((line) => [line.slice(line.indexOf("\t") + 1), line.slice(0, line.indexOf("\t"))]));
  }

  async fetch(refspecs: readonly string[], doing: string, signal: AbortSignal): Promise<void> {
    const flags = ["--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--no-auto-gc", "--progress"];
    await this.#remote(["fetch", ...flags, "origin", ...refspecs], doing, this.#options.fetchTimeoutMs, signal);
  }

  get #mirror() {
    return { directory: this.#options.mirrorDir, url: this.#options.remote.url, env: this.env };
  }

  async #remote(args: readonly string[], doing: string, deadlineMs: number, signal: AbortSignal): Promise<string> {
    const { auth, remote, timeoutMs, maxFetchBytes } = this.#options;
    const token = await this.#token(signal);
    const username = (auth?.kind === "token" ? auth.username : undefined) ?? remote.user ?? "x-access-token";
    const env =
      token === undefined ? this.#networkEnv : { ...this.#networkEnv, ...credentialVariables(username, token) };
    using limits = new TransferLimits({
      remote: this.remoteName,
      deadlineMs,
      silenceMs: timeoutMs,
      maxBytes: maxFetchBytes,
    });
    const limited = AbortSignal.any([signal, limits.signal]);
    const call = { cwd: this.cwd, args, env, signal: limited, onStderr: limits.onProgress };
    const secrets = token === undefined ? [] : [token, `${username}:${token}`];
    return await this.#explained(doing, secrets, () => this.#patient(() => runGitGroup(call), limited));
  }

  async #token(signal: AbortSignal): Promise<string | undefined> {
    const { auth, remote } = this.#options;
    if (auth?.kind !== "token" || remote.origin === undefined) return undefined;
    const token = (await auth.token()).trim();
    signal.throwIfAborted();
    if (token !== "" && !/[\r\n\0]/.test(token)) return token;
    throw new WatcherError("git-auth-failed", `The token for ${this.remoteName} is empty or has several lines.`);
  }

  #run(args: readonly string[], signal: AbortSignal): Promise<string> {
    return runGit({ cwd: this.cwd, args, env: this.env, signal });
  }

  /** Watcher and worker may fetch into one mirror at once; a lost race for a lock is run again after a random moment. */
  async #patient<T>(run: () => Promise<T>, signal: AbortSignal): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await run();
      } catch (error) {
        if (!(error instanceof GitExit && isLockClash(error.stderr)) || attempt === lockAttempts) throw error;
        const lock = lockFileOf(error.stderr);
        if (lock !== undefined) await removeStaleLock(lock, this.#options.fetchTimeoutMs);
        await sleep(Math.random() * 50 * 2 ** attempt, undefined, { signal });
      }
    }
  }

  async #explained<T>(doing: string, secrets: readonly string[], run: () => Promise<T>): Promise<T> {
    try {
      return await run();
    } catch (error) {
      if (error instanceof GitExit) throw this.#explain(error, doing, secrets);
      throw error;
    }
  }

  #explain(exit: GitExit, doing: string, secrets: readonly string[]): WatcherError {
    if (isDamage(exit.stderr)) return this.#damaged(doing, exit);
    return gitError(exit.stderr, exit.exitCode, { doing, remote: this.remoteName, secrets }, exit);
  }

  #damaged(doing: string, cause: unknown): MirrorDamaged {
    const where = `the mirror ${this.#options.mirrorDir} is damaged and is built anew by the next fetch`;
    return new MirrorDamaged(`Could not ${doing} of ${this.remoteName}: ${where}.`, cause);
  }
}

/** merge-tree ends with code 1 for a conflict, which it prints, and for an unknown commit, of which it complains. */
function isAnswer({ exitCode, stdout, stderr }: GitExit): boolean {
  return exitCode === 1 && (stdout !== "" || stderr === "");
}
