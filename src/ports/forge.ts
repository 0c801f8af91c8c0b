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
  /** Pull requests through which a commit reached its branch, by whichever style they were merged; often one or none. */
  findPullRequestsOf(revision: string, signal: AbortSignal): Promise<readonly MergedPullRequest[]>;
  /**
   * Comments on pull requests, open or not, that were written or edited at or after `sinceMs` (milliseconds since 1970),
   * oldest first, every page. Unchanged answers should cost conditional requests only.
   */
  listComments(sinceMs: number, signal: AbortSignal): Promise<readonly PullRequestComment[]>;
  /** The receipt of a command: our reaction to a comment. Repeating it changes nothing; a comment that is gone is no error. */
  react(comment: PullRequestComment, reaction: Reaction, signal: AbortSignal): Promise<void>;
  /** Whether somebody may push to the repository, asked of the forge and never remembered for long. Unknown people may not. */
  mayWrite(author: CommentAuthor, signal: AbortSignal): Promise<boolean>;
  /** Notes how a deployment of a commit to an environment stands; does nothing where `limits.deployments` is false. */
  ensureDeployment(deployment: ForgeDeployment, signal: AbortSignal): Promise<void>;
  /** Whether the forge will soon take nothing more for a while: progress is left out then, so that verdicts get through. */
  isScarce(): boolean;
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
  /** How the temporary branches of its merge queue into a branch begin; undefined where there is no such queue. */
  readonly queueBranches: ((baseBranch: string) => string) | undefined;
  /** Whether the forge keeps deployments to environments. */
  readonly deployments: boolean;
}

export type CommitState = "pending" | "success" | "failure" | "error";

export interface CommitStatus {
  readonly context: string;
  readonly state: CommitState;
  readonly description: string;
  readonly targetUrl: string | undefined;
  /** Branch the commit is seen on (the source branch of a pull request): forges that ask for it guess otherwise. */
  readonly branch?: string | undefined;
}

export interface PullRequest {
  readonly number: number;
  readonly title: string;
  readonly url: string;
  readonly head: string;
  /** Git ref that holds the head, e.g. `refs/pull/7/head`. */
  readonly headRef: string;
  /** Branch of the head, without the owner. */
  readonly headBranch: string;
  readonly baseBranch: string;
  readonly draft: boolean;
  /** The head lives in another repository: untrusted input. */
  readonly fork: boolean;
  readonly author: string;
}

/** A pull request as far as its merge is concerned. */
export interface MergedPullRequest {
  readonly number: number;
  readonly url: string;
  /** Newest head before the merge. */
  readonly head: string;
}

export interface PullRequestComment {
  /** As the forge names it; unique within the repository. */
  readonly id: string;
  readonly pullRequest: number;
  readonly author: CommentAuthor;
  /** Written by ourselves. */
  readonly own: boolean;
  readonly body: string;
  readonly url: string | undefined;
  readonly updatedAtMs: number;
}

export interface CommentAuthor {
  readonly login: string;
  /** As the forge names it, where it asks for that in place of the login. */
  readonly id: string;
}

/** `eyes`: read and at work; `+1`: done; `-1`: refused; `confused`: not understood. */
export type Reaction = "eyes" | "+1" | "-1" | "confused";

export interface ForgeDeployment {
  readonly environment: string;
  readonly revision: string;
  /** Branch the revision is on. */
  readonly branch: string;
  readonly state: "in_progress" | "success" | "failure" | "error";
  readonly description: string;
  readonly targetUrl: string | undefined;
}
