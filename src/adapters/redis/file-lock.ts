import { randomUUID } from "node:crypto";
import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { WatcherError } from "../../lib/errors.ts";

/** What is done under a lock takes less; an older one was left behind. */
const oldestMs = 60_000;
const patienceMs = 90_000;
const pauseMs = 25;

/** Marks of this process: a lock with our process id that is not among them is from an earlier container. */
const held = new Set<string>();

/**
 * Runs `body` while a lock file says that this process does. A lock whose process is gone is taken over. Throws
 * `redis-unavailable` when it cannot be had for a minute and a half.
 */
export async function withFileLock<T>(file: string, body: () => Promise<T>): Promise<T> {
  const mark = `${process.pid} ${randomUUID()}`;
  held.add(mark);
  try {
    await take(file, mark);
    return await body();
  } finally {
    held.delete(mark);
    if ((await read(file)) === mark) await rm(file, { force: true });
  }
}

async function take(file: string, mark: string): Promise<void> {
  const deadline = Date.now() + patienceMs;
  while (!(await create(file, mark))) {
    await removeStale(file);
    if (Date.now() > deadline) {
      throw new WatcherError("redis-unavailable", `${file} is held by another process; remove it if none of ours runs`);
    }
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
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
  if (!(await isStale(file))) return;
  const aside = `${file}.${randomUUID()}`;
  try {
    await rename(file, aside);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return;
    throw error;
  }
  await rm(aside, { force: true });
}

async function isStale(file: string): Promise<boolean> {
  const [mark, found] = await Promise.all([read(file), stat(file).catch(() => undefined)]);
  if (mark === undefined || found === undefined) return false;
  if (Date.now() - found.mtimeMs > oldestMs) return true;
  const pid = Number.parseInt(mark, 10);
  if (pid === process.pid) return !held.has(mark);
  return Number.isInteger(pid) && !isAlive(pid);
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
