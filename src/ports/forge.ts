/**
 * The part of a git forge this product uses. Differences between forges are data (`limits`), never optional methods.
 * Every call may throw WatcherError with a `forge-*` code; writes are safe to repeat after a lost reply.
 */
export interface Forge {
  readonly kind: string;
  readonly limits: ForgeLimits;
  /** Open pull requests into the branch, every page. Unchanged answers should cost a conditional request only. */
  listOpenPullRequests(baseBranch: string, signal: AbortSignal): Promise<readonly PullRequest[]>;
  /** Writes a commit status unless the newest one of this context already says the same. */
  ensureCommitStatus(revision: string, status: CommitStatus, signal: AbortSignal): Promise<void>;
  /** The newest status of a context on a commit, or undefined. */
  findCommitStatus(revision: string, context: string, signal: AbortSignal): Promise<CommitStatus | undefined>;
  /**
   * Makes the comment with this marker on a pull request read as given: edits the earlier one when it carries the
   * marker *and* was written by our own login, writes it otherwise. Answers its address.
   */
  ensureComment(
    pullRequest: number,
    marker: string,
    markdown: string,
    signal: AbortSignal,
  ): Promise<{ readonly url: string | undefined }>;
  /** Where people read a line of a file at a revision; undefined where the forge has no such page. */
  fileUrl(revision: string, file: string, line: number): string | undefined;
  /** Who we are and what we may do, for `doctor`. */
  check(signal: AbortSignal): Promise<{ readonly login: string | undefined; readonly findings: readonly string[] }>;
}

export interface ForgeLimits {
  /** Characters of a comment; a longer one is cut by the report before it gets here. */
  readonly commentChars: number;
  /** Code points of a status description. */
  readonly descriptionChars: number;
  /** Whether an HTML comment stays invisible. */
  readonly hiddenMarker: boolean;
}

export type CommitState = "pending" | "success" | "failure" | "error";

export interface CommitStatus {
  readonly context: string;
  readonly state: CommitState;
  readonly description: string;
  readonly targetUrl: string | undefined;
}

export interface PullRequest {
  readonly number: number;
  readonly title: string;
  readonly url: string;
  readonly head: string;
  /** Git ref that holds the head, e.g. `refs/pull/7/head`. */
  readonly headRef: string;
  readonly baseBranch: string;
  readonly draft: boolean;
  /** The head lives in another repository: untrusted input. */
  readonly fork: boolean;
  readonly author: string;
}
