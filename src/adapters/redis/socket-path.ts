import { lstat, mkdir } from "node:fs/promises";
import { tmpdir, userInfo } from "node:os";
import path from "node:path";
import { WatcherError } from "../../lib/errors.ts";
import { contentHash } from "../../lib/canonical-json.ts";

/** Kernels take 104 to 108 bytes for the path of a unix socket. */
const longestPath = 100;

/** Where the server of a folder listens: inside it, or, when that path is too long, in a folder of ours below the temporary one. */
export async function socketPathOf(folder: string): Promise<string> {
  const inside = path.join(folder, "redis.sock");
  if (Buffer.byteLength(inside) <= longestPath) return inside;
  const outside = path.join(tmpdir(), `kraken-gitops-${contentHash(folder, 16)}`);
  await mkdir(outside, { recursive: true, mode: 0o700 });
  await refuseForeign(outside);
  return path.join(outside, "redis.sock");
}

/** The temporary folder belongs to everybody: what is there under our name must be a folder of this user, closed to others. */
async function refuseForeign(folder: string): Promise<void> {
  const found = await lstat(folder);
  const ours = found.isDirectory() && found.uid === userInfo().uid && (found.mode & 0o077) === 0;
  if (!ours) {
    throw new WatcherError(
      "redis-unavailable",
      `${folder} is not a private folder of this user, so no socket is put there; remove it, or choose a shorter dataDir`,
    );
  }
}
