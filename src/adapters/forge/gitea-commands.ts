import { WatcherError } from "../../lib/errors.ts";
import type { CommentAuthor, PullRequestComment } from "../../ports/forge.ts";
import type { ForgeHttp } from "./forge-http.ts";
import { numberedPages } from "./gitea-pages.ts";
import { type GiteaComment, parseGiteaComment, parseGiteaPermission } from "./gitea-wire.ts";
import { onPullRequests, sinceText } from "./github-commands.ts";
import type { OwnLogin } from "./github-login.ts";
import type { RepositoryPlace } from "./repository-place.ts";

/** What commands in comments need and is not as on GitHub: the list of comments, and who may command. */

/** The forge lists by time of creation, so that an edit meanwhile moves nothing over the border of a page. */
export async function listGiteaComments(
  http: ForgeHttp,
  place: RepositoryPlace,
  own: OwnLogin,
  sinceMs: number,
  signal: AbortSignal,
): Promise<readonly PullRequestComment[]> {
  const url = place.url(`/issues/comments?since=${sinceText(sinceMs)}`);
  const found: GiteaComment[] = [];
  for await (const page of numberedPages(http, url, parseGiteaComment, signal)) found.push(...page);
  return onPullRequests(found, own, sinceMs, signal);
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
