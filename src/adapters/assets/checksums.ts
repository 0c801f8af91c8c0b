import { readFile } from "node:fs/promises";
import { posix } from "node:path";
import { WatcherError } from "../../lib/errors.ts";
import { SharedWork } from "../../lib/shared-work.ts";
import { findChecksum } from "./checksum-file.ts";
import type { HttpSource } from "./http-source.ts";
import { findLocal } from "./local-source.ts";
import { type AssetSource, describeSource, locateAsset, plainUrl, refused } from "./mirror.ts";
import type { AssetStoreOptions } from "./options.ts";

const maxBytes = 2 ** 20;

/** Looks up what a checksum file says of an asset. The file is held to the same mirrors and rules as an asset. */
export class Checksums {
  readonly #options: AssetStoreOptions;
  readonly #http: HttpSource;
  readonly #reading = new SharedWork<string>();

  constructor(options: AssetStoreOptions, http: HttpSource) {
    this.#options = options;
    this.#http = http;
  }

  /** The source with its hash. Throws `asset-missing` when the file, or an entry for the asset, is not there. */
  async resolve(source: AssetSource, cluster: string, signal: AbortSignal): Promise<AssetSource> {
    const { asset, checksumFile } = source;
    if (checksumFile === undefined) return source;
    const list = locateAsset({ ...asset, url: checksumFile }, cluster, this.#options);
    const answer = findChecksum(await this.#read(list, signal), fileNameOf(asset.url));
    if ("sha256" in answer) return { ...source, sha256: answer.sha256 };
    throw new WatcherError("asset-missing", `checksum file of ${describeSource(list)}: ${answer.problem}`);
  }

  /** The file as it is now; many clusters that ask at once share one look. */
  async #read(list: AssetSource, signal: AbortSignal): Promise<string> {
    const { place } = list;
    try {
      if (place.kind === "http")
        return await this.#reading.run(
          `${list.mirror === undefined} ${place.url.href}`,
          (inner) => this.#http.readText(list, place.url, maxBytes, inner),
          signal,
        );
      const file = await findLocal(list, place);
      if (file.sizeBytes > maxBytes)
        throw refused(list.asset, `${plainUrl(list.asset.url)} is larger than ${maxBytes} bytes`);
      return await readFile(file.path, { encoding: "utf8", signal });
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof WatcherError)) throw error;
      throw new WatcherError(error.code, `checksum file of ${error.message}`, { cause: error });
    }
  }
}

function fileNameOf(url: string): string {
  const { pathname } = new URL(url);
  try {
    return decodeURIComponent(posix.basename(pathname));
  } catch {
    return posix.basename(pathname);
  }
}
