/** What the forge remembers, one row per thing. Times are milliseconds since 1970; logins are names, not ids. */

export interface RepositoryRecord {
  readonly id: number;
  readonly owner: string;
  readonly name: string;
  readonly private: boolean;
  readonly defaultBranch: string;
  readonly forkOf: number | undefined;
  readonly createdAt: number;
  /** `owner/name` it was reachable under before a rename, lower case. */
  readonly formerNames: readonly string[];
  /** GitLab: how merge requests are merged; left out: with a merge commit. */
  readonly mergeMethod?: "merge" | "rebase_merge" | "ff";
  /** GitLab: "Pipelines must succeed". */
  readonly needsPipeline?: boolean;
}

export interface PullRecord {
  readonly id: number;
  readonly repository: number;
  readonly number: number;
  readonly title: string;
  readonly body: string | undefined;
  readonly author: string;
  readonly draft: boolean;
  readonly state: "open" | "closed";
  readonly baseBranch: string;
  /** Tip of the base when the head was last pushed: GitHub does not move it along with the branch. */
  readonly baseSha: string;
  readonly headRepository: number;
  readonly headOwner: string;
  readonly headBranch: string;
  readonly headSha: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly closedAt: number | undefined;
  readonly merge: MergeRecord | undefined;
  /** Written before the base branch moves, so that a kill in between is finished after the restart. */
  readonly merging: MergeRecord | undefined;
}

export interface MergeRecord {
  readonly at: number;
  readonly by: string;
  readonly commit: string;
  /** Every commit the merge brought to the base, plus the head's own commits: what `commits/SHA/pulls` looks in. */
  readonly commits: readonly string[];
  /** GitLab: the one commit all others were made into before the merge. */
  readonly squash?: string | undefined;
}

export interface CommentRecord {
  readonly id: number;
  readonly repository: number;
  readonly number: number;
  readonly author: string;
  readonly body: string;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly deleted: boolean;
  /** GitLab: written by the forge about what its author did. */
  readonly system?: boolean;
}

/** One step in the life of a comment, kept for tests that ask how often it was edited. */
export interface CommentEditRecord {
  readonly id: number;
  readonly comment: number;
  readonly kind: "created" | "edited" | "deleted";
  readonly by: string;
  readonly at: number;
  readonly body: string;
}

export interface ReactionRecord {
  readonly id: number;
  readonly comment: number;
  readonly user: string;
  readonly content: string;
  readonly createdAt: number;
}

export interface StatusRecord {
  readonly id: number;
  readonly repository: number;
  readonly sha: string;
  readonly context: string;
  /** `warning` and `skipped` on Gitea and Forgejo only. */
  readonly state: "pending" | "success" | "failure" | "error" | "warning" | "skipped";
  readonly description: string | undefined;
  readonly targetUrl: string | undefined;
  readonly creator: string;
  readonly createdAt: number;
}

export interface DeploymentRecord {
  readonly id: number;
  readonly repository: number;
  readonly sha: string;
  readonly ref: string;
  readonly task: string;
  readonly environment: string;
  readonly description: string | undefined;
  readonly transient: boolean;
  readonly production: boolean;
  readonly creator: string;
  readonly createdAt: number;
}

export interface DeploymentStatusRecord {
  readonly id: number;
  readonly deployment: number;
  readonly state: string;
  readonly description: string;
  readonly logUrl: string;
  readonly environmentUrl: string;
  readonly creator: string;
  readonly createdAt: number;
}

export interface HookRecord {
  readonly id: number;
  readonly repository: number;
  readonly url: string;
  readonly contentType: "json" | "form";
  readonly secret: string | undefined;
  readonly events: readonly string[];
  readonly active: boolean;
  readonly createdAt: number;
}
