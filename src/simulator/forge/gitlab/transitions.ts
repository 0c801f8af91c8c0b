import type { JobStatus } from "./records.ts";

/** What GitLab calls the step to a state. */
const EVENTS: Readonly<Record<JobStatus, string>> = {
  pending: "enqueue",
  running: "run",
  success: "success",
  failed: "drop",
  canceled: "cancel",
  skipped: "skip",
};

export const JOB_STATUSES = ["pending", "running", "success", "failed", "canceled", "skipped"] as const;

export function isLive(status: JobStatus): boolean {
  return status === "pending" || status === "running";
}

/** Why a live row cannot go to a state, in GitLab's words; undefined when it can. Rows go forward only. */
export function refuseTransition(from: JobStatus, to: JobStatus): string | undefined {
  if (to !== "pending" && !(to === "running" && from === "running")) return undefined;
  const event = EVENTS[to];
  return `Cannot transition status via :${event} from :${from} (Reason(s): Status cannot transition via "${event}")`;
}
