import { mkdir } from "node:fs/promises";
import { setTimeout as wait } from "node:timers/promises";
import { backoffDelayMs } from "../../lib/backoff.ts";
import { contentHash } from "../../lib/canonical-json.ts";
import { WatcherError, messageOf } from "../../lib/errors.ts";
import { type CacheFiles, isDiskFull } from "./cache-files.ts";
import { makeRoom, type RoomOptions, withRoomLock } from "./cache-room.ts";
import type { HttpSource, RemoteBody } from "./http-source.ts";
import { type AssetSource, describeSource } from "./mirror.ts";
import { PartialDownload } from "./partial-download.ts";
import type { Progress } from "./progress.ts";

/** So often a download may break off within one call while each attempt brings something; then the caller comes back. */
const mostBreaks = 5;

export interface Download {
  readonly source: AssetSource;
  readonly url: URL;
  readonly sizeBytes: number;
  /** Names the version of the source; the caller holds its lock. */
  readonly key: string;
  /** Whether an answer speaks of that version. */
  readonly isSame: (remote: RemoteBody) => boolean;
  readonly signal: AbortSignal;
  /** Aborted together with `signal` when another process has taken the lock over: its files are not ours any more. */
  readonly lost: AbortSignal;
  readonly progress: Progress;
}

export interface DownloadTools extends RoomOptions {
  readonly files: CacheFiles;
  readonly http: HttpSource;
  readonly backoffMs?: number;
}

/** The server has another content by now. */
export class ContentChanged extends Error {
  override readonly name = "ContentChanged";
}

class BrokenOff extends Error {
  override readonly name = "BrokenOff";
}

/**
 * Fetches a content into a file beside the cache, going on where an earlier attempt broke off, and gives it to `keep` with
 * the hash of every byte of it. What broke off is kept when it can go on, what is wrong is not.
 */
export async function download(
  job: Download,
  tools: DownloadTools,
  keep: (path: string, sha256: string) => Promise<void>,
): Promise<void> {
  const part = await reserve(job, tools);
  try {
    const takenUp = (await part.takeUp(job.signal)) > 0;
    let sha256 = await receiveAll(job, tools, part);
    // The bytes of an earlier attempt may be to blame.
    if (takenUp && !isRight(job.source, sha256)) {
      await part.startOver(undefined);
      sha256 = await receiveAll(job, tools, part);
    }
    requireHash(job.source, sha256);
    await keep(part.path, sha256);
    await part.forget();
  } catch (error) {
    // Its new owner's files by now.
    if (!job.lost.aborted) await leave(part, error);
    throw error;
  } finally {
    await part.close();
  }
}

/** Keeps what a later attempt can go on with. A full disk is not kept full: Redis and git need it as well. */
async function leave(part: PartialDownload, error: unknown): Promise<void> {
  const wrong = error instanceof ContentChanged || (error instanceof WatcherError && error.retry === "terminal");
  if (wrong || isDiskFull(error) || !part.canGoOn) await part.remove();
  else await part.sync().catch(() => {});
}

async function reserve(
  { source, url, sizeBytes, key, signal }: Download,
  tools: DownloadTools,
): Promise<PartialDownload> {
  const { files } = tools;
  await mkdir(files.parts, { recursive: true });
  return withRoomLock(files, signal, async () => {
    await makeRoom(files, { source, key, sizeBytes }, tools);
    return PartialDownload.open(files, key, { origin: contentHash(url.href), sizeBytes });
  });
}

/** Tries again as long as every attempt brings something, and answers the hash of the whole. */
async function receiveAll(job: Download, tools: DownloadTools, part: PartialDownload): Promise<string> {
  const { source, signal } = job;
  for (let breaks = 1; ; breaks += 1) {
    const before = part.doneBytes;
    try {
      await receiveRest(job, tools, part);
      return await part.finish();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof BrokenOff)) throw error;
      const goesOn = part.validator !== undefined && part.doneBytes > before;
      if (!goesOn || breaks > mostBreaks)
        throw new WatcherError(
          "asset-unavailable",
          `${describeSource(source)}: the download broke off (${error.message})`,
          { cause: error },
        );
      await part.sync();
      const pauseMs = backoffDelayMs(breaks, { baseMs: tools.backoffMs ?? 1_000, maxMs: 10_000, random: Math.random });
      await wait(pauseMs, undefined, { signal }).catch(() => signal.throwIfAborted());
    }
  }
}

async function receiveRest(job: Download, tools: DownloadTools, part: PartialDownload): Promise<void> {
  const { source, url, signal, progress } = job;
  const { sizeBytes, validator, doneBytes: offset } = part;
  if (offset === sizeBytes && offset > 0) return;
  const from = offset > 0 && validator !== undefined ? { offset, sizeBytes, validator } : undefined;
  const remote = await tools.http.open(source, url, signal, from);
  try {
    if (!job.isSame(remote) || (remote.sizeBytes ?? sizeBytes) !== sizeBytes) throw new ContentChanged();
    if (remote.offset === 0) await part.startOver(remote.validator);
    for await (const chunk of received(remote.body)) {
      if (part.doneBytes + chunk.length > sizeBytes) throw new BrokenOff(`more than ${sizeBytes} bytes came`);
      await part.write(chunk);
      progress(part.doneBytes, sizeBytes);
    }
  } finally {
    remote.body.on("error", () => {}).destroy();
  }
  if (part.doneBytes !== sizeBytes) throw new BrokenOff(`${part.doneBytes} bytes came instead of ${sizeBytes}`);
}

/** Trouble on the way is told apart from trouble with the disk. */
async function* received(body: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* body;
  } catch (error) {
    throw new BrokenOff(messageOf(error), { cause: error });
  }
}

function isRight(source: AssetSource, sha256: string): boolean {
  return source.sha256 === undefined || source.sha256 === sha256;
}

export function requireHash(source: AssetSource, sha256: string): void {
  if (isRight(source, sha256)) return;
  const says = source.checksumFile === undefined ? "its URL says" : "its checksum file says";
  throw new WatcherError(
    "asset-corrupt",
    `${describeSource(source)}: its sha256 is ${sha256}, not ${source.sha256} as ${says}`,
  );
}
