import { execFile } from "node:child_process";
import { lstat, readdir, readFile } from "node:fs/promises";
import { join, relative, sep } from "node:path";
import { promisify } from "node:util";
import { messageOf, WatcherError } from "../../lib/errors.ts";

const run = promisify(execFile);
const gitDeadlineMs = 60_000;
const maxOutputBytes = 1_073_741_824;

/** A file as it lies in a folder or a commit: its bytes, or why it is not read. */
export type FolderFile = Uint8Array | "symlink" | "too-large";

/** Every file of a folder that `wanted` names, by path with forward slashes. Links are reported, never followed. */
export async function readFolder(
  folder: string,
  wanted: (path: string) => boolean,
  maxBytes: number,
): Promise<Map<string, FolderFile>> {
  const files = new Map<string, FolderFile>();
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    throw new WatcherError("usage", `cannot read the folder ${folder}: ${messageOf(error)}`, { cause: error });
  });
  for (const entry of entries) {
    const file = join(entry.parentPath, entry.name);
    const path = relative(folder, file).split(sep).join("/");
    if (!wanted(path) || entry.isDirectory()) continue;
    if (entry.isSymbolicLink()) files.set(path, "symlink");
    else if (entry.isFile()) files.set(path, (await lstat(file)).size > maxBytes ? "too-large" : await readFile(file));
  }
  return new Map([...files].sort(([a], [b]) => (a < b ? -1 : 1)));
}

export interface CommittedFolder {
  readonly revision: string;
  readonly files: ReadonlyMap<string, FolderFile>;
}

/** The same folder as the last commit has it; undefined outside of a git work tree, or before its first commit. */
export async function readCommittedFolder(
  folder: string,
  wanted: (path: string) => boolean,
  maxBytes: number,
): Promise<CommittedFolder | undefined> {
  const revision = await git(folder, ["rev-parse", "--verify", "--quiet", "HEAD"]).catch(() => undefined);
  if (revision === undefined) return undefined;
  const listing = await git(folder, ["ls-tree", "-r", "-z", "-l", "HEAD", "."]);
  const files = new Map<string, FolderFile>();
  for (const line of listing.toString("utf8").split("\0")) {
    const match = /^(\d+) blob ([0-9a-f]+) +(\d+)\t(.+)$/s.exec(line);
    if (match === null) continue;
    const [, mode = "", blob = "", size = "", path = ""] = match;
    if (!wanted(path)) continue;
    if (mode === "120000") files.set(path, "symlink");
    else files.set(path, Number(size) > maxBytes ? "too-large" : await git(folder, ["cat-file", "blob", blob]));
  }
  return { revision: revision.toString("utf8").trim(), files };
}

async function git(folder: string, args: readonly string[]): Promise<Buffer> {
  const { stdout } = await run("git", ["-C", folder, ...args], {
    encoding: "buffer",
    timeout: gitDeadlineMs,
    maxBuffer: maxOutputBytes,
    env: { ...process.env, LC_ALL: "C" },
  });
  return stdout;
}
