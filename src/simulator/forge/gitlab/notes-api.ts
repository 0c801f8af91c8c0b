import { sameName } from "../accounts.ts";
import type { ForgeContext } from "../context.ts";
import { emitComment } from "../events.ts";
import { pathNumber } from "../fields.ts";
import type { CommentRecord, PullRecord, RepositoryRecord } from "../records.ts";
import { type Call, param, type Reply, type Router } from "../router.ts";
import { visibleComments } from "../wire.ts";
import { projectOf, requestOf, signedIn } from "./access.ts";
import { badParameter, forbidden, GitlabError, missing } from "./error.ts";
import { optionalChoice, requiredText } from "./fields.ts";
import { pagedReply } from "./paging.ts";
import { isoTime, type Json, renderNote, renderUser } from "./render.ts";

const MAX_BODY = 1_000_000;

export function addNoteRoutes(router: Router, context: ForgeContext): void {
  const base = "/projects/:id/merge_requests/:iid/notes";
  router.add("GET", base, (call) => listNotes(context, call));
  router.add("POST", base, (call) => createNote(context, call));
  router.add("GET", `${base}/:note`, (call) => getNote(context, call));
  router.add("PUT", `${base}/:note`, (call) => putNote(context, call));
  router.add("DELETE", `${base}/:note`, (call) => deleteNote(context, call));
  router.add("GET", `${base}/:note/award_emoji`, (call) => listEmoji(context, call));
  router.add("POST", `${base}/:note/award_emoji`, (call) => awardEmoji(context, call));
}

/** Newest first unless asked otherwise; what GitLab writes itself is among them. */
function listNotes(context: ForgeContext, call: Call): Promise<Reply> {
  const request = requestOf(context, call, projectOf(context, call));
  const orderBy = optionalChoice(call, "order_by", ["created_at", "updated_at"]) ?? "created_at";
  const direction = (optionalChoice(call, "sort", ["asc", "desc"]) ?? "desc") === "asc" ? 1 : -1;
  const key = (note: CommentRecord): number => (orderBy === "updated_at" ? note.updatedAt : note.createdAt);
  const notes = visibleComments(context, request).toSorted((a, b) => (key(a) - key(b) || a.id - b.id) * direction);
  return pagedReply(call, notes, (note) => renderNote(context, note, request));
}

function createNote(context: ForgeContext, call: Call): Reply {
  const project = projectOf(context, call);
  const { login } = signedIn(call);
  const request = requestOf(context, call, project);
  const note = insertNote(context, request, login, readBody(call), false);
  const touched = context.store.pulls.replace({ ...request, updatedAt: note.createdAt });
  emitComment(context, note, touched, "created", login);
  return { status: 201, body: renderNote(context, note, touched) };
}

/** @param system Written by GitLab about what somebody did. */
export function insertNote(
  context: ForgeContext,
  request: PullRecord,
  author: string,
  body: string,
  system: boolean,
): CommentRecord {
  const now = Date.now();
  const { repository, number } = request;
  const times = { createdAt: now, updatedAt: now, deleted: false, system };
  const note = context.store.comments.insert({ repository, number, author, body, ...times });
  context.store.commentEdits.insert({ comment: note.id, kind: "created", by: author, at: now, body });
  return note;
}

function getNote(context: ForgeContext, call: Call): Reply {
  const { request, note } = noteOf(context, call, projectOf(context, call));
  return { status: 200, body: renderNote(context, note, request) };
}

function putNote(context: ForgeContext, call: Call): Reply {
  const { request, note, login } = ownNote(context, call);
  const body = readBody(call);
  const now = Date.now();
  const edited = context.store.comments.replace({ ...note, body, updatedAt: now });
  context.store.commentEdits.insert({ comment: note.id, kind: "edited", by: login, at: now, body });
  const touched = context.store.pulls.replace({ ...request, updatedAt: now });
  emitComment(context, edited, touched, "edited", login);
  return { status: 200, body: renderNote(context, edited, touched) };
}

function deleteNote(context: ForgeContext, call: Call): Reply {
  const { note, login } = ownNote(context, call);
  const now = Date.now();
  context.store.comments.replace({ ...note, deleted: true, updatedAt: now });
  context.store.commentEdits.insert({ comment: note.id, kind: "deleted", by: login, at: now, body: note.body });
  return { status: 204 };
}

interface Found {
  readonly request: PullRecord;
  readonly note: CommentRecord;
}

function noteOf(context: ForgeContext, call: Call, project: RepositoryRecord): Found {
  const request = requestOf(context, call, project);
  const note = context.store.comments.get(pathNumber(param(call, "note")));
  const here = note?.repository === project.id && note.number === request.number && !note.deleted;
  if (note === undefined || !here) throw missing("Note");
  return { request, note };
}

/** Only its author edits a note, and nobody one of GitLab's own. */
function ownNote(context: ForgeContext, call: Call): Found & { readonly login: string } {
  const { login } = signedIn(call);
  const found = noteOf(context, call, projectOf(context, call));
  if (found.note.system === true || !sameName(found.note.author, login)) throw forbidden();
  return { ...found, login };
}

function readBody(call: Call): string {
  const body = requiredText(call, "body");
  if (Array.from(body).length <= MAX_BODY) return body;
  throw new GitlabError(400, { message: { note: [`is too long (maximum is ${MAX_BODY} characters)`] } });
}

function listEmoji(context: ForgeContext, call: Call): Promise<Reply> {
  const { note } = noteOf(context, call, projectOf(context, call));
  return pagedReply(call, context.store.reactions.group(`${note.id}`), (one) => renderEmoji(context, one));
}

function awardEmoji(context: ForgeContext, call: Call): Reply {
  const { login } = signedIn(call);
  const { note } = noteOf(context, call, projectOf(context, call));
  const name = requiredText(call, "name");
  if (!/^[a-z0-9_+-]+$/.test(name)) throw badParameter("name is invalid");
  const taken = context.store.reactions
    .group(`${note.id}`)
    .some((one) => one.content === name && sameName(one.user, login));
  if (taken) throw missing("Award Emoji Name has already been taken");
  const row = { comment: note.id, user: login, content: name, createdAt: Date.now() };
  return { status: 201, body: renderEmoji(context, context.store.reactions.insert(row)) };
}

function renderEmoji(
  context: ForgeContext,
  { id, content, user, createdAt, comment }: ReturnType<ForgeContext["store"]["reactions"]["all"]>[number],
): Json {
  return {
    id,
    name: content,
    user: renderUser(context, user),
    created_at: isoTime(createdAt),
    awardable_id: comment,
    awardable_type: "Note",
  };
}
