import { WatcherError } from "../../lib/errors.ts";
import type { ForgeHttp } from "./forge-http.ts";
import type { OwnLogin } from "./github-login.ts";
import { Lanes } from "./lanes.ts";
import type { RepositoryPlace } from "./repository-place.ts";
import { parseComment, parseList, type WireComment } from "./wire.ts";

type Written = { readonly url: string | undefined };
export type EnsureComment = (
  pullRequest: number,
  marker: string,
  markdown: string,
  signal: AbortSignal,
) => Promise<Written>;

/**
 * One comment per pull request and marker: the one we remember, else the oldest on any page that begins with the marker
 * and is our own, else a new one. Written only when it would read differently. When two processes make it at the same
 * time, whoever looks last sees both: the oldest stays with the newest text, and the others go.
 */
export function createEnsureComment(http: ForgeHttp, place: RepositoryPlace, own: OwnLogin): EnsureComment {
  const ids = new Map<string, number>();
  const lanes = new Lanes();

  async function ensure(pullRequest: number, marker: string, markdown: string, signal: AbortSignal): Promise<Written> {
    const key = `${pullRequest} ${marker}`;
    const existing = (await readRemembered(ids.get(key), signal)) ?? (await findOne(pullRequest, marker, signal));
    const edited = existing === undefined ? undefined : await edit(existing, markdown, signal);
    const written = edited ?? (await createOne(pullRequest, marker, markdown, signal));
    ids.set(key, written.id);
    return { url: written.url };
  }

  async function readRemembered(id: number | undefined, signal: AbortSignal): Promise<WireComment | undefined> {
    if (id === undefined) return undefined;
    const answer = await http.get(place.url(`/issues/comments/${id}`), signal, [404, 410]);
    return answer.status === 200 ? parseComment(answer.body) : undefined;
  }

  /** Our comments with the marker, oldest first; more than one only after a race. */
  async function list(pullRequest: number, marker: string, signal: AbortSignal): Promise<readonly WireComment[]> {
    const found: WireComment[] = [];
    const url = place.url(`/issues/${pullRequest}/comments?per_page=100`);
    for await (const page of http.pages(url, signal)) {
      for (const comment of parseList(page.body, parseComment)) {
        if (comment.body.trimStart().startsWith(marker) && (await own.isOurs(comment.author, signal)))
          found.push(comment);
      }
    }
    return found.toSorted((a, b) => a.id - b.id);
  }

  async function findOne(pullRequest: number, marker: string, signal: AbortSignal): Promise<WireComment | undefined> {
    const [oldest, ...others] = await list(pullRequest, marker, signal);
    await removeAll(others, signal);
    return oldest;
  }

  /** Only when we know our name: what any bot wrote is edited perhaps, but never removed. */
  async function removeAll(comments: readonly WireComment[], signal: AbortSignal): Promise<void> {
    if (comments.length === 0 || (await own.find(signal)) === undefined) return;
    for (const { id } of comments)
      await place.write("DELETE", `/issues/comments/${id}`, undefined, signal, [403, 404, 410]);
  }

  /** What became of a comment just written: itself, or an older one that another process wrote meanwhile. */
  async function settle(
    written: WireComment,
    pullRequest: number,
    marker: string,
    signal: AbortSignal,
  ): Promise<WireComment> {
    const all = await list(pullRequest, marker, signal);
    const [oldest, newest] = [all[0], all.at(-1)];
    if (oldest === undefined || newest === undefined || all.length === 1) return written;
    const kept = await edit(oldest, newest.body, signal);
    // Somebody removed the oldest in between: what we wrote stays.
    if (kept === undefined) return written;
    await removeAll(all.slice(1), signal);
    return kept;
  }

  /** Undefined when the comment is gone by now. */
  async function edit(comment: WireComment, markdown: string, signal: AbortSignal): Promise<WireComment | undefined> {
    if (sameText(comment.body, markdown)) return comment;
    const suffix = `/issues/comments/${comment.id}`;
    const answer = await place.write("PATCH", suffix, { body: markdown }, signal, [404]);
    return answer.status === 404 ? undefined : parseComment(answer.body);
  }

  async function createOne(
    pullRequest: number,
    marker: string,
    markdown: string,
    signal: AbortSignal,
  ): Promise<WireComment> {
    return settle(await create(pullRequest, marker, markdown, signal), pullRequest, marker, signal);
  }

  async function create(
    pullRequest: number,
    marker: string,
    markdown: string,
    signal: AbortSignal,
  ): Promise<WireComment> {
    try {
      const answer = await place.write("POST", `/issues/${pullRequest}/comments`, { body: markdown }, signal);
      const comment = parseComment(answer.body);
      own.learn(comment.author);
      return comment;
    } catch (error) {
      // The forge may have written it and only the answer was lost: look before anybody writes it again.
      if (!(error instanceof WatcherError) || error.code !== "forge-unreachable") throw error;
      const found = (await list(pullRequest, marker, signal).catch(() => []))[0];
      if (found === undefined || !sameText(found.body, markdown)) throw error;
      return found;
    }
  }

  return (pullRequest, marker, markdown, signal) =>
    lanes.run(String(pullRequest), () => ensure(pullRequest, marker, markdown, signal));
}

/** The forge may turn line ends and trim the end. */
function sameText(a: string, b: string): boolean {
  return a.replaceAll("\r\n", "\n").trimEnd() === b.replaceAll("\r\n", "\n").trimEnd();
}
