import type { CommentAuthor, PullRequestComment, Reaction } from "../../ports/forge.ts";
import type { ForgeHttp } from "./forge-http.ts";
import { findOwn } from "./gitlab-login.ts";
import { noteUrl } from "./gitlab-notes.ts";
import type { ProjectPlace } from "./gitlab-project.ts";
import { type GitlabNote, parseGitlabUser, parseMember, parseMergeRequest, parseNote } from "./gitlab-wire.ts";
import { parseList } from "./wire.ts";

/** Developer: the least role that pushes. */
const developer = 30;

/** A merge request counts as changed a little after its note; clocks of GitLab's own servers may differ. */
const slackMs = 60_000;

const emoji: Readonly<Record<Reaction, string>> = {
  eyes: "eyes",
  "+1": "thumbsup",
  "-1": "thumbsdown",
  confused: "confused",
};

/** GitLab lists notes for one merge request at a time, so those that changed since are asked for theirs. */
export async function listNotes(
  http: ForgeHttp,
  apiUrl: string,
  place: ProjectPlace,
  sinceMs: number,
  signal: AbortSignal,
): Promise<readonly PullRequestComment[]> {
  const changed = await listChanged(http, place, sinceMs - slackMs, signal);
  if (changed.length === 0) return [];
  const own = await findOwn(http, apiUrl, signal);
  const comments: PullRequestComment[] = [];
  for (const request of changed) {
    for (const note of await listNotesOf(http, place, request, sinceMs, signal)) {
      if (note.author === undefined) continue;
      comments.push({
        id: String(note.id),
        pullRequest: request,
        author: { login: note.author.login, id: String(note.author.id) },
        own: note.author.id === own.id,
        body: note.body,
        url: noteUrl(place, request, note.id),
        updatedAtMs: note.updatedAtMs,
      });
    }
  }
  return comments.toSorted((a, b) => a.updatedAtMs - b.updatedAtMs || Number(a.id) - Number(b.id));
}

async function listChanged(
  http: ForgeHttp,
  place: ProjectPlace,
  sinceMs: number,
  signal: AbortSignal,
): Promise<readonly number[]> {
  const query = new URLSearchParams({
    state: "all",
    scope: "all",
    updated_after: new Date(Math.max(0, sinceMs)).toISOString(),
    order_by: "updated_at",
    sort: "asc",
    per_page: "100",
  });
  const numbers = new Set<number>();
  for await (const page of http.pages(place.url(`/merge_requests?${query.toString()}`), signal)) {
    for (const request of parseList(page.body, parseMergeRequest)) numbers.add(request.number);
  }
  return [...numbers];
}

/** Most recently changed first, so that reading ends at the first old one. */
async function listNotesOf(
  http: ForgeHttp,
  place: ProjectPlace,
  request: number,
  sinceMs: number,
  signal: AbortSignal,
): Promise<readonly GitlabNote[]> {
  const query = "order_by=updated_at&sort=desc&per_page=100";
  const notes = new Map<number, GitlabNote>();
  for await (const page of http.pages(place.url(`/merge_requests/${request}/notes?${query}`), signal)) {
    const listed = parseList(page.body, parseNote);
    for (const note of listed) if (!note.system && note.updatedAtMs >= sinceMs) notes.set(note.id, note);
    if (listed.some((note) => note.updatedAtMs < sinceMs)) break;
  }
  return [...notes.values()];
}

/** GitLab answers 404 when the note is gone and also when the emoji is there already: both are well. */
export async function awardEmoji(
  place: ProjectPlace,
  { id, pullRequest }: PullRequestComment,
  reaction: Reaction,
  signal: AbortSignal,
): Promise<void> {
  const suffix = `/merge_requests/${pullRequest}/notes/${encodeURIComponent(id)}/award_emoji`;
  await place.write("POST", suffix, { name: emoji[reaction] }, signal, [404]);
}

/** Whether a member, of the project itself or through a group, has a role that pushes. */
export async function mayWriteProject(
  http: ForgeHttp,
  apiUrl: string,
  place: ProjectPlace,
  author: CommentAuthor,
  signal: AbortSignal,
): Promise<boolean> {
  const id = /^\d+$/.test(author.id) ? author.id : await findUserId(http, apiUrl, author.login, signal);
  if (id === undefined) return false;
  const answer = await http.get(place.url(`/members/all/${id}`), signal, [404]);
  if (answer.status === 404) return false;
  const member = parseMember(answer.body);
  return member.active && member.accessLevel >= developer;
}

async function findUserId(
  http: ForgeHttp,
  apiUrl: string,
  login: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const answer = await http.get(`${apiUrl}/users?username=${encodeURIComponent(login)}`, signal);
  const found = parseList(answer.body, parseGitlabUser).find(
    (user) => user.login.toLowerCase() === login.toLowerCase(),
  );
  return found === undefined ? undefined : String(found.id);
}
