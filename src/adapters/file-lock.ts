import { randomUUID } from "node:crypto";
import { link, open, readFile, readlink, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { setTimeout as wait } from "node:timers/promises";

/** A holder touches its lock this often, and counts as gone when it did not for `staleMs`. */
const beatMs = 5_000;
const staleMs = 30_000;
const firstPauseMs = 25;
const longestPauseMs = 250;

export interface FileLockOptions {
  /** Ends the waiting; rejects with its reason. */
  readonly signal?: AbortSignal;
  /** Longest wait in milliseconds, after which `busy` is thrown. Default: as long as the other holder lives. */
  readonly patienceMs?: number;
  readonly busy?: () => Error;
  /** Called at every look at a lock that another holds, several times a second at most. */
  readonly waiting?: () => Promise<void>;
}

/** Marks of this process: a lock with our process id that is not among them is from an earlier process. */
const held = new Set<string>();

/**
 * Runs `body` while a lock file says that this process does; others wait. The lock of a process that is gone is taken
 * over: at once where its process id can be judged (same machine, same container), otherwise when it was not touched for
 * half a minute. `lost` aborts when that happened to us (after a long standstill of this process): somebody else may be
 * at work then.
 */
export async function withFileLock<T>(
  file: string,
  options: FileLockOptions,
  body: (lost: AbortSignal) => Promise<T>,
): Promise<T> {
  const mark = `${process.pid} ${await placeOfProcessIds()} ${randomUUID()}`;
  const lost = new AbortController();
  held.add(mark);
  let beat: NodeJS.Timeout | undefined;
  try {
    await take(file, mark, options);
    beat = setInterval(() => void keep(file, mark, lost), beatMs);
    beat.unref();
    return await body(lost.signal);
  } finally {
    clearInterval(beat);
    held.delete(mark);
    if ((await read(file)) === mark) await rm(file, { force: true });
  }
}

/** Process ids mean something within one machine and one container only. */
async function placeOfProcessIds(): Promise<string> {
  const namespace = await readlink("/proc/self/ns/pid").catch(() => "");
  return `${hostname()}/${namespace}`.replaceAll(/\s/g, "-");
}

async function keep(file: string, mark: string, lost: AbortController): Promise<void> {
  if ((await read(file)) !== mark) lost.abort(new Error(`${file} was taken over by another process`));
  else await utimes(file, new Date(), new Date()).catch(() => {});
}

async function take(file: string, mark: string, options: FileLockOptions): Promise<void> {
  const { signal, patienceMs, busy, waiting } = options;
  const deadline = Date.now() + (patienceMs ?? Number.POSITIVE_INFINITY);
  let pauseMs = firstPauseMs;
  for (;;) {
    signal?.throwIfAborted();
    if (await create(file, mark)) return;
    await removeStale(file);
    if (Date.now() > deadline) throw busy?.() ?? new Error(`${file} is held by another process`);
    await waiting?.();
    await wait(pauseMs, undefined, signal === undefined ? {} : { signal }).catch(() => signal?.throwIfAborted());
    pauseMs = Math.min(longestPauseMs, pauseMs * 1.5);
  }
}

async function create(file: string, mark: string): Promise<boolean> {
  try {
    const handle = await open(file, "wx", 0o600);
    await handle.writeFile(mark);
    await handle.close();
    return true;
  } catch (error) {
    if (codeOf(error) === "EEXIST") return false;
    throw error;
  }
}

/** Moves a dead process' lock aside before deleting it, so that of two who see it only one removes it. */
async function removeStale(file: string): Promise<void> {
  const mark = await read(file);
  if (mark === undefined || !(await isStale(file, mark))) return;
  const aside = `${file}.${randomUUID()}`;
  try {
    await rename(file, aside);
    // Somebody else was quicker and holds it anew: give it back.
    if ((await read(aside)) !== mark) await link(aside, file);
  } catch (error) {
    if (!["ENOENT", "EEXIST"].includes(codeOf(error) ?? "")) throw error;
  } finally {
    await rm(aside, { force: true });
  }
}

async function isStale(file: string, mark: string): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return false;
  if (Date.now() - found.mtimeMs > staleMs) return true;
  const [pid = "", place] = mark.split(" ");
  if (place !== (await placeOfProcessIds())) return false;
  if (Number(pid) === process.pid) return !held.has(mark);
  return /^\d+$/.test(pid) && !isAlive(Number(pid));
}

async function read(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, "utf8");
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
