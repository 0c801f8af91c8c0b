import { mkdir, rename, rm, stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import { SharedWork } from "../../lib/shared-work.ts";
import type { AssetFile } from "../../ports/asset-store.ts";
import type { Log } from "../../ports/log.ts";
import { type CacheFiles, absent, readText, syncFolder, writeWhole } from "./cache-files.ts";
import { recentMs, withRoomLock } from "./cache-room.ts";
import { hashFile } from "./local-source.ts";

/** Marks younger than the first need no renewal; renewal of one older than the second must not meet an eviction. */
const freshMs = 60_000;
const endangeredMs = recentMs - 600_000;

/**
 * Downloads by their content. A file counts only when its size and identity are those this process hashed before;
 * otherwise it is read in full once, and removed when it is not what its name says. Content in use is marked over and
 * over until its users' signals abort.
 */
export class ContentCache {
  readonly #files: CacheFiles;
  readonly #log: Log | undefined;
  readonly #hashing = new SharedWork<string>();
  /** sha256 to what the file looked like when it was right. */
  readonly #verified = new Map<string, string>();
  readonly #uses = new Map<string, Set<AbortSignal>>();
  readonly #beat: NodeJS.Timeout;

  constructor(files: CacheFiles, options: { readonly useBeatMs?: number; readonly log?: Log }) {
    this.#files = files;
    this.#log = options.log;
    this.#beat = setInterval(() => void this.#markUses(), options.useBeatMs ?? 600_000);
    this.#beat.unref();
  }

  /** The content's sha256 as far as it is known for a key. */
  async hashOfKey(key: string): Promise<string | undefined> {
    const text = await readText(join(this.#files.index, key));
    return text !== undefined && /^[0-9a-f]{64}\n$/.test(text) ? text.trim() : undefined;
  }

  /** The size of a content that is there, without a look into it. */
  async sizeOf(sha256: string): Promise<number | undefined> {
    return (await stat(this.#path(sha256)).catch(absent))?.size;
  }

  /** The content, whole and right, or undefined. Kept for as long as `signal` is not aborted, and an hour besides. */
  async find(sha256: string, signal: AbortSignal): Promise<AssetFile | undefined> {
    const path = this.#path(sha256);
    const found = await stat(path).catch(absent);
    if (found === undefined || !(await this.#mark(path, found.mtimeMs, signal))) return undefined;
    const identity = identityOf(found);
    if (this.#verified.get(sha256) !== identity) {
      const actual = await this.#hashing.run(path, (inner) => hashFile(path, inner), signal);
      if (actual !== sha256) {
        this.#log?.warn({ file: path, sizeBytes: found.size }, "a kept image is damaged, fetching it again");
        await rm(path, { force: true });
        return undefined;
      }
      this.#verified.set(sha256, identity);
    }
    this.#use(path, signal);
    return { path, sizeBytes: found.size };
  }

  /** Takes a downloaded, hashed and synced file in, and remembers it under its key. */
  async add(file: string, sha256: string, key: string): Promise<void> {
    const path = this.#path(sha256);
    await mkdir(this.#files.blobs, { recursive: true });
    await utimes(file, new Date(), new Date());
    await rename(file, path);
    await syncFolder(this.#files.blobs);
    this.#verified.set(sha256, identityOf(await stat(path)));
    if (key === sha256) return;
    await mkdir(this.#files.index, { recursive: true });
    await writeWhole(join(this.#files.index, key), `${sha256}\n`);
  }

  close(): void {
    clearInterval(this.#beat);
  }

  #path(sha256: string): string {
    return join(this.#files.blobs, sha256);
  }

  /** Marks content as used now; false when it was evicted meanwhile. */
  async #mark(path: string, usedMs: number, signal: AbortSignal): Promise<boolean> {
    const ageMs = Date.now() - usedMs;
    if (ageMs < freshMs) return true;
    const touch = async (): Promise<boolean> =>
      (await utimes(path, new Date(), new Date()).then(() => true, absent)) ?? false;
    return ageMs < endangeredMs ? touch() : withRoomLock(this.#files, signal, touch);
  }

  #use(path: string, signal: AbortSignal): void {
    const users = this.#uses.get(path) ?? new Set();
    this.#uses.set(path, users.add(signal));
  }

  async #markUses(): Promise<void> {
    for (const [path, users] of this.#uses) {
      for (const signal of users) if (signal.aborted) users.delete(signal);
      if (users.size === 0) this.#uses.delete(path);
      else await utimes(path, new Date(), new Date()).catch(() => {});
    }
  }
}

function identityOf(found: { readonly ino: number; readonly size: number }): string {
  return `${found.ino} ${found.size}`;
}
