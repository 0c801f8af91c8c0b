import { WatcherError } from "../../lib/errors.ts";
import type { ForgeHttp } from "./forge-http.ts";
import { findOwn } from "./gitlab-login.ts";
import type { ProjectPlace } from "./gitlab-project.ts";
import { type GitlabNote, parseNote } from "./gitlab-wire.ts";
import { Lanes } from "./lanes.ts";
import { parseList } from "./wire.ts";

type Written = { readonly url: string | undefined };
export type EnsureNote = (
  mergeRequest: number,
  marker: string,
  markdown: string,
  signal: AbortSignal,
) => Promise<Written>;

/**
 * One note per merge request and marker: the one we remember, else the oldest on any page that begins with the marker and
 * is our own, else a new one. Written only when it would read differently.
 */
export function createEnsureNote(http: ForgeHttp, apiUrl: string, place: ProjectPlace): EnsureNote {
  const ids = new Map<string, number>();
  const lanes = new Lanes();

  async function ensure(request: number, marker: string, markdown: string, signal: AbortSignal): Promise<Written> {
    const key = `${request} ${marker}`;
    const own = await findOwn(http, apiUrl, signal);
    const isOurs = (note: GitlabNote): boolean => !note.system && note.author?.id === own.id;
    const remembered = await readRemembered(request, ids.get(key), signal);
    const existing =
      remembered !== undefined && isOurs(remembered) ? remembered : await find(request, marker, isOurs, signal);
    const edited = existing === undefined ? undefined : await edit(request, existing, markdown, signal);
    const written = edited ?? (await create(request, marker, markdown, isOurs, signal));
    ids.set(key, written.id);
    return { url: noteUrl(place, request, written.id) };
  }

  async function readRemembered(request: number, id: number | undefined, signal: AbortSignal) {
    if (id === undefined) return undefined;
    const answer = await http.get(place.url(`/merge_requests/${request}/notes/${id}`), signal, [404]);
    return answer.status === 200 ? parseNote(answer.body) : undefined;
  }

  async function find(
    request: number,
    marker: string,
    isOurs: (note: GitlabNote) => boolean,
    signal: AbortSignal,
  ): Promise<GitlabNote | undefined> {
    // Oldest first, against GitLab's habit: what is written meanwhile then moves nothing to another page.
    const query = "sort=asc&order_by=created_at&per_page=100";
    for await (const page of http.pages(place.url(`/merge_requests/${request}/notes?${query}`), signal)) {
      const found = parseList(page.body, parseNote).find(
        (note) => note.body.trimStart().startsWith(marker) && isOurs(note),
      );
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Undefined when the note is gone by now. */
  async function edit(request: number, note: GitlabNote, markdown: string, signal: AbortSignal) {
    if (sameText(note.body, markdown)) return note;
    const suffix = `/merge_requests/${request}/notes/${note.id}`;
    const answer = await place.write("PUT", suffix, { body: markdown }, signal, [404]);
    return answer.status === 404 ? undefined : parseNote(answer.body);
  }

  async function create(
    request: number,
    marker: string,
    markdown: string,
    isOurs: (note: GitlabNote) => boolean,
    signal: AbortSignal,
  ): Promise<GitlabNote> {
    try {
      const answer = await place.write("POST", `/merge_requests/${request}/notes`, { body: markdown }, signal);
      return parseNote(answer.body);
    } catch (error) {
      // GitLab may have written it and only the answer was lost: look before anybody writes it again.
      if (!(error instanceof WatcherError) || error.code !== "forge-unreachable") throw error;
      const found = await find(request, marker, isOurs, signal).catch(() => undefined);
      if (found === undefined || !sameText(found.body, markdown)) throw error;
      return found;
    }
  }

  return (request, marker, markdown, signal) =>
    lanes.run(String(request), () => ensure(request, marker, markdown, signal));
}

/** Where people read a note; its answer does not say. */
export function noteUrl(place: ProjectPlace, request: number, note: number): string | undefined {
  return place.page(`/-/merge_requests/${request}#note_${note}`);
}

/** GitLab may turn line ends and trim the end. */
function sameText(a: string, b: string): boolean {
  return a.replaceAll("\r\n", "\n").trimEnd() === b.replaceAll("\r\n", "\n").trimEnd();
}
