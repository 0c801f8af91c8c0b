import { WatcherError } from "../../lib/errors.ts";
import { Lanes } from "./lanes.ts";

export interface StickyComment {
  readonly id: number;
  readonly body: string;
}

/** What a forge can do with comments of one pull request. */
export interface CommentDesk<C extends StickyComment = StickyComment> {
  /** Our own comments that begin with the marker, from every page. */
  list(pullRequest: number, marker: string, signal: AbortSignal): Promise<readonly C[]>;
  /** One comment, if it is still there and ours. */
  read(pullRequest: number, id: number, signal: AbortSignal): Promise<C | undefined>;
  create(pullRequest: number, markdown: string, signal: AbortSignal): Promise<C>;
  /** Undefined when it is gone. */
  edit(pullRequest: number, id: number, markdown: string, signal: AbortSignal): Promise<C | undefined>;
  /** One that is gone is no error. */
  remove(pullRequest: number, id: number, signal: AbortSignal): Promise<void>;
}

export type EnsureSticky<C extends StickyComment> = (
  pullRequest: number,
  marker: string,
  markdown: string,
  signal: AbortSignal,
) => Promise<C>;

/**
 * One comment per pull request and marker: the one we remember, else our oldest with the marker, else a new one. Written
 * only when it would read differently. When two processes make it at the same time, whoever looks last sees both: the
 * oldest stays with the newest text, and the others go.
 */
export function createEnsureSticky<C extends StickyComment>(desk: CommentDesk<C>): EnsureSticky<C> {
  const ids = new Map<string, number>();
  const lanes = new Lanes();

  async function ensure(pullRequest: number, marker: string, markdown: string, signal: AbortSignal) {
    const key = `${pullRequest} ${marker}`;
    const id = ids.get(key);
    const remembered = id === undefined ? undefined : await desk.read(pullRequest, id, signal);
    const existing = remembered ?? (await findOne(pullRequest, marker, signal));
    const edited = existing === undefined ? undefined : await edit(pullRequest, existing, markdown, signal);
    const written = edited ?? (await createOne(pullRequest, marker, markdown, signal));
    ids.set(key, written.id);
    return written;
  }

  async function listOldestFirst(pullRequest: number, marker: string, signal: AbortSignal) {
    return (await desk.list(pullRequest, marker, signal)).toSorted((a, b) => a.id - b.id);
  }

  async function findOne(pullRequest: number, marker: string, signal: AbortSignal) {
    const [oldest, ...others] = await listOldestFirst(pullRequest, marker, signal);
    for (const { id } of others) await desk.remove(pullRequest, id, signal);
    return oldest;
  }

  async function edit(pullRequest: number, comment: C, markdown: string, signal: AbortSignal) {
    return sameText(comment.body, markdown) ? comment : desk.edit(pullRequest, comment.id, markdown, signal);
  }

  async function createOne(pullRequest: number, marker: string, markdown: string, signal: AbortSignal) {
    const written = await createOrFind(pullRequest, marker, markdown, signal);
    const all = await listOldestFirst(pullRequest, marker, signal);
    const [oldest, newest] = [all[0], all.at(-1)];
    if (oldest === undefined || newest === undefined || all.length === 1) return written;
    const kept = await edit(pullRequest, oldest, newest.body, signal);
    // Somebody removed the oldest in between: what we wrote stays.
    if (kept === undefined) return written;
    for (const { id } of all.slice(1)) await desk.remove(pullRequest, id, signal);
    return kept;
  }

  async function createOrFind(pullRequest: number, marker: string, markdown: string, signal: AbortSignal) {
    try {
      return await desk.create(pullRequest, markdown, signal);
    } catch (error) {
      // The forge may have written it and only the answer was lost: look before anybody writes it again.
      if (!(error instanceof WatcherError) || error.code !== "forge-unreachable") throw error;
      const [found] = await listOldestFirst(pullRequest, marker, signal).catch(() => []);
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
