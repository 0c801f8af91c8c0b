import { sameName } from "../accounts.ts";
import type { ForgeContext } from "../context.ts";
import { emitComment } from "../events.ts";
import { pathNumber, requiredText } from "../fields.ts";
import type { CommentRecord, PullRecord, ReactionRecord, RepositoryRecord } from "../records.ts";
import { type Call, param, type Reply, type Router } from "../router.ts";
import { isoTime, visibleComments } from "../wire.ts";
import { pullOf, repositoryOf, signedIn } from "./access.ts";
import { forbidden, notFound, unprocessable } from "./error.ts";
import { pagedReply, wholeReply } from "./paging.ts";
import { renderComment, renderUser } from "./render.ts";

const REACTIONS = ["+1", "-1", "laugh", "hooray", "confused", "heart", "rocket", "eyes"];

export function addCommentRoutes(router: Router, context: ForgeContext): void {
  const issues = "/repos/:owner/:repo/issues";
  router.add("GET", `${issues}/comments`, (call) => listAll(context, call));
  router.add("GET", `${issues}/comments/:id`, (call) => getComment(context, call));
  router.add("PATCH", `${issues}/comments/:id`, (call) => patchComment(context, call));
  router.add("DELETE", `${issues}/comments/:id`, (call) => deleteComment(context, call));
  router.add("GET", `${issues}/comments/:id/reactions`, (call) => listReactions(context, call));
  router.add("POST", `${issues}/comments/:id/reactions`, (call) => react(context, call));
  router.add("GET", `${issues}/:number/comments`, (call) => listOfPull(context, call));
  router.add("POST", `${issues}/:number/comments`, (call) => createComment(context, call));
}

/** By time of creation, paged, and without a Link. */
function listAll(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call);
  const found = context.store.comments
    .all()
    .filter((one) => one.repository === repository.id && !one.deleted && isWanted(call, one));
  return pagedReply(call, found, (comment) => renderComment(context, repository, comment), { link: false });
}

/** All of them: this list has no pages. */
function listOfPull(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call);
  const found = visibleComments(context, pullOf(context, call, repository)).filter((one) => isWanted(call, one));
  return wholeReply(found, (comment) => renderComment(context, repository, comment));
}

/** `since` and `before` are compared with the last edit, in whole seconds. */
function isWanted(call: Call, comment: CommentRecord): boolean {
  const updated = Math.floor(comment.updatedAt / 1_000) * 1_000;
  const time = (name: string): number | undefined => {
    const text = call.query.get(name);
    if (text === null || text === "") return undefined;
    const at = Date.parse(text);
    if (Number.isNaN(at)) throw unprocessable(`parsing time "${text}" as "2006-01-02T15:04:05Z07:00"`);
    return at;
  };
  return updated >= (time("since") ?? 0) && updated <= (time("before") ?? Number.POSITIVE_INFINITY);
}

function createComment(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call);
  const { login } = signedIn(call);
  const pull = pullOf(context, call, repository);
  const now = Date.now();
  const comment = context.store.comments.insert({
    repository: repository.id,
    number: pull.number,
    author: login,
    body: requiredText(call, "Comment", "body"),
    createdAt: now,
    updatedAt: now,
    deleted: false,
  });
  recordEdit(context, comment, "created", login);
  const touched = context.store.pulls.replace({ ...pull, updatedAt: now });
  emitComment(context, comment, touched, "created", login);
  return { status: 201, body: renderComment(context, repository, comment) };
}

function getComment(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call);
  return { status: 200, body: renderComment(context, repository, commentOf(context, call, repository)) };
}

function patchComment(context: ForgeContext, call: Call): Reply {
  const { repository, comment, pull, login } = editable(context, call);
  const body = requiredText(call, "Comment", "body");
  const edited = context.store.comments.replace({ ...comment, body, updatedAt: Date.now() });
  recordEdit(context, edited, "edited", login);
  emitComment(context, edited, pull, "edited", login);
  return { status: 200, body: renderComment(context, repository, edited) };
}

function deleteComment(context: ForgeContext, call: Call): Reply {
  const { comment, pull, login } = editable(context, call);
  const deleted = context.store.comments.replace({ ...comment, deleted: true, updatedAt: Date.now() });
  recordEdit(context, deleted, "deleted", login);
  emitComment(context, deleted, pull, "deleted", login);
  return { status: 204 };
}

interface Editable {
  readonly repository: RepositoryRecord;
  readonly comment: CommentRecord;
  readonly pull: PullRecord;
  readonly login: string;
}

/** Its author may change a comment, and whoever may write to the repository. */
function editable(context: ForgeContext, call: Call): Editable {
  const repository = repositoryOf(context, call);
  const user = signedIn(call);
  const comment = commentOf(context, call, repository);
  if (!sameName(comment.author, user.login) && !context.accounts.allows(user, repository, "write")) throw forbidden();
  const pull = context.store.pulls.group(`${repository.id}`).find((one) => one.number === comment.number);
  if (pull === undefined) throw notFound();
  return { repository, comment, pull, login: user.login };
}

function commentOf(context: ForgeContext, call: Call, repository: RepositoryRecord): CommentRecord {
  const comment = context.store.comments.get(pathNumber(param(call, "id")));
  if (comment === undefined || comment.deleted || comment.repository !== repository.id) throw notFound();
  return comment;
}

function recordEdit(
  context: ForgeContext,
  comment: CommentRecord,
  kind: "created" | "edited" | "deleted",
  by: string,
): void {
  context.store.commentEdits.insert({ comment: comment.id, kind, by, at: comment.updatedAt, body: comment.body });
}

/** Of none there is no list. */
function listReactions(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call);
  const found = context.store.reactions.group(`${commentOf(context, call, repository).id}`);
  return { status: 200, body: found.length === 0 ? null : found.map((one) => renderReaction(context, one)) };
}

/** 201 for a new reaction, 200 when the user had it already. */
function react(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call);
  const { login } = signedIn(call);
  const comment = commentOf(context, call, repository);
  const content = requiredText(call, "Reaction", "content");
  if (!REACTIONS.includes(content)) throw forbidden(`'${content}' is not an allowed reaction`);
  const same = context.store.reactions
    .group(`${comment.id}`)
    .find((one) => one.content === content && sameName(one.user, login));
  const made = { comment: comment.id, user: login, content, createdAt: Date.now() };
  const reaction = same ?? context.store.reactions.insert(made);
  return { status: same ? 200 : 201, body: renderReaction(context, reaction) };
}

function renderReaction(context: ForgeContext, { user, content, createdAt }: ReactionRecord): unknown {
  return { user: renderUser(context, user), content, created_at: isoTime(createdAt) };
}
