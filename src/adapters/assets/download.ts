import { createHash, randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { WatcherError, messageOf } from "../../lib/errors.ts";
import type { AssetFile } from "../../ports/asset-store.ts";
import type { RemoteBody } from "./http-source.ts";
import { type AssetSource, describeSource, refused } from "./mirror.ts";

const staleMs = 24 * 3_600_000;
const suffix = ".part";

/** The finished file when it is there with the right size. */
export async function findCached(path: string, sizeBytes: number | undefined): Promise<AssetFile | undefined> {
  const found = await stat(path).catch(() => undefined);
  if (found === undefined || (sizeBytes !== undefined && found.size !== sizeBytes)) return undefined;
  return { path, sizeBytes: found.size };
}

export interface Download {
  readonly source: AssetSource;
  readonly remote: RemoteBody;
  readonly path: string;
  readonly maxBytes: number | undefined;
  readonly signal: AbortSignal;
  readonly progress: (doneBytes: number, totalBytes: number) => void;
}

/**
 * Streams into a file of its own beside the final one, checks it, and renames it into place: whoever looks sees a whole
 * file or none. Two processes may do this at once; the contents are the same, and the last rename wins.
 */
export async function download(job: Download): Promise<AssetFile> {
  await mkdir(dirname(job.path), { recursive: true });
  const part = `${job.path}.${randomUUID()}${suffix}`;
  try {
    const sizeBytes = await receive(job, part);
    await rename(part, job.path);
    return { path: job.path, sizeBytes };
  } finally {
    await rm(part, { force: true });
  }
}

async function receive(job: Download, part: string): Promise<number> {
  const { source, remote, signal } = job;
  const hash = createHash("sha256");
  let doneBytes = 0;
  async function* watched(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      hash.update(chunk);
      doneBytes += chunk.length;
      if (doneBytes > (job.maxBytes ?? Number.POSITIVE_INFINITY))
        throw refused(source.asset, `it is larger than the limit of ${job.maxBytes} bytes`);
      job.progress(doneBytes, remote.sizeBytes ?? doneBytes);
      yield chunk;
    }
  }
  try {
    await pipeline(remote.body, watched, createWriteStream(part), { signal });
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof WatcherError) throw error;
    throw new WatcherError(
      "asset-unavailable",
      `${describeSource(source)}: the download broke off (${messageOf(error)})`,
      { cause: error },
    );
  }
  if (remote.sizeBytes !== undefined && remote.sizeBytes !== doneBytes) {
    throw new WatcherError(
      "asset-unavailable",
      `${describeSource(source)}: ${doneBytes} bytes came instead of ${remote.sizeBytes}`,
    );
  }
  requireHash(source, hash.digest("hex"));
  return doneBytes;
}

export function requireHash(source: AssetSource, sha256: string): void {
  if (source.sha256 === undefined || source.sha256 === sha256) return;
  throw new WatcherError(
    "asset-corrupt",
    `${describeSource(source)}: its sha256 is ${sha256}, not ${source.sha256} as its URL says`,
  );
}

/** Removes what crashed downloads left behind; young files may belong to a download under way in another process. */
export async function removeStaleParts(folder: string, nowMs: number): Promise<void> {
  const names = await readdir(folder).catch(() => []);
  for (const name of names.filter((entry) => entry.endsWith(suffix))) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && nowMs - found.mtimeMs > staleMs) await rm(path, { force: true });
  }
}
