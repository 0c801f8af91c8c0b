import type { ForgeHttp } from "./forge-http.ts";
import { findOwn } from "./gitlab-login.ts";
import type { ProjectPlace } from "./gitlab-project.ts";
import { type GitlabNote, type GitlabUser, parseNote } from "./gitlab-wire.ts";
import type { CommentDesk } from "./sticky-comment.ts";
import { parseList } from "./wire.ts";

/** Notes of merge requests, without those GitLab writes itself. */
export function createNoteDesk(http: ForgeHttp, apiUrl: string, place: ProjectPlace): CommentDesk {
  return {
    async list(request, marker, signal) {
      const own = await findOwn(http, apiUrl, signal);
      // Oldest first, against GitLab's habit: what is written meanwhile then moves nothing to another page.
      const query = "sort=asc&order_by=created_at&per_page=100";
      const found: GitlabNote[] = [];
      for await (const page of http.pages(place.url(`/merge_requests/${request}/notes?${query}`), signal)) {
        for (const note of parseList(page.body, parseNote))
          if (note.body.trimStart().startsWith(marker) && isOurs(note, own)) found.push(note);
      }
      return found;
    },
    async read(request, id, signal) {
      const answer = await http.get(place.url(`/merge_requests/${request}/notes/${id}`), signal, [404]);
      if (answer.status === 404) return undefined;
      const note = parseNote(answer.body);
      return isOurs(note, await findOwn(http, apiUrl, signal)) ? note : undefined;
    },
    async create(request, body, signal) {
      return parseNote((await place.write("POST", `/merge_requests/${request}/notes`, { body }, signal)).body);
    },
    async edit(request, id, body, signal) {
      const answer = await place.write("PUT", `/merge_requests/${request}/notes/${id}`, { body }, signal, [404]);
      return answer.status === 404 ? undefined : parseNote(answer.body);
    },
    async remove(request, id, signal) {
      await place.write("DELETE", `/merge_requests/${request}/notes/${id}`, undefined, signal, [404]);
    },
  };
}

function isOurs(note: GitlabNote, own: GitlabUser): boolean {
  return !note.system && note.author?.id === own.id;
}

/** Where people read a note; its answer does not say. */
export function noteUrl(place: ProjectPlace, request: number, note: number): string | undefined {
  return place.page(`/-/merge_requests/${request}#note_${note}`);
}
