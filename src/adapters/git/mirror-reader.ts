import { WatcherError } from "../../lib/errors.ts";
import type { Commit, TreeEntry } from "../../ports/git-source.ts";
import type { CatFile } from "./cat-file.ts";
import { parseCommit } from "./commit-object.ts";
import { isDamage } from "./git-errors.ts";
import { type MirrorCommands, MirrorDamaged } from "./mirror-commands.ts";
import { parseDiffLines, parseTreeLines, type TreeLine } from "./tree-lines.ts";

export interface MirrorReaderOptions {
  /** "" or `manifests/`. */
  readonly folder: string;
  readonly commands: MirrorCommands;
  readonly catFile: CatFile;
}

/** Everything that is read from the mirror; no network. */
export class MirrorReader {
  /** Set when something read was broken; the next fetch mends the mirror and resets it. */
  damaged = false;
  readonly #options: MirrorReaderOptions;

  constructor(options: MirrorReaderOptions) {
    this.#options = options;
  }

  /** Commit ids by reference or revision expression, in the order asked; undefined for what is not here. */
  async resolve(names: readonly string[], signal: AbortSignal): Promise<readonly (string | undefined)[]> {
    const infos = await this.#watched(() => this.#options.catFile.info(names, signal));
    return infos.map((info) => info?.id);
  }

  async listFiles(treeish: string, signal: AbortSignal): Promise<ReadonlyMap<string, TreeEntry>> {
    const tree = await this.treeId(treeish, signal);
    if (tree === undefined) return new Map();
    const output = await this.local(["ls-tree", "-r", "-z", tree], `list the files of ${short(treeish)}`, signal);
    const lines = parseTreeLines(output, this.#options.folder);
    const sizes = await this.#sizes(lines, signal);
    return new Map(lines.map((line) => [line.path, entryOf(line, sizes)]));
  }

  async changedFiles(
    from: string,
    to: string,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, TreeEntry | undefined>> {
    const before = (await this.treeId(from, signal)) ?? emptyTree(from);
    const after = (await this.treeId(to, signal)) ?? emptyTree(to);
    if (before === after) return new Map();
    const args = ["diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", before, after];
    const output = await this.local(args, `compare ${short(from)} with ${short(to)}`, signal);
    const changed = parseDiffLines(output, this.#options.folder);
    const sizes = await this.#sizes(
      [...changed.values()].filter((line) => line !== undefined),
      signal,
    );
    return new Map([...changed].map(([path, line]) => [path, line && entryOf(line, sizes)]));
  }

  async readBlobs(
    ids: readonly string[],
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Uint8Array | undefined>> {
    ids.forEach(assertId);
    const infos = await this.#watched(() => this.#options.catFile.info(ids, signal));
    const missing = ids.filter((_id, index) => infos[index] === undefined);
    if (missing.length > 0) throw this.missing(missing);
    const small = ids.filter((_id, index) => (infos[index]?.sizeBytes ?? 0) <= maxBytes);
    const contents = await this.#watched(() => this.#options.catFile.contents(small, signal));
    const bytes = new Map(small.map((id, index) => [id, contents[index]?.bytes]));
    return new Map(ids.map((id) => [id, bytes.get(id)]));
  }

  async treeId(treeish: string, signal: AbortSignal): Promise<string | undefined> {
    assertId(treeish);
    const names = [`${treeish}^{tree}`, `${treeish}:${this.#options.folder.slice(0, -1)}`];
    const [root, folder] = await this.#watched(() => this.#options.catFile.info(names, signal));
    if (root === undefined) throw this.missing([treeish]);
    return folder?.type === "tree" ? folder.id : undefined;
  }

  async readCommit(revision: string, signal: AbortSignal): Promise<Commit> {
    assertId(revision);
    const [object] = await this.#watched(() => this.#options.catFile.contents([`${revision}^{commit}`], signal));
    if (object === undefined) throw this.missing([revision]);
    return parseCommit(object.id, object.bytes);
  }

  async findCommit(revision: string, signal: AbortSignal): Promise<string | undefined> {
    if (!/^[0-9a-f]{7,64}$/.test(revision)) return undefined;
    const [object] = await this.#watched(() => this.#options.catFile.info([`${revision}^{commit}`], signal));
    return object?.id;
  }

  async local(args: readonly string[], doing: string, signal: AbortSignal): Promise<string> {
    return await this.#watched(() => this.#options.commands.local(args, doing, signal));
  }

  /** Remembers damage seen while reading, for the next fetch to mend. */
  async #watched<T>(read: () => Promise<T>): Promise<T> {
    try {
      return await read();
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined;
      if (error instanceof MirrorDamaged || (cause instanceof Error && isDamage(cause.message))) this.damaged = true;
      throw error;
    }
  }

  async #sizes(lines: readonly TreeLine[], signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
    const ids = [...new Set(lines.filter(({ kind }) => kind !== "submodule").map(({ blobId }) => blobId))];
    const infos = await this.#watched(() => this.#options.catFile.info(ids, signal));
    const missing = ids.filter((_id, index) => infos[index] === undefined);
    if (missing.length > 0) {
      this.damaged = true; // the mirror's own trees name them
      throw this.missing(missing);
    }
    return new Map(ids.map((id, index) => [id, infos[index]?.sizeBytes ?? 0]));
  }

  /** The error for objects that are not here. */
  missing(ids: readonly string[]): WatcherError {
    const names = ids.slice(0, 3).map(short).join(", ");
    const message = `${names} of ${this.#options.commands.remoteName} is not in the mirror: it was not fetched, or a force push replaced it.`;
    return new WatcherError("git-revision-missing", message);
  }
}

function entryOf({ blobId, kind }: TreeLine, sizes: ReadonlyMap<string, number>): TreeEntry {
  return { blobId, kind, sizeBytes: sizes.get(blobId) ?? 0 };
}

export function short(id: string): string {
  return id.slice(0, 10);
}

export function assertId(id: string): void {
  if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(id)) return;
  throw new WatcherError("git-revision-missing", `"${id.slice(0, 100)}" is not a full commit, tree or blob id.`);
}

/** git knows the empty tree of both hash functions without storing it. */
function emptyTree(alike: string): string {
  return alike.length === 40
    ? "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
    : "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321";
}
