import { createHash } from "node:crypto";
import { realpath, stat } from "node:fs/promises";
import { relative } from "node:path";
import { WatcherError } from "../../lib/errors.ts";
import { filePieces } from "../file-pieces.ts";
import { type AssetSource, describeSource, refused } from "./mirror.ts";

export interface LocalFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

/** The file of a local mirror. Links may lead within the mirror's folder, not out of it. */
export async function findLocal(
  source: AssetSource,
  place: { readonly path: string; readonly folder: string },
): Promise<LocalFile> {
  try {
    const path = await realpath(place.path);
    if (relative(await realpath(place.folder), path).startsWith(".."))
      throw refused(source.asset, "it is a link out of the mirror's folder");
    const found = await stat(path);
    if (!found.isFile()) throw missing(source, place.path);
    return { path, sizeBytes: found.size, modifiedMs: found.mtimeMs };
  } catch (error) {
    if (error instanceof WatcherError) throw error;
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR"))
      throw missing(source, place.path);
    throw new WatcherError("asset-unavailable", `${describeSource(source)}: ${place.path} cannot be read`, {
      cause: error,
    });
  }
}

function missing(source: AssetSource, path: string): WatcherError {
  return new WatcherError("asset-missing", `${describeSource(source)}: there is no file ${path}`);
}

/** sha256 of a file. */
export async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of filePieces(path, "reused")) {
    signal.throwIfAborted();
    hash.update(piece);
  }
  return hash.digest("hex");
}
