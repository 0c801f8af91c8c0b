import type { TreeEntry } from "../../ports/git-source.ts";

/** One side of a tree line before its size is known. */
export interface TreeLine {
  readonly path: string;
  readonly blobId: string;
  readonly kind: TreeEntry["kind"];
}

const kinds: Readonly<Record<string, TreeEntry["kind"]>> = { "120000": "symlink", "160000": "submodule" };

/** Reads `git ls-tree -r -z`: records `<mode> <type> <id>\t<path>`, each ended by NUL. */
export function parseTreeLines(output: string, folder: string): readonly TreeLine[] {
  return output
    .split("\0")
    .filter((record) => record !== "")
    .map((record) => {
      const tab = record.indexOf("\t");
      const [mode = "", , blobId = ""] = record.slice(0, tab).split(" ");
      return { path: folder + record.slice(tab + 1), blobId, kind: kinds[mode] ?? "file" };
    });
}

/** Reads `git diff-tree -r -z --raw --no-renames`: `:<mode> <mode> <id> <id> <letter>` NUL `<path>` NUL. Deleted: no line. */
export function parseDiffLines(output: string, folder: string): ReadonlyMap<string, TreeLine | undefined> {
  const fields = output.split("\0");
  const changed = new Map<string, TreeLine | undefined>();
  for (let index = 0; index + 1 < fields.length; index += 2) {
    const [, mode = "", , blobId = "", letter] = (fields[index] ?? "").split(" ");
    const path = folder + (fields[index + 1] ?? "");
    changed.set(path, letter === "D" ? undefined : { path, blobId, kind: kinds[mode] ?? "file" });
  }
  return changed;
}
