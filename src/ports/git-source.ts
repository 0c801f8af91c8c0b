import type { SignaturePolicy, SignatureVerdict } from "../sync/signature-verdict.ts";

/** Reading one remote repository without a working tree. Every call may throw WatcherError with a `git-*` code. */
export interface GitSource extends AsyncDisposable {
  /** The cheap check of a poll: one remote round trip. `undefined`: the repository or branch is empty or gone. */
  remoteTip(signal: AbortSignal): Promise<string | undefined>;
  /** Branches of the remote whose names begin with `prefix`, with their tips, by one remote round trip. */
  listBranches(prefix: string, signal: AbortSignal): Promise<ReadonlyMap<string, string>>;
  /** Brings the tracked branch up to date; answers its tip, or undefined for an empty repository. */
  fetchBranch(signal: AbortSignal): Promise<string | undefined>;
  /** Makes sure these commits are here, fetching the given refs (`refs/pull/7/head`) or commit ids where they are not. */
  ensureRevisions(wanted: readonly WantedRevision[], signal: AbortSignal): Promise<void>;
  /** Every file below the configured path of a commit or tree, by path relative to the repository. */
  listFiles(treeish: string, signal: AbortSignal): Promise<ReadonlyMap<string, TreeEntry>>;
  /**
   * What differs between two commits or trees below the configured path, by path relative to the repository; `undefined` is a
   * deleted file. Costs what changed, not what the repository holds.
   */
  changedFiles(from: string, to: string, signal: AbortSignal): Promise<ReadonlyMap<string, TreeEntry | undefined>>;
  /** Contents of blobs, read in one batch process. A blob above `maxBytes` answers `undefined` without being read. */
  readBlobs(
    ids: readonly string[],
    maxBytes: number,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, Uint8Array | undefined>>;
  /** Tree id of the configured path at a commit (equal trees hold equal manifests); undefined when the path is not there. */
  treeId(treeish: string, signal: AbortSignal): Promise<string | undefined>;
  readCommit(revision: string, signal: AbortSignal): Promise<Commit>;
  /** The full id of a commit that is in what was fetched so far; it may be given abbreviated (at least 7 hexadecimal digits). */
  findCommit(revision: string, signal: AbortSignal): Promise<string | undefined>;
  isAncestor(ancestor: string, descendant: string, signal: AbortSignal): Promise<boolean>;
  /** Commits reachable from `to` and not from `from`, newest first, at most `limit`. */
  listCommits(from: string | undefined, to: string, limit: number, signal: AbortSignal): Promise<readonly string[]>;
  /** Merges two commits without a working tree: the resulting tree, or the files in conflict. */
  mergeTree(base: string, head: string, signal: AbortSignal): Promise<MergeResult>;
  /**
   * Judges the signatures of commits by the configured keys and nothing else on this machine; every revision has a verdict.
   * Key files are read at each call. Throws `signatures-unavailable` when nothing can be said: then nothing is allowed.
   */
  verifySignatures(
    revisions: readonly string[],
    policy: SignaturePolicy,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, SignatureVerdict>>;
  /** Keys in the configured files, for people; throws as `verifySignatures` does. */
  countSigners(policy: SignaturePolicy): Promise<{ readonly ssh: number; readonly gpg: number }>;
}

export interface WantedRevision {
  readonly revision: string;
  readonly ref: string | undefined;
}

export interface TreeEntry {
  readonly blobId: string;
  /** `symlink` and `submodule` are never followed. */
  readonly kind: "file" | "symlink" | "submodule";
  readonly sizeBytes: number;
}

export interface Commit {
  readonly revision: string;
  readonly parents: readonly string[];
  readonly author: string;
  /** Milliseconds since 1970. */
  readonly committedAtMs: number;
  readonly subject: string;
  readonly message: string;
}

export type MergeResult =
  | { readonly kind: "merged"; readonly tree: string }
  | { readonly kind: "conflict"; readonly files: readonly string[] };
