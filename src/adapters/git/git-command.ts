import { GitError, simpleGit } from "simple-git";

/** A git process that ended by itself with a code other than 0. */
export class GitExit extends GitError {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;

  constructor(exitCode: number, stdout: string, stderr: string) {
    super(undefined, `git ended with code ${exitCode}`);
    this.exitCode = exitCode;
    this.stdout = stdout;
    this.stderr = stderr;
  }
}

export interface GitCall {
  readonly cwd: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  /** Hears progress and complaints while the command runs (runGitGroup only). */
  readonly onStderr?: ((text: string) => void) | undefined;
}

/** How long a process may take to end after it was told to, before the caller stops waiting for it. */
const endingMs = 3_000;

/**
 * Runs one git command that works on the mirror alone and answers what it printed; the only place that uses simple-git.
 * Throws GitExit, or the signal's reason. An abort sends SIGINT, on which git removes its lock files.
 */
export async function runGit(call: GitCall): Promise<string> {
  call.signal.throwIfAborted();
  const git = simpleGit({
    baseDir: call.cwd,
    abort: call.signal,
    trimmed: false,
    errors: exitError,
    // The environment is localEnvironment of git-environment.ts: constants and the mirror's folder, nothing from a
    // repository and nothing secret (simple-git prints it when DEBUG is set). simple-git wants each guarded variable and each powerful setting named.
    allowEnvironment: Object.keys(call.env),
    unsafe: {
      allowUnsafeConfigEnvCount: true, // settings without a file: git-environment.ts
      allowUnsafeConfigPaths: true, // GIT_CONFIG_GLOBAL=/dev/null
      allowUnsafeHooksPath: true, // switched off
      allowUnsafeTemplateDir: true, // none
    },
  }).env({ ...call.env });
  try {
    return await endedOrAbandoned(git.raw([...call.args]), call.signal);
  } catch (error) {
    call.signal.throwIfAborted();
    throw error;
  }
}

interface GitResult {
  readonly exitCode: number;
  readonly stdOut: Buffer[];
  readonly stdErr: Buffer[];
}

function exitError(error: Buffer | Error | undefined, result: GitResult): Buffer | Error | undefined {
  const { exitCode, stdOut, stdErr } = result;
  // A killed process has no exit code; simple-git's own error then says why it was killed.
  if (typeof exitCode !== "number") return error ?? new GitExit(-1, "", "git was killed");
  if (exitCode === 0) return undefined;
  return new GitExit(exitCode, Buffer.concat(stdOut).toString(), Buffer.concat(stdErr).toString());
}

/** A process stuck in the kernel (a dead network file system) must not hold up a call that was aborted. */
async function endedOrAbandoned(ended: PromiseLike<string>, signal: AbortSignal): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const abandoned = new Promise<never>((_resolve, reject) => {
    onAbort = () => {
      timer = setTimeout(() => reject(signal.reason), endingMs);
    };
    signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([ended, abandoned]);
  } finally {
    clearTimeout(timer);
    if (onAbort) signal.removeEventListener("abort", onAbort);
  }
}
