import { randomUUID } from "node:crypto";
import { open, readFile, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Where things are in the cache folder. A key names a version of a source: the content's sha256 where it is known. */
export interface CacheFiles {
  readonly folder: string;
  /** Whole contents, named by their sha256; the time of change says when one was used last. */
  readonly blobs: string;
  /** Keys that are no content's sha256, each a file that holds one. */
  readonly index: string;
  /** Downloads that are not whole, `<key>.part`, and what is known of them, `<key>.json`. */
  readonly parts: string;
  readonly locks: string;
}

export function cacheFilesIn(folder: string): CacheFiles {
  return {
    folder,
    blobs: join(folder, "blobs"),
    index: join(folder, "index"),
    parts: join(folder, "parts"),
    locks: join(folder, "locks"),
  };
}

const aside = ".aside";

/** Writes a small file so that whoever looks, also after a power failure, sees it whole or as it was. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const draft = `${path}.${randomUUID()}${aside}`;
  try {
    const handle = await open(draft, "wx");
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, path);
    await syncFolder(dirname(path));
  } finally {
    await rm(draft, { force: true });
  }
}

/** Makes renames within a folder last. */
export async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export async function readText(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch(absent);
}

export interface FoundFile {
  readonly name: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

/** The files of a folder; none when there is no folder. */
export async function listFiles(folder: string): Promise<FoundFile[]> {
  const names = (await readdir(folder).catch(absent)) ?? [];
  const files: FoundFile[] = [];
  for (const name of names) {
    const path = join(folder, name);
    const found = await stat(path).catch(absent);
    if (found?.isFile() === true) files.push({ name, path, sizeBytes: found.size, modifiedMs: found.mtimeMs });
  }
  return files;
}

export function isDiskFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOSPC" || error.code === "EDQUOT");
}

/** undefined for a file that is not there; anything else is trouble. */
export function absent(error: unknown): undefined {
  if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
    return undefined;
  throw error;
}
