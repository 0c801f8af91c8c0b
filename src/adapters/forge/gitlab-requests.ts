import type { MergedPullRequest, PullRequest } from "../../ports/forge.ts";
import type { ForgeHttp } from "./forge-http.ts";
import type { ProjectPlace } from "./gitlab-project.ts";
import { parseMergeRequest } from "./gitlab-wire.ts";
import { parseList } from "./wire.ts";

/** Open merge requests into a branch. One that moves between pages while they are read is listed once. */
export async function listOpenMergeRequests(
  http: ForgeHttp,
  place: ProjectPlace,
  branch: string,
  signal: AbortSignal,
): Promise<readonly PullRequest[]> {
  const query = new URLSearchParams({
    state: "opened",
    scope: "all",
    target_branch: branch,
    order_by: "updated_at",
    sort: "desc",
    per_page: "100",
  });
  const requests = new Map<number, PullRequest>();
  for await (const page of http.pages(place.url(`/merge_requests?${query.toString()}`), signal)) {
    for (const request of parseList(page.body, parseMergeRequest)) {
      const { number, head } = request;
      // Without a head it was opened this moment: the next poll sees it whole.
      if (request.targetBranch !== branch || head === undefined || requests.has(number)) continue;
      requests.set(number, {
        number,
        title: request.title,
        url: request.url,
        head,
        headRef: `refs/merge-requests/${number}/head`,
        headBranch: request.sourceBranch,
        baseBranch: branch,
        draft: request.draft,
        fork: request.fork,
        author: request.author ?? "ghost",
      });
    }
  }
  return [...requests.values()];
}

/** GitLab knows the commits of a merge request, its squash commit and its merge commit; rebased ones are its own. */
export async function findMergeRequestsOf(
  http: ForgeHttp,
  place: ProjectPlace,
  revision: string,
  signal: AbortSignal,
): Promise<readonly MergedPullRequest[]> {
  const path = `/repository/commits/${encodeURIComponent(revision)}/merge_requests?per_page=100`;
  const merged = new Map<number, MergedPullRequest>();
  for await (const page of http.pages(place.url(path), signal, [404])) {
    // A commit that was forced away came through nothing that is left.
    if (page.status === 404) return [];
    for (const { number, url, head, state } of parseList(page.body, parseMergeRequest))
      if (state === "merged" && head !== undefined) merged.set(number, { number, url, head });
  }
  return [...merged.values()];
}
