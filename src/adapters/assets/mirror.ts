import { isAbsolute, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { WatcherError } from "../../lib/errors.ts";
import type { DesiredAsset } from "../../fleet/desired-state.ts";
import { readChecksum } from "../../manifest/asset-url.ts";
import type { AssetMirror, AssetStoreOptions } from "./options.ts";

/** Where an asset really comes from for one cluster. */
export interface AssetSource {
  readonly asset: DesiredAsset;
  readonly place:
    | { readonly kind: "file"; readonly path: string; readonly folder: string }
    | { readonly kind: "http"; readonly url: URL };
  /** Expected content, from `#sha256=` of the manifest's URL or the checksum file it names. */
  readonly sha256: string | undefined;
  /** URL of the checksum file that says what `sha256` has to be. */
  readonly checksumFile: string | undefined;
  readonly mirror: AssetMirror | undefined;
}

/** Applies the mirrors: those of the cluster before those of all, the longest prefix first. Throws `asset-refused`. */
export function locateAsset(asset: DesiredAsset, cluster: string, options: AssetStoreOptions): AssetSource {
  const [address = ""] = asset.url.split("#", 1);
  const checksum = readChecksum(asset.url);
  if (checksum.kind === "fault") throw refused(asset, `${checksum.message} (${checksum.hint})`);
  const sha256 = checksum.kind === "sha256" ? checksum.sha256 : undefined;
  const checksumFile = checksum.kind === "file" ? checksum.url : undefined;
  const mirror = chooseMirror(address, cluster, options.mirrors);
  const rest = { asset, sha256, checksumFile, mirror };
  if (mirror === undefined) return { ...rest, place: { kind: "http", url: manifestUrl(asset, address, options) } };
  const tail = address.slice(mirror.prefix.length);
  if (mirror.to.startsWith("file:")) return { ...rest, place: { kind: "file", ...pathWithin(asset, mirror.to, tail) } };
  return { ...rest, place: { kind: "http", url: parseUrl(asset, mirror.to + tail) } };
}

function chooseMirror(address: string, cluster: string, mirrors: readonly AssetMirror[]): AssetMirror | undefined {
  return mirrors
    .filter((mirror) => address.startsWith(mirror.prefix) && (mirror.clusters?.includes(cluster) ?? true))
    .sort(
      (a, b) =>
        Number(b.clusters !== undefined) - Number(a.clusters !== undefined) || b.prefix.length - a.prefix.length,
    )[0];
}

function manifestUrl(asset: DesiredAsset, address: string, options: AssetStoreOptions): URL {
  const url = parseUrl(asset, address);
  if (url.protocol === "https:" || (url.protocol === "http:" && options.allowHttp)) return url;
  const why =
    url.protocol === "http:"
      ? "http: is not allowed here (allow it in the configuration, or use https:)"
      : `${url.protocol} URLs are not allowed in manifests`;
  throw refused(asset, why);
}

function parseUrl(asset: DesiredAsset, text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) throw refused(asset, `"${text}" is not a URL`);
  return url;
}

/** A manifest chooses the tail: it must not lead out of the mirror's folder. */
function pathWithin(asset: DesiredAsset, to: string, tail: string): { readonly path: string; readonly folder: string } {
  const folder = fileURLToPath(new URL(to));
  const path = resolve(folder, `./${decode(asset, tail.split("?", 1)[0] ?? "")}`);
  const inside = relative(folder, path);
  if (inside === "" || inside.startsWith("..") || isAbsolute(inside))
    throw refused(asset, "its URL leads out of the mirror's folder");
  return { path, folder };
}

function decode(asset: DesiredAsset, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw refused(asset, "its URL is not well encoded");
  }
}

export function refused(asset: DesiredAsset, why: string): WatcherError {
  return new WatcherError("asset-refused", `asset "${asset.name}": ${why}`);
}

/** What an operator needs to find the asset: its URL without credentials or query, and the mirror that applies. */
export function describeSource(source: AssetSource): string {
  const mirror = source.mirror === undefined ? "" : `, mirrored from ${source.mirror.prefix} to ${source.mirror.to}`;
  return `asset "${source.asset.name}" (${plainUrl(source.asset.url)}${mirror})`;
}

/** Queries and user info of URLs may be credentials. */
export function plainUrl(text: string): string {
  if (!URL.canParse(text)) return text;
  const url = new URL(text);
  return `${url.protocol}//${url.host}${url.pathname}`;
}
