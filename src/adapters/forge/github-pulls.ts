import type { MergedPullRequest, PullRequest } from "../../ports/forge.ts";
import type { ForgeHttp } from "./forge-http.ts";
import type { RepositoryPlace } from "./repository-place.ts";
import { parseList, parsePull, type WirePull } from "./wire.ts";

/** Most recently updated first. A pull request that moves between pages while they are read is listed once. */
export async function listOpenPullRequests(
  http: ForgeHttp,
  place: RepositoryPlace,
  baseBranch: string,
  signal: AbortSignal,
): Promise<readonly PullRequest[]> {
  const query = `state=open&base=${encodeURIComponent(baseBranch)}&sort=updated&direction=desc&per_page=100`;
  const pulls = new Map<number, PullRequest>();
  for await (const page of http.pages(place.url(`/pulls?${query}`), signal)) {
    for (const pull of parseList(page.body, parsePull)) {
      if (pull.baseBranch === baseBranch && !pulls.has(pull.number)) pulls.set(pull.number, toPullRequest(pull));
    }
  }
  return [...pulls.values()];
}

/**
 * GitHub knows the way of a commit also through a squash or a rebase. It lists open pull requests that carry the commit
 * as well; those brought nothing yet. An empty repository answers 409, a commit it does not know 422.
 */
export async function findPullRequestsOf(
  http: ForgeHttp,
  place: RepositoryPlace,
  revision: string,
  signal: AbortSignal,
): Promise<readonly MergedPullRequest[]> {
  const found: MergedPullRequest[] = [];
  const url = place.url(`/commits/${encodeURIComponent(revision)}/pulls?per_page=100`);
  for await (const page of http.pages(url, signal, [409, 422])) {
    if (page.status !== 200) return found;
    for (const { merged, number, url, headRevision } of parseList(page.body, parsePull))
      if (merged) found.push({ number, url, head: headRevision });
  }
  return found;
}

function toPullRequest(pull: WirePull): PullRequest {
  return {
    number: pull.number,
    title: pull.title,
    url: pull.url,
    head: pull.headRevision,
    headRef: `refs/pull/${pull.number}/head`,
    headBranch: pull.headBranch,
    baseBranch: pull.baseBranch,
    draft: pull.draft,
    // A fork that was deleted is a fork: what it held stays untrusted.
    fork: pull.headRepository === undefined || !sameName(pull.headRepository, pull.baseRepository),
    author: pull.author ?? "ghost",
  };
}

function sameName(a: string, b: string | undefined): boolean {
  return a.toLowerCase() === b?.toLowerCase();
}
