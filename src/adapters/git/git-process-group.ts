import { type ChildProcess, spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { type GitCall, GitExit } from "./git-command.ts";

/** How long git may take to remove its lock files after SIGTERM before the whole group is killed. */
const politeMs = 500;
/** How long to wait for a killed group to be gone: a process stuck in the kernel must not hold up the caller. */
const endingMs = 3_000;

/**
 * Runs a git command that starts further processes (git-remote-https, ssh, pack-objects) in a process group of its own, so
 * that an abort ends them all. git leaves its remote helpers behind when it is interrupted alone, and simple-git can neither
 * start a group nor tell the process id; hence this second way to run git. Throws GitExit, or the signal's reason.
 */
export async function runGitGroup(call: GitCall): Promise<string> {
  call.signal.throwIfAborted();
  const child = spawn("git", call.args, {
    cwd: call.cwd,
    env: { ...call.env },
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = collect(child, call);
  let ending: Promise<void> | undefined;
  const onAbort = (): void => {
    ending = endGroup(child, ended);
  };
  call.signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([ended, aborted(call.signal)]);
  } finally {
    call.signal.removeEventListener("abort", onAbort);
    await ending;
  }
}

function collect(child: ChildProcess, call: GitCall): Promise<string> {
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr.push(chunk);
    call.onStderr?.(chunk.toString("latin1"));
  });
  const ended = new Promise<string>((resolve, reject) => {
    child.once("error", (error) => reject(new GitExit(-1, "", String(error))));
    child.once("close", (code) => {
      if (code === 0) resolve(Buffer.concat(stdout).toString());
      else reject(new GitExit(code ?? -1, Buffer.concat(stdout).toString(), Buffer.concat(stderr).toString()));
    });
  });
  ended.catch(() => undefined); // after an abort nobody waits for it
  return ended;
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/**
 * SIGTERM lets git remove its lock files; SIGKILL takes whoever is left. `ended` comes with the last process that holds the
 * output pipes, which all helpers do.
 */
async function endGroup({ pid }: ChildProcess, ended: Promise<unknown>): Promise<void> {
  if (pid === undefined) return;
  const gone = ended.then(
    () => true,
    () => true,
  );
  signalGroup(pid, "SIGTERM");
  await Promise.race([gone, sleep(politeMs, undefined, { ref: false })]);
  signalGroup(pid, "SIGKILL");
  await Promise.race([gone, sleep(endingMs, undefined, { ref: false })]);
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // the group has no process any more
  }
}
