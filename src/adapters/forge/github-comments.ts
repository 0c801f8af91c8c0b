import type { ForgeHttp } from "./forge-http.ts";
import type { OwnLogin } from "./github-login.ts";
import type { RepositoryPlace } from "./repository-place.ts";
import { type CommentDesk, createEnsureSticky } from "./sticky-comment.ts";
import { parseComment, parseList, type WireComment } from "./wire.ts";

export type EnsureComment = (
  pullRequest: number,
  marker: string,
  markdown: string,
  signal: AbortSignal,
) => Promise<{ readonly url: string | undefined }>;

/** One comment per pull request and marker, on forges that keep comments as GitHub does. */
export function createEnsureComment(http: ForgeHttp, place: RepositoryPlace, own: OwnLogin): EnsureComment {
  const ensure = createEnsureSticky(createCommentDesk(http, place, own));
  return async (pullRequest, marker, markdown, signal) => {
    const { url } = await ensure(pullRequest, marker, markdown, signal);
    return { url };
  };
}

function createCommentDesk(http: ForgeHttp, place: RepositoryPlace, own: OwnLogin): CommentDesk<WireComment> {
  return {
    async list(pullRequest, marker, signal) {
      const found: WireComment[] = [];
      for await (const page of http.pages(place.url(`/issues/${pullRequest}/comments?per_page=100`), signal)) {
        for (const comment of parseList(page.body, parseComment))
          if (comment.body.trimStart().startsWith(marker) && (await own.isOurs(comment.author, signal)))
            found.push(comment);
      }
      return found;
    },
    async read(_pullRequest, id, signal) {
      const answer = await http.get(place.url(`/issues/comments/${id}`), signal, [404, 410]);
      return answer.status === 200 ? parseComment(answer.body) : undefined;
    },
    async create(pullRequest, body, signal) {
      const comment = parseComment(
        (await place.write("POST", `/issues/${pullRequest}/comments`, { body }, signal)).body,
      );
      own.learn(comment.author);
      return comment;
    },
    async edit(_pullRequest, id, body, signal) {
      const answer = await place.write("PATCH", `/issues/comments/${id}`, { body }, signal, [404]);
      return answer.status === 404 ? undefined : parseComment(answer.body);
    },
    async remove(_pullRequest, id, signal) {
      // Only when we know our name: what any bot wrote is edited perhaps, but never removed.
      if ((await own.find(signal)) === undefined) return;
      await place.write("DELETE", `/issues/comments/${id}`, undefined, signal, [403, 404, 410]);
    },
  };
}
