import type { MergedPullRequest, PullRequest } from "../../ports/forge.ts";
import type { ForgeHttp } from "./forge-http.ts";
import { numberedPages } from "./gitea-pages.ts";
import { type GiteaPull, parseGiteaPull } from "./gitea-wire.ts";
import type { RepositoryPlace } from "./repository-place.ts";

/** How many closed pull requests, the newest first, are compared with a commit that no merge commit explains. */
const recentlyClosed = 100;

/** Oldest first: what is opened while pages are read comes at the end. The base is compared here, old versions ignore it. */
export async function listOpenGiteaPulls(
  http: ForgeHttp,
  place: RepositoryPlace,
  baseBranch: string,
  signal: AbortSignal,
): Promise<readonly PullRequest[]> {
  const pulls = new Map<number, PullRequest>();
  const url = place.url("/pulls?state=open&sort=oldest");
  for await (const page of numberedPages(http, url, parseGiteaPull, signal)) {
    for (const pull of page) {
      const listed = pull.baseBranch === baseBranch ? toPullRequest(pull) : undefined;
      if (listed !== undefined) pulls.set(listed.number, listed);
    }
  }
  return [...pulls.values()];
}

/**
 * The forge finds a pull request by the one commit it noted as its merge. The other commits of a fast-forward, and of one
 * that was pushed by hand, are found by the heads of what was merged lately.
 */
export async function findGiteaPullsOf(
  http: ForgeHttp,
  place: RepositoryPlace,
  revision: string,
  signal: AbortSignal,
): Promise<readonly MergedPullRequest[]> {
  const answer = await http.get(place.url(`/commits/${encodeURIComponent(revision)}/pull`), signal, [404]);
  if (answer.status === 200) {
    const pull = parseGiteaPull(answer.body);
    return pull.merged ? [toMerged(pull, revision)] : [];
  }
  let compared = 0;
  const url = place.url("/pulls?state=closed&sort=recentupdate");
  for await (const page of numberedPages(http, url, parseGiteaPull, signal)) {
    const found = page.filter((pull) => pull.merged && [pull.head, pull.mergeRevision].includes(revision));
    if (found.length > 0) return found.map((pull) => toMerged(pull, revision));
    compared += page.length;
    if (compared >= recentlyClosed) break;
  }
  return [];
}

/** Undefined for one without a head: there is nothing to plan. */
function toPullRequest(pull: GiteaPull): PullRequest | undefined {
  const { number, title, url, head, headBranch, baseBranch, draft, fork, author = "ghost" } = pull;
  if (head === undefined) return undefined;
  return { number, title, url, head, headRef: `refs/pull/${number}/head`, headBranch, baseBranch, draft, fork, author };
}

function toMerged({ number, url, head }: GiteaPull, revision: string): MergedPullRequest {
  return { number, url, head: head ?? revision };
}
