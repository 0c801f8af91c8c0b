import { stat } from "node:fs/promises";
import { WatcherError } from "../../lib/errors.ts";
import { contentHash } from "../../lib/canonical-json.ts";
import { SharedWork } from "../../lib/shared-work.ts";
import { formatBytes } from "../../manifest/quantity.ts";
import type { DesiredAsset } from "../../fleet/desired-state.ts";
import type { AssetDescription, AssetFile, AssetStore } from "../../ports/asset-store.ts";
import { cacheFilesIn } from "./cache-files.ts";
import { removeLeftovers, withRoomLock } from "./cache-room.ts";
import { Checksums } from "./checksums.ts";
import { requireHash } from "./download.ts";
import { HttpSource, type RemoteFacts } from "./http-source.ts";
import { findLocal, hashFile } from "./local-source.ts";
import { type AssetSource, describeSource, locateAsset, refused } from "./mirror.ts";
import type { AssetStoreOptions } from "./options.ts";
import type { Progress } from "./progress.ts";
import { RemoteContents } from "./remote-contents.ts";

const versionLength = 12;
/** A server whose content changes faster than it can be fetched is not waited for. */
const mostChanges = 3;

/** Opens the store; nothing is read before the first call, except that leftovers of crashed downloads are removed. */
export async function openAssetStore(options: AssetStoreOptions): Promise<AssetStore & AsyncDisposable> {
  const files = cacheFilesIn(options.cacheDir);
  const isThere = await stat(options.cacheDir).then(
    () => true,
    () => false,
  );
  if (isThere) {
    await withRoomLock(files, AbortSignal.timeout(10_000), () => removeLeftovers(files, Date.now())).catch(
      (err: unknown) => options.log?.warn({ err, folder: files.folder }, "leftovers of downloads could not be removed"),
    );
  }
  return new MirroredAssetStore(options);
}

class MirroredAssetStore implements AssetStore, AsyncDisposable {
  readonly #options: AssetStoreOptions;
  readonly #http: HttpSource;
  readonly #checksums: Checksums;
  readonly #remote: RemoteContents;
  readonly #hashes = new Map<string, string>();
  readonly #hashing = new SharedWork<string>();

  constructor(options: AssetStoreOptions) {
    this.#options = options;
    this.#http = new HttpSource(options);
    this.#checksums = new Checksums(options, this.#http);
    this.#remote = new RemoteContents(options, this.#http);
  }

  async describe(asset: DesiredAsset, cluster: string, signal: AbortSignal): Promise<AssetDescription> {
    const source = await this.#locate(asset, cluster, signal);
    if (source.place.kind === "file") {
      const file = await findLocal(source, source.place);
      this.#requireSize(source, file.sizeBytes);
      return { sizeBytes: file.sizeBytes, version: shortVersion(await this.#hashOf(file, signal)) };
    }
    const kept = source.sha256 === undefined ? undefined : await this.#remote.sizeOf(source.sha256);
    if (kept !== undefined && source.sha256 !== undefined) {
      this.#requireSize(source, kept);
      return { sizeBytes: kept, version: shortVersion(source.sha256) };
    }
    const { sizeBytes, facts } = await this.#ask(source, source.place.url, signal);
    return { sizeBytes, version: shortVersion(versionKey(source, facts)) };
  }

  async fetch(
    asset: DesiredAsset,
    cluster: string,
    signal: AbortSignal,
    progress: Progress = () => {},
  ): Promise<AssetFile> {
    const source = await this.#locate(asset, cluster, signal);
    const { place } = source;
    if (place.kind === "http") return this.#fetchRemote(source, place.url, signal, progress);
    const file = await findLocal(source, place);
    this.#requireSize(source, file.sizeBytes);
    if (source.sha256 !== undefined) requireHash(source, await this.#hashOf(file, signal));
    return { path: file.path, sizeBytes: file.sizeBytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#remote.close();
    await this.#http.close();
  }

  async #locate(asset: DesiredAsset, cluster: string, signal: AbortSignal): Promise<AssetSource> {
    signal.throwIfAborted();
    return this.#checksums.resolve(locateAsset(asset, cluster, this.#options), cluster, signal);
  }

  async #fetchRemote(source: AssetSource, url: URL, signal: AbortSignal, progress: Progress): Promise<AssetFile> {
    // A content known by its hash is what it is, whether the server answers or not.
    const pinned = source.sha256 === undefined ? undefined : await this.#remote.find(source.sha256, signal);
    if (pinned !== undefined) {
      this.#requireSize(source, pinned.sizeBytes);
      return pinned;
    }
    for (let changes = 0; changes < mostChanges; changes += 1) {
      const { sizeBytes, facts } = await this.#ask(source, url, signal);
      const key = versionKey(source, facts);
      const isSame = (remote: RemoteFacts): boolean =>
        versionKey(source, { ...remote, sizeBytes: remote.sizeBytes ?? sizeBytes }) === key;
      const file = await this.#remote.obtain({ source, url, sizeBytes, key, isSame }, signal, progress);
      if (file !== undefined) return file;
    }
    throw new WatcherError(
      "asset-unavailable",
      `${describeSource(source)}: it changed on the server again and again while it was being fetched`,
    );
  }

  async #ask(
    source: AssetSource,
    url: URL,
    signal: AbortSignal,
  ): Promise<{ readonly sizeBytes: number; readonly facts: RemoteFacts }> {
    const facts = await this.#http.describe(source, url, signal);
    const { sizeBytes } = facts;
    if (sizeBytes === undefined)
      throw refused(source.asset, `${describeSource(source)}: the server does not say how large it is`);
    this.#requireSize(source, sizeBytes);
    return { sizeBytes, facts };
  }

  /** Hashing a large image takes seconds: once per path, size and time of change. */
  async #hashOf(
    file: { readonly path: string; readonly sizeBytes: number; readonly modifiedMs: number },
    signal: AbortSignal,
  ): Promise<string> {
    const key = `${file.path} ${file.sizeBytes} ${file.modifiedMs}`;
    const known = this.#hashes.get(key);
    if (known !== undefined) return known;
    const hash = await this.#hashing.run(key, (inner) => hashFile(file.path, inner), signal);
    this.#hashes.set(key, hash);
    return hash;
  }

  #requireSize(source: AssetSource, sizeBytes: number): void {
    const { maxBytes } = this.#options;
    if (maxBytes === undefined || sizeBytes <= maxBytes) return;
    throw refused(
      source.asset,
      `it has ${formatBytes(sizeBytes)}, above the limit of ${formatBytes(maxBytes)} (assets.maxAssetSize)`,
    );
  }
}

function shortVersion(key: string): string {
  return key.slice(0, versionLength);
}

/** Names a content: its own hash where the manifest gives it, else what the server says of this URL's content. */
function versionKey(source: AssetSource, facts: RemoteFacts): string {
  if (source.sha256 !== undefined) return source.sha256;
  const { etag, lastModified, sizeBytes } = facts;
  return contentHash(["url", source.asset.url, etag ?? [lastModified ?? "", sizeBytes ?? 0]]);
}
