import type { CommentAuthor, PullRequestComment, Reaction } from "../../ports/forge.ts";
import type { ForgeHttp } from "./forge-http.ts";
import type { OwnLogin } from "./github-login.ts";
import type { RepositoryPlace } from "./repository-place.ts";
import { parseList, parsePermission, parsePlacedComment, type WirePlacedComment } from "./wire.ts";

/** What commands in comments need: the comments of the whole repository, receipts, and who may command. */

/**
 * In order of their creation while pages are read, because a comment that is edited meanwhile would otherwise move behind
 * the pages already read and pull another one over the page border, unseen. The address stays the same until `sinceMs`
 * moves, so that unchanged answers are 304.
 */
export async function listComments(
  http: ForgeHttp,
  place: RepositoryPlace,
  own: OwnLogin,
  sinceMs: number,
  signal: AbortSignal,
): Promise<readonly PullRequestComment[]> {
  const url = place.url(`/issues/comments?sort=created&direction=asc&since=${sinceText(sinceMs)}&per_page=100`);
  const found: WirePlacedComment[] = [];
  for await (const page of http.pages(url, signal)) found.push(...parseList(page.body, parsePlacedComment));
  return onPullRequests(found, own, sinceMs, signal);
}

/** As addresses take it: whole seconds. */
export function sinceText(sinceMs: number): string {
  return encodeURIComponent(new Date(Math.max(0, sinceMs)).toISOString().replace(/\.\d+Z$/, "Z"));
}

/** Those since a moment, oldest first, each once. Issues have comments too; forges compare whole seconds. */
export async function onPullRequests(
  comments: readonly WirePlacedComment[],
  own: OwnLogin,
  sinceMs: number,
  signal: AbortSignal,
): Promise<readonly PullRequestComment[]> {
  const sinceSecond = Math.floor(sinceMs / 1_000) * 1_000;
  const found = new Map<number, PullRequestComment>();
  for (const { id, pullRequest, author, body, url, updatedAtMs } of comments) {
    if (pullRequest === undefined || updatedAtMs < sinceSecond) continue;
    found.set(id, {
      id: String(id),
      pullRequest,
      author: { login: author?.login ?? "ghost", id: String(author?.id ?? "") },
      own: await own.isOurs(author, signal),
      body,
      url,
      updatedAtMs,
    });
  }
  return [...found.values()].toSorted((a, b) => a.updatedAtMs - b.updatedAtMs || Number(a.id) - Number(b.id));
}

/** GitHub, and Gitea too, answers the reaction that is there already when it is asked for once more. */
export async function react(
  place: RepositoryPlace,
  comment: PullRequestComment,
  reaction: Reaction,
  signal: AbortSignal,
): Promise<void> {
  const suffix = `/issues/comments/${encodeURIComponent(comment.id)}/reactions`;
  await place.write("POST", suffix, { content: reaction }, signal, [404, 410]);
}

/**
 * Asked for every time. A login can be given up and taken by somebody else, so the account must still be the one that
 * wrote; an account that is gone has no id and no rights.
 */
export async function mayWrite(
  http: ForgeHttp,
  place: RepositoryPlace,
  author: CommentAuthor,
  signal: AbortSignal,
): Promise<boolean> {
  if (author.id === "") return false;
  const url = place.url(`/collaborators/${encodeURIComponent(author.login)}/permission`);
  const answer = await http.get(url, signal, [404]);
  if (answer.status !== 200) return false;
  const { permission, userId } = parsePermission(answer.body);
  return String(userId) === author.id && (permission === "write" || permission === "admin");
}
