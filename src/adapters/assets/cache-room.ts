import { mkdir, rm, statfs } from "node:fs/promises";
import { join } from "node:path";
import { WatcherError } from "../../lib/errors.ts";
import { formatBytes } from "../../manifest/quantity.ts";
import type { Log } from "../../ports/log.ts";
import { withFileLock } from "../file-lock.ts";
import { type CacheFiles, listFiles, readText } from "./cache-files.ts";
import { describeSource, refused } from "./mirror.ts";
import type { AssetSource } from "./mirror.ts";
import { readPartFacts } from "./partial-download.ts";

/** Content is never evicted within this time after it was used. */
export const recentMs = 3_600_000;
const leftoverMs = 24 * 3_600_000;
/** Left free on the disk: Redis and git write into the same folder. */
const spareBytes = 256 * 2 ** 20;
const patienceMs = 60_000;

export interface RoomOptions {
  readonly cacheMaxBytes?: number;
  readonly freeBytes?: (folder: string) => Promise<number>;
  readonly log?: Log;
}

/** Room in the cache is handed out, and content marked that an eviction might be after, by one process at a time. */
export async function withRoomLock<T>(files: CacheFiles, signal: AbortSignal, body: () => Promise<T>): Promise<T> {
  await mkdir(files.locks, { recursive: true });
  const lock = join(files.locks, "room.lock");
  const busy = (): WatcherError =>
    new WatcherError("asset-unavailable", `${lock} is held by another process; remove it if none of ours runs`);
  return withFileLock(lock, { signal, patienceMs, busy }, body);
}

/** What takes room: whole contents, and downloads under way or broken off, which count as large as they will be. */
interface Occupant {
  readonly files: readonly string[];
  readonly totalBytes: number;
  readonly presentBytes: number;
  readonly usedMs: number;
}

/**
 * Makes sure that a download fits into the cache and onto the disk, evicting what was used longest ago. Called under the
 * room lock. Throws `asset-refused` for what can never fit, `asset-no-room` for what does not fit now.
 */
export async function makeRoom(
  files: CacheFiles,
  need: { readonly source: AssetSource; readonly key: string; readonly sizeBytes: number },
  options: RoomOptions,
): Promise<void> {
  const { source, key, sizeBytes } = need;
  const maxBytes = options.cacheMaxBytes ?? Number.POSITIVE_INFINITY;
  if (sizeBytes > maxBytes)
    throw refused(
      source.asset,
      `it has ${formatBytes(sizeBytes)}, and all downloads together may take ${formatBytes(maxBytes)} (assets.cache.maxSize)`,
    );
  await removeLeftovers(files, Date.now());
  const blobs = await listBlobs(files);
  const parts = await listParts(files);
  const own = parts.get(key);
  parts.delete(key);
  const others = [...blobs, ...parts.values()];
  const promised = sum([...parts.values()].map((part) => part.totalBytes - part.presentBytes));
  let freeBytes = (await (options.freeBytes ?? freeOnDisk)(files.folder)) - promised - spareBytes;
  let keptBytes = sum(others.map((each) => each.totalBytes));
  const missing = sizeBytes - (own?.presentBytes ?? 0);
  const fits = (): boolean => keptBytes + sizeBytes <= maxBytes && missing <= freeBytes;
  const evictable = others
    .filter((each) => Date.now() - each.usedMs > recentMs)
    .sort((a, b) => a.usedMs - b.usedMs || b.totalBytes - a.totalBytes);
  for (const each of evictable) {
    if (fits()) break;
    options.log?.info({ file: each.files[0], sizeBytes: each.totalBytes }, "evicting a download not used for longest");
    for (const file of each.files) await rm(file, { force: true });
    keptBytes -= each.totalBytes;
    freeBytes += each.totalBytes;
  }
  await removeDanglingKeys(files);
  if (fits()) return;
  throw new WatcherError(
    "asset-no-room",
    missing > freeBytes
      ? `${describeSource(source)}: needs ${formatBytes(missing)} and ${formatBytes(spareBytes)} to spare, ` +
          `but ${formatBytes(Math.max(0, freeBytes + spareBytes))} are free for it on the disk of ${files.folder}; make room there`
      : `${describeSource(source)}: needs ${formatBytes(sizeBytes)}, but ${formatBytes(keptBytes)} of the ` +
          `${formatBytes(maxBytes)} of assets.cache.maxSize are in use or were within the last hour; raise it, or try again later`,
  );
}

async function freeOnDisk(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder);
  return bavail * bsize;
}

async function listBlobs(files: CacheFiles): Promise<Occupant[]> {
  return (await listFiles(files.blobs)).map(({ path, sizeBytes, modifiedMs }) => ({
    files: [path],
    totalBytes: sizeBytes,
    presentBytes: sizeBytes,
    usedMs: modifiedMs,
  }));
}

async function listParts(files: CacheFiles): Promise<Map<string, Occupant>> {
  const parts = new Map<string, Occupant>();
  for (const { name, path, sizeBytes, modifiedMs } of await listFiles(files.parts)) {
    const [key = "", ending] = name.split(".", 2);
    const before = parts.get(key);
    const isContent = ending === "part";
    const announced = isContent ? 0 : ((await readPartFacts(files, key))?.sizeBytes ?? 0);
    const presentBytes = (before?.presentBytes ?? 0) + (isContent ? sizeBytes : 0);
    parts.set(key, {
      files: [...(before?.files ?? []), path],
      totalBytes: Math.max(before?.totalBytes ?? 0, announced, presentBytes),
      presentBytes,
      usedMs: Math.max(before?.usedMs ?? 0, modifiedMs),
    });
  }
  return parts;
}

async function removeDanglingKeys(files: CacheFiles): Promise<void> {
  const blobs = new Set((await listFiles(files.blobs)).map(({ name }) => name));
  for (const { path } of await listFiles(files.index)) {
    const sha256 = (await readText(path))?.trim() ?? "";
    if (!blobs.has(sha256)) await rm(path, { force: true });
  }
}

/**
 * Removes what crashed downloads left behind, and files of the cache's earlier layout, when nobody touched them for a day:
 * younger ones may belong to another process.
 */
export async function removeLeftovers(files: CacheFiles, nowMs: number): Promise<void> {
  const earlier = (await listFiles(files.folder)).filter(({ name }) => /^[0-9a-f]{32}\.[a-z0-9]+$|\.part$/.test(name));
  const temporary = (await listFiles(files.index)).filter(({ name }) => name.includes("."));
  const parts = await listParts(files);
  const old = [...earlier, ...temporary, ...(await listFiles(files.locks))]
    .map(({ path, modifiedMs }) => ({ files: [path], usedMs: modifiedMs }))
    .concat([...parts.values()].map((part) => ({ files: [...part.files], usedMs: part.usedMs })))
    .filter(({ usedMs }) => nowMs - usedMs > leftoverMs);
  for (const file of old.flatMap((each) => each.files)) await rm(file, { force: true });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
