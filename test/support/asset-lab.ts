import { createHash } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openAssetStore } from "../../src/adapters/assets/asset-store.ts";
import type { AssetStoreOptions } from "../../src/adapters/assets/options.ts";
import type { DesiredAsset } from "../../src/fleet/desired-state.ts";
import { type Page, startWebServer } from "./web-server.ts";

export const MiB = 2 ** 20;

type OpenAssetStore = Awaited<ReturnType<typeof openAssetStore>>;

export const signal = (): AbortSignal => AbortSignal.timeout(20_000);

export function assetAt(url: string, name = "debian"): DesiredAsset {
  return { name, type: "virtual_disk", format: "raw", url, id: "abc" };
}

export function sha256Of(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

/** Bytes of which no two pieces are alike, so that a piece in the wrong place changes the whole. */
export function patterned(bytes: number): Buffer {
  const content = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) content.writeUInt32LE(at, at);
  return content;
}

interface Folder extends AsyncDisposable {
  readonly path: string;
}

export async function temporaryFolder(): Promise<Folder> {
  const path = await mkdtemp(join(tmpdir(), "assets-"));
  return { path, [Symbol.asyncDispose]: async () => rm(path, { recursive: true, force: true }) };
}

interface StoreLab {
  readonly origin: string;
  /** `METHOD path` of every request. */
  readonly asked: string[];
  readonly store: OpenAssetStore;
  readonly folder: string;
  readonly cache: string;
  /** Another store on the same cache, as another process would have. */
  readonly open: (options?: Partial<AssetStoreOptions>) => Promise<OpenAssetStore>;
  /** Names of the files in a folder of the cache. */
  readonly files: (part: "blobs" | "index" | "parts" | "locks") => Promise<readonly string[]>;
}

/** A store whose cache is in a folder of its own, and a web server. */
export async function withStore(
  options: Partial<AssetStoreOptions>,
  pages: Readonly<Record<string, Page>>,
  body: (lab: StoreLab) => Promise<void>,
): Promise<void> {
  await using folder = await temporaryFolder();
  await using server = await startWebServer(pages);
  const cache = join(folder.path, "cache");
  const open = (more: Partial<AssetStoreOptions> = {}): Promise<OpenAssetStore> =>
    openAssetStore({ cacheDir: cache, mirrors: [], allowHttp: true, backoffMs: 1, ...options, ...more });
  await using store = await open();
  const files = async (part: string): Promise<readonly string[]> =>
    (await readdir(join(cache, part)).catch((): string[] => [])).toSorted();
  await body({ origin: server.origin, asked: server.asked, store, folder: folder.path, cache, open, files });
}
