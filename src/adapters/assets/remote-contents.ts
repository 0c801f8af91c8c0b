import { mkdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { WatcherError, messageOf } from "../../lib/errors.ts";
import { SharedWork } from "../../lib/shared-work.ts";
import type { AssetFile } from "../../ports/asset-store.ts";
import { withFileLock } from "../file-lock.ts";
import { absent, type CacheFiles, cacheFilesIn, isDiskFull } from "./cache-files.ts";
import { ContentCache } from "./content-cache.ts";
import { ContentChanged, type Download, type DownloadTools, download } from "./download.ts";
import type { HttpSource } from "./http-source.ts";
import { type AssetSource, describeSource } from "./mirror.ts";
import type { AssetStoreOptions } from "./options.ts";
import { type Progress, paced } from "./progress.ts";

type Wanted = Omit<Download, "signal" | "lost" | "progress">;

/** Contents of the web, in the cache or on their way there. One download per version, whoever asks in whichever process. */
export class RemoteContents {
  readonly #files: CacheFiles;
  readonly #cache: ContentCache;
  readonly #tools: DownloadTools;
  readonly #downloads = new SharedWork<string | undefined>();

  constructor(options: AssetStoreOptions, http: HttpSource) {
    this.#files = cacheFilesIn(options.cacheDir);
    this.#cache = new ContentCache(this.#files, options);
    this.#tools = { ...options, files: this.#files, http };
  }

  /** The size of a content that is kept. */
  sizeOf(sha256: string): Promise<number | undefined> {
    return this.#cache.sizeOf(sha256);
  }

  find(sha256: string, signal: AbortSignal): Promise<AssetFile | undefined> {
    return this.#cache.find(sha256, signal);
  }

  /** The content of a version, downloaded unless it is kept; undefined when the server has another one by now. */
  async obtain(wanted: Wanted, signal: AbortSignal, progress: Progress): Promise<AssetFile | undefined> {
    const kept = await this.#findVersion(wanted, signal);
    if (kept !== undefined) return kept;
    const sha256 = await this.#downloads.run(
      wanted.key,
      (inner, tell) =>
        this.#download(
          wanted,
          inner,
          paced((done, total) => tell(`${done} ${total}`)),
        ),
      signal,
      (text) => {
        const [doneBytes = 0, totalBytes = 0] = text.split(" ").map(Number);
        progress(doneBytes, totalBytes);
      },
    );
    return sha256 === undefined ? undefined : this.#cache.find(sha256, signal);
  }

  close(): void {
    this.#cache.close();
  }

  async #findVersion({ source, key }: Wanted, signal: AbortSignal): Promise<AssetFile | undefined> {
    const sha256 = source.sha256 ?? (await this.#cache.hashOfKey(key));
    return sha256 === undefined ? undefined : this.#cache.find(sha256, signal);
  }

  /** The hash of the content, which is in the cache then; undefined when it changed. */
  async #download(wanted: Wanted, signal: AbortSignal, progress: Progress): Promise<string | undefined> {
    const { source, key, sizeBytes } = wanted;
    const part = join(this.#files.parts, `${key}.part`);
    const waiting = async (): Promise<void> => {
      const doneBytes = (await stat(part).catch(absent))?.size;
      if (doneBytes !== undefined) progress(Math.min(doneBytes, sizeBytes), sizeBytes);
    };
    try {
      await mkdir(this.#files.locks, { recursive: true });
      return await withFileLock(join(this.#files.locks, `${key}.lock`), { signal, waiting }, async (lost) => {
        // Whoever held the lock before may have done the work.
        const kept = await this.#findVersion(wanted, signal);
        if (kept !== undefined) return source.sha256 ?? (await this.#cache.hashOfKey(key));
        const either = AbortSignal.any([signal, lost]);
        return await this.#downloadInto({ ...wanted, signal: either, lost, progress });
      });
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof ContentChanged) return undefined;
      throw error instanceof WatcherError ? error : this.#trouble(source, error);
    }
  }

  async #downloadInto(job: Download): Promise<string> {
    let hash = "";
    await download(job, this.#tools, async (path, sha256) => {
      hash = sha256;
      await this.#cache.add(path, sha256, job.key);
    });
    return hash;
  }

  #trouble(source: AssetSource, cause: unknown): WatcherError {
    const full = isDiskFull(cause);
    const where = full ? `the disk of ${this.#files.folder} is full; make room there` : messageOf(cause);
    return new WatcherError(full ? "asset-no-room" : "asset-unavailable", `${describeSource(source)}: ${where}`, {
      cause,
    });
  }
}
