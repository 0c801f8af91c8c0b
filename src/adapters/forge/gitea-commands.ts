import { WatcherError } from "../../lib/errors.ts";
import type { CommentAuthor, PullRequestComment, Reaction } from "../../ports/forge.ts";
import type { ForgeHttp } from "./forge-http.ts";
import { numberedPages } from "./gitea-pages.ts";
import { parseGiteaComment, parseGiteaPermission } from "./gitea-wire.ts";
import type { OwnLogin } from "./github-login.ts";
import type { RepositoryPlace } from "./repository-place.ts";

/** What commands in comments need: the comments of the whole repository, receipts, and who may command. */

/** The forge lists by time of creation, so that an edit meanwhile moves nothing over the border of a page. */
export async function listGiteaComments(
  http: ForgeHttp,
  place: RepositoryPlace,
  own: OwnLogin,
  sinceMs: number,
  signal: AbortSignal,
): Promise<readonly PullRequestComment[]> {
  const sinceSecond = Math.floor(Math.max(0, sinceMs) / 1_000) * 1_000;
  const since = new Date(sinceSecond).toISOString().replace(".000Z", "Z");
  const url = place.url(`/issues/comments?since=${encodeURIComponent(since)}`);
  const found = new Map<number, PullRequestComment>();
  for await (const page of numberedPages(http, url, parseGiteaComment, signal)) {
    for (const comment of page) {
      const { id, pullRequest, author, body, url: address, updatedAtMs } = comment;
      if (pullRequest === undefined || updatedAtMs < sinceSecond) continue;
      found.set(id, {
        id: String(id),
        pullRequest,
        author: { login: author?.login ?? "ghost", id: String(author?.id ?? "") },
        own: await own.isOurs(author, signal),
        body,
        url: address,
        updatedAtMs,
      });
    }
  }
  return [...found.values()].toSorted((a, b) => a.updatedAtMs - b.updatedAtMs || Number(a.id) - Number(b.id));
}

/** The forge answers the reaction that is there already when it is asked for once more. */
export async function reactOnGitea(
  place: RepositoryPlace,
  comment: PullRequestComment,
  reaction: Reaction,
  signal: AbortSignal,
): Promise<void> {
  const suffix = `/issues/comments/${encodeURIComponent(comment.id)}/reactions`;
  await place.write("POST", suffix, { content: reaction }, signal, [404]);
}

const writing = ["write", "admin", "owner"];

/**
 * Asked for every time. A login can be given up and taken by somebody else, so the account must still be the one that
 * wrote. Only administrators of the repository are told the permissions of others; nothing else the forge tells says the
 * same, so without that right nobody may.
 */
export async function mayWriteOnGitea(
  http: ForgeHttp,
  place: RepositoryPlace,
  author: CommentAuthor,
  signal: AbortSignal,
): Promise<boolean> {
  if (author.id === "") return false;
  const url = place.url(`/collaborators/${encodeURIComponent(author.login)}/permission`);
  const answer = await http.get(url, signal, [404]).catch((error: unknown) => {
    if (!(error instanceof WatcherError) || error.code !== "forge-refused") throw error;
    const advice = "To judge who may give commands, the token's account must be an administrator of the repository";
    throw new WatcherError("forge-refused", `${error.message}. ${advice}`, { cause: error });
  });
  if (answer.status !== 200) return false;
  const { permission, userId } = parseGiteaPermission(answer.body);
  return String(userId) === author.id && writing.includes(permission);
}
