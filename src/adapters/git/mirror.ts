import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { GitExit, runGit } from "./git-command.ts";

/** How git is run in a folder; the environment belongs to the mirror's final place. */
export interface MirrorOptions {
  readonly directory: string;
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
}

/** How many damaged or outdated mirrors are left beside the live one for someone to look at. */
const asideKept = 1;
/** Making an empty mirror takes well under a second. */
const unfinishedMs = 3_600_000;

/**
 * Makes sure that `directory` is a usable bare mirror of `url`. One that is damaged, or of another address, is renamed aside
 * and a new one is put in its place by a single rename, so that another process never sees half a mirror.
 */
export async function ensureMirror(options: MirrorOptions, signal: AbortSignal): Promise<void> {
  for (let attempt = 0; attempt < 3; attempt += 1) {
    const state = await inspect(options, signal);
    if (state === "usable") return;
    if (state === "unusable") await setAside(options.directory);
    await forgetUnfinished(options.directory);
    if (await create(options, signal)) return;
  }
}

/** Renames the mirror aside and starts an empty one. */
export async function rebuildMirror(options: MirrorOptions, signal: AbortSignal): Promise<void> {
  await setAside(options.directory);
  await ensureMirror(options, signal);
}

async function inspect(options: MirrorOptions, signal: AbortSignal): Promise<"absent" | "usable" | "unusable"> {
  const entries = await readdir(options.directory).catch(() => undefined);
  if (!entries || entries.length === 0) return "absent";
  try {
    const url = await run(options, options.directory, ["config", "--local", "--get", "remote.origin.url"], signal); // fails without HEAD, refs or objects, too
    return url.trimEnd() === options.url ? "usable" : "unusable";
  } catch (error) {
    if (error instanceof GitExit) return "unusable";
    throw error;
  }
}

/** False when another process put its mirror there in the meantime. */
async function create(options: MirrorOptions, signal: AbortSignal): Promise<boolean> {
  const fresh = `${options.directory}.new-${randomBytes(6).toString("hex")}`;
  await mkdir(fresh, { recursive: true, mode: 0o700 });
  try {
    await run(options, fresh, ["init", "--bare"], signal);
    await run(options, fresh, ["config", "--local", "remote.origin.url", options.url], signal);
    await rename(fresh, options.directory);
    return true;
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    if (wasFirst(error)) return false;
    throw error;
  }
}

function wasFirst(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "ENOTEMPTY" || code === "EEXIST";
}

/** Unfinished mirrors of processes that were killed while they made one. */
async function forgetUnfinished(directory: string): Promise<void> {
  const names = (await readdir(dirname(directory))).filter((name) => name.startsWith(`${basename(directory)}.new-`));
  for (const path of names.map((name) => join(dirname(directory), name))) {
    const found = await stat(path).catch(() => undefined);
    if (found && Date.now() - found.mtimeMs > unfinishedMs) await rm(path, { recursive: true, force: true });
  }
}

async function setAside(directory: string): Promise<void> {
  const name = `${directory}.aside-${Date.now()}-${randomBytes(3).toString("hex")}`;
  await rename(directory, name).catch((error: unknown) => {
    if (!(error instanceof Error && "code" in error && error.code === "ENOENT")) throw error; // another process was first
  });
  await forgetOldAsides(directory);
}

/** Deletes older asides, but only what certainly was a mirror: a misconfigured folder of someone else is never touched. */
async function forgetOldAsides(directory: string): Promise<void> {
  const parent = dirname(directory);
  const names = (await readdir(parent)).filter((name) => name.startsWith(`${basename(directory)}.aside-`)).sort();
  for (const name of names.slice(0, Math.max(0, names.length - asideKept))) {
    const path = join(parent, name);
    const config = await readFile(join(path, "config"), "utf8").catch(() => "");
    if (config.includes("bare = true") && config.includes('[remote "origin"]')) {
      await rm(path, { recursive: true, force: true });
    }
  }
}

/** Removes a lock file that no living command can own any more. */
export async function removeStaleLock(path: string, olderThanMs: number): Promise<void> {
  const found = await stat(path).catch(() => undefined);
  if (found && Date.now() - found.mtimeMs > olderThanMs) await rm(path, { force: true });
}

function run(options: MirrorOptions, directory: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  return runGit({ cwd: directory, args, env: { ...options.env, GIT_DIR: directory }, signal });
}
