/** A pipeline of statuses that came from outside: one for each commit and ref. */
export interface PipelineRecord {
  readonly id: number;
  readonly repository: number;
  readonly sha: string;
  readonly ref: string;
  readonly createdAt: number;
}

export type JobStatus = "pending" | "running" | "success" | "failed" | "canceled" | "skipped";

/** A commit status: a job row of such a pipeline. */
export interface JobRecord {
  readonly id: number;
  readonly repository: number;
  readonly pipeline: number;
  readonly sha: string;
  readonly ref: string;
  readonly name: string;
  readonly status: JobStatus;
  readonly description: string | undefined;
  readonly targetUrl: string | undefined;
  readonly creator: string;
  readonly createdAt: number;
  readonly finishedAt: number | undefined;
  /** A newer row of the same name has taken its place. */
  readonly retried: boolean;
}

export type DeploymentStatus = "created" | "running" | "success" | "failed" | "canceled" | "blocked" | "skipped";

export interface GitlabDeploymentRecord {
  readonly id: number;
  readonly repository: number;
  readonly environment: string;
  readonly sha: string;
  readonly ref: string;
  readonly tag: boolean;
  readonly status: DeploymentStatus;
  /** Every state it had, oldest first. */
  readonly history: readonly DeploymentStatus[];
  readonly creator: string;
  readonly createdAt: number;
  readonly updatedAt: number;
}
