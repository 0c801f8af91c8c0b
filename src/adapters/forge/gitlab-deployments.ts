import { WatcherError } from "../../lib/errors.ts";
import type { ForgeDeployment } from "../../ports/forge.ts";
import type { ForgeHttp } from "./forge-http.ts";
import type { ProjectPlace } from "./gitlab-project.ts";
import { type GitlabDeployment, parseDeployment } from "./gitlab-wire.ts";
import { parseList } from "./wire.ts";

const statuses = { in_progress: "running", success: "success", failure: "failed", error: "failed" } as const;

/**
 * A deployment that runs is moved to its end; one that ended stays as it is, and what comes after it is another one.
 * GitLab has no place for a description or an address.
 */
export async function ensureGitlabDeployment(
  http: ForgeHttp,
  place: ProjectPlace,
  deployment: ForgeDeployment,
  signal: AbortSignal,
): Promise<void> {
  const { environment, revision, branch } = deployment;
  const status = statuses[deployment.state];
  const newest = await findNewest(http, place, environment, revision, signal);
  if (newest?.status === status) return;
  if (newest === undefined || newest.status !== "running") {
    const body = { environment, sha: revision, ref: branch, tag: false, status };
    await place.write("POST", "/deployments", body, signal);
    return;
  }
  try {
    await place.write("PUT", `/deployments/${newest.id}`, { status }, signal);
  } catch (error) {
    // Somebody else ended it between our reading and our writing.
    if (!(error instanceof WatcherError) || !error.message.includes("Cannot transition status")) throw error;
  }
}

/** The newest of the environment for this commit, among its hundred newest: an older one is done with. */
async function findNewest(
  http: ForgeHttp,
  place: ProjectPlace,
  environment: string,
  revision: string,
  signal: AbortSignal,
): Promise<GitlabDeployment | undefined> {
  const query = new URLSearchParams({ environment, order_by: "id", sort: "desc", per_page: "100" });
  const answer = await http.get(place.url(`/deployments?${query.toString()}`), signal);
  return parseList(answer.body, parseDeployment).find((one) => one.revision === revision);
}
