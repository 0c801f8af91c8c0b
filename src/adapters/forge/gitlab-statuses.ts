import { WatcherError } from "../../lib/errors.ts";
import type { CommitState, CommitStatus } from "../../ports/forge.ts";
import { cutDescription } from "../../report/status-text.ts";
import type { ForgeHttp } from "./forge-http.ts";
import type { ProjectPlace } from "./gitlab-project.ts";
import { type GitlabStatus, parseGitlabStatus } from "./gitlab-wire.ts";
import { parseList } from "./wire.ts";

/** Characters of a description and of an address; more is answered with 400. */
export const descriptionChars = 255;
const targetUrlChars = 255;

export type GitlabState = "pending" | "running" | "success" | "failed";

export async function findGitlabStatus(
  http: ForgeHttp,
  place: ProjectPlace,
  revision: string,
  context: string,
  signal: AbortSignal,
): Promise<CommitStatus | undefined> {
  const newest = await findNewest(http, place, revision, context, undefined, signal);
  return newest === undefined ? undefined : toCommitStatus(newest);
}

/**
 * A status is a job row. While it is live a write moves it along, and GitLab refuses to move it to where it stands; after
 * its end a write makes a new row. So the newest row is read first, and only what changes something is written.
 */
export async function ensureGitlabStatus(
  http: ForgeHttp,
  place: ProjectPlace,
  revision: string,
  status: CommitStatus,
  signal: AbortSignal,
): Promise<void> {
  const description = cutDescription(status.description, descriptionChars);
  const targetUrl = writableUrl(status.targetUrl);
  const newest = await findNewest(http, place, revision, status.context, status.branch, signal);
  const state = nextState({ state: status.state, description, targetUrl }, newest);
  if (state === undefined) return;
  const body = {
    state,
    name: status.context,
    description,
    ...(status.branch === undefined ? {} : { ref: status.branch }),
    ...(targetUrl === undefined ? {} : { target_url: targetUrl }),
  };
  try {
    await place.write("POST", `/statuses/${encodeURIComponent(revision)}`, body, signal);
  } catch (error) {
    // Somebody else moved the row between our reading and our writing: it stands where we wanted it, or further on.
    if (!isTransitionRefusal(error)) throw error;
  }
}

/**
 * The state to send. Both `pending` and `running` are our "not decided yet": a text that changes once can be shown by
 * going from the one to the other, and further changes wait for the verdict, because GitLab takes no other text for a
 * row that stays where it is.
 */
export function nextState(
  wanted: Pick<CommitStatus, "state" | "description" | "targetUrl">,
  newest: Pick<GitlabStatus, "status" | "description" | "targetUrl"> | undefined,
): GitlabState | undefined {
  const same = newest?.description === wanted.description && newest.targetUrl === wanted.targetUrl;
  if (wanted.state !== "pending") {
    const verdict = wanted.state === "success" ? "success" : "failed";
    return same && newest.status === verdict ? undefined : verdict;
  }
  if (newest === undefined || stateOf(newest.status) !== "pending") return "pending";
  return same || newest.status === "running" ? undefined : "running";
}

/** Newest row of a name; on a branch where one is given, since every branch has a pipeline of its own. */
async function findNewest(
  http: ForgeHttp,
  place: ProjectPlace,
  revision: string,
  context: string,
  branch: string | undefined,
  signal: AbortSignal,
): Promise<GitlabStatus | undefined> {
  // Without `all` rows that were written over are missing; without `name` ours may be on a late page.
  const query = new URLSearchParams({ name: context, all: "true", per_page: "100" });
  if (branch !== undefined) query.set("ref", branch);
  const path = `/repository/commits/${encodeURIComponent(revision)}/statuses?${query.toString()}`;
  let newest: GitlabStatus | undefined;
  for await (const page of http.pages(place.url(path), signal)) {
    for (const row of parseList(page.body, parseGitlabStatus)) {
      const ours = row.name === context && (branch === undefined || row.ref === branch);
      if (ours && (newest === undefined || row.id > newest.id)) newest = row;
    }
  }
  return newest;
}

function isTransitionRefusal(error: unknown): boolean {
  if (!(error instanceof WatcherError) || error.code !== "forge-refused") return false;
  return error.message.includes("answered 400") && /Cannot transition status via :\w+ from :\w+/.test(error.message);
}

function writableUrl(url: string | undefined): string | undefined {
  return url !== undefined && /^https?:\/\//i.test(url) && url.length <= targetUrlChars ? url : undefined;
}

function toCommitStatus(row: GitlabStatus): CommitStatus {
  return {
    context: row.name,
    state: stateOf(row.status),
    description: row.description,
    targetUrl: row.targetUrl === "" ? undefined : row.targetUrl,
  };
}

function stateOf(status: string): CommitState {
  switch (status) {
    case "success":
      return "success";
    case "failed":
      return "failure";
    case "canceled":
    case "canceling":
    case "skipped":
      return "error";
    default:
      return "pending";
  }
}
