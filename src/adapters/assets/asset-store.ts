import { join } from "node:path";
import { WatcherError } from "../../lib/errors.ts";
import { contentHash } from "../../lib/canonical-json.ts";
import { SharedWork } from "../../lib/shared-work.ts";
import type { DesiredAsset } from "../../fleet/desired-state.ts";
import type { AssetDescription, AssetFile, AssetStore } from "../../ports/asset-store.ts";
import { download, findCached, removeStaleParts, requireHash } from "./download.ts";
import { HttpSource, type RemoteFacts } from "./http-source.ts";
import { findLocal, hashFile } from "./local-source.ts";
import { type AssetSource, describeSource, locateAsset, refused } from "./mirror.ts";
import type { AssetStoreOptions } from "./options.ts";

const versionLength = 12;

/** Opens the store; nothing is read before the first call, except that leftovers of crashed downloads are removed. */
export async function openAssetStore(options: AssetStoreOptions): Promise<AssetStore & AsyncDisposable> {
  await removeStaleParts(options.cacheDir, Date.now());
  return new MirroredAssetStore(options);
}

class MirroredAssetStore implements AssetStore, AsyncDisposable {
  readonly #options: AssetStoreOptions;
  readonly #http: HttpSource;
  readonly #hashes = new Map<string, string>();
  readonly #hashing = new SharedWork<string>();
  readonly #downloads = new SharedWork<AssetFile>();

  constructor(options: AssetStoreOptions) {
    this.#options = options;
    this.#http = new HttpSource(options);
  }

  async describe(asset: DesiredAsset, cluster: string, signal: AbortSignal): Promise<AssetDescription> {
    signal.throwIfAborted();
    const source = locateAsset(asset, cluster, this.#options);
    if (source.place.kind === "file") {
      const file = await findLocal(source, source.place);
      this.#requireSize(source, file.sizeBytes);
      return { sizeBytes: file.sizeBytes, version: (await this.#hashOf(file, signal)).slice(0, versionLength) };
    }
    const facts = await this.#http.describe(source, source.place.url, signal);
    if (facts.sizeBytes === undefined)
      throw refused(asset, `${describeSource(source)}: the server does not say how large it is`);
    this.#requireSize(source, facts.sizeBytes);
    return { sizeBytes: facts.sizeBytes, version: versionKey(source, facts).slice(0, versionLength) };
  }

  async fetch(
    asset: DesiredAsset,
    cluster: string,
    signal: AbortSignal,
    progress: (doneBytes: number, totalBytes: number) => void = () => {},
  ): Promise<AssetFile> {
    signal.throwIfAborted();
    const source = locateAsset(asset, cluster, this.#options);
    const { place } = source;
    if (place.kind === "http") return this.#fetchRemote(source, place.url, signal, progress);
    const file = await findLocal(source, place);
    this.#requireSize(source, file.sizeBytes);
    if (source.sha256 !== undefined) requireHash(source, await this.#hashOf(file, signal));
    return { path: file.path, sizeBytes: file.sizeBytes };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http.close();
  }

  async #fetchRemote(
    source: AssetSource,
    url: URL,
    signal: AbortSignal,
    progress: (doneBytes: number, totalBytes: number) => void,
  ): Promise<AssetFile> {
    const facts = await this.#http.describe(source, url, signal);
    if (facts.sizeBytes !== undefined) this.#requireSize(source, facts.sizeBytes);
    const key = versionKey(source, facts);
    const path = join(this.#options.cacheDir, `${key.slice(0, 32)}.${source.asset.format}`);
    const work = async (inner: AbortSignal, tell: (text: string) => void): Promise<AssetFile> => {
      const cached = await findCached(path, facts.sizeBytes);
      if (cached !== undefined) return cached;
      const remote = await this.#http.open(source, url, inner);
      requireSameContent(source, key, remote);
      const report = (doneBytes: number, totalBytes: number): void => tell(`${doneBytes} ${totalBytes}`);
      return download({ source, remote, path, maxBytes: this.#options.maxBytes, signal: inner, progress: report });
    };
    return this.#downloads.run(path, work, signal, (text) => {
      const [doneBytes = 0, totalBytes = 0] = text.split(" ").map(Number);
      progress(doneBytes, totalBytes);
    });
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
    if (maxBytes !== undefined && sizeBytes > maxBytes)
      throw refused(source.asset, `it has ${sizeBytes} bytes, above the limit of ${maxBytes}`);
  }
}

/** Names a content: its own hash where the manifest gives it, else what the server says of this URL's content. */
function versionKey(source: AssetSource, facts: RemoteFacts): string {
  if (source.sha256 !== undefined) return source.sha256;
  const { etag, lastModified, sizeBytes } = facts;
  return contentHash(["url", source.asset.url, etag ?? [lastModified ?? "", sizeBytes ?? 0]]);
}

/** The content may have been replaced between asking and fetching. */
function requireSameContent(source: AssetSource, key: string, remote: RemoteFacts): void {
  if (versionKey(source, remote) === key) return;
  throw new WatcherError(
    "asset-unavailable",
    `${describeSource(source)}: it changed on the server while it was being fetched`,
  );
}
