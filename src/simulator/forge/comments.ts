import { pullOf, repositoryOf, signedIn } from "./access.ts";
import { sameName } from "./accounts.ts";
import { ApiError, custom, invalid, notFound } from "./api-error.ts";
import type { ForgeContext } from "./context.ts";
import { emitComment } from "./events.ts";
import { optionalChoice, optionalText, pathNumber, requiredText } from "./fields.ts";
import { pagedReply } from "./paging.ts";
import type { CommentRecord, PullRecord, ReactionRecord, RepositoryRecord } from "./records.ts";
import { type Call, param, type Reply, type Router } from "./router.ts";
import { isoTime, nodeId, REACTIONS, renderComment, renderUser, visibleComments } from "./wire.ts";

const READ = { role: "read", grant: "issues=read" } as const;
const WRITE = { role: "read", grant: "issues=write" } as const;

/** Characters of one comment on github.com. */
const MAX_BODY = 65_536;

export function addCommentRoutes(router: Router, context: ForgeContext): void {
  const issues = "/repos/:owner/:repo/issues";
  router.add("GET", `${issues}/comments`, (call) => listRepositoryComments(context, call));
  router.add("GET", `${issues}/comments/:id`, (call) => getComment(context, call));
  router.add("PATCH", `${issues}/comments/:id`, (call) => patchComment(context, call));
  router.add("DELETE", `${issues}/comments/:id`, (call) => deleteComment(context, call));
  router.add("GET", `${issues}/comments/:id/reactions`, (call) => listReactions(context, call));
  router.add("POST", `${issues}/comments/:id/reactions`, (call) => react(context, call));
  router.add("DELETE", `${issues}/comments/:id/reactions/:reaction`, (call) => unreact(context, call));
  router.add("GET", `${issues}/:number/comments`, (call) => listComments(context, call));
  router.add("POST", `${issues}/:number/comments`, (call) => createComment(context, call));
}

function listComments(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, readingComments(call));
  const since = Date.parse(call.query.get("since") ?? "") || 0;
  const comments = visibleComments(context, pullOf(context, call, repository)).filter((one) => one.updatedAt >= since);
  return pagedReply(call, repository.id, comments, (comment) =>
    renderComment(context, call.apiUrl, repository, comment),
  );
}

/** Comments of every pull request; `direction` means something only together with `sort`. */
function listRepositoryComments(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, readingComments(call));
  const ask = (name: string): string | undefined => call.query.get(name) ?? undefined;
  const sort = optionalChoice(ask("sort"), ["created", "updated"], "IssueComment", "sort");
  const direction = optionalChoice(ask("direction"), ["asc", "desc"], "IssueComment", "direction") ?? "desc";
  const since = Date.parse(ask("since") ?? "") || 0;
  const key = (comment: CommentRecord): number => (sort === "updated" ? comment.updatedAt : comment.id);
  const sign = sort === undefined || direction === "asc" ? 1 : -1;
  const found = context.store.comments
    .all()
    .filter((one) => one.repository === repository.id && !one.deleted && one.updatedAt >= since)
    .toSorted((a, b) => (key(a) - key(b) || a.id - b.id) * sign);
  return pagedReply(call, repository.id, found, (comment) => renderComment(context, call.apiUrl, repository, comment));
}

function createComment(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, writingComments(call));
  const { login } = signedIn(call);
  const pull = pullOf(context, call, repository);
  const body = readBody(call);
  const now = Date.now();
  const comment = context.store.comments.insert({
    repository: repository.id,
    number: pull.number,
    author: login,
    body,
    createdAt: now,
    updatedAt: now,
    deleted: false,
  });
  recordEdit(context, comment, "created", login);
  const touched = context.store.pulls.replace({ ...pull, updatedAt: now });
  emitComment(context, comment, touched, "created", login);
  const rendered = renderComment(context, call.apiUrl, repository, comment);
  return { status: 201, body: rendered, headers: { location: String(rendered["url"]) } };
}

function getComment(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, readingComments(call));
  return { status: 200, body: renderComment(context, call.apiUrl, repository, commentOf(context, call, repository)) };
}

function patchComment(context: ForgeContext, call: Call): Reply {
  const { repository, comment, pull, login } = ownComment(context, call);
  const body = readBody(call);
  const edited = context.store.comments.replace({ ...comment, body, updatedAt: Date.now() });
  recordEdit(context, edited, "edited", login);
  emitComment(context, edited, pull, "edited", login, { changes: { body: { from: comment.body } } });
  return { status: 200, body: renderComment(context, call.apiUrl, repository, edited) };
}

function deleteComment(context: ForgeContext, call: Call): Reply {
  const { comment, pull, login } = ownComment(context, call);
  const deleted = context.store.comments.replace({ ...comment, deleted: true, updatedAt: Date.now() });
  recordEdit(context, deleted, "deleted", login);
  emitComment(context, deleted, pull, "deleted", login);
  return { status: 204 };
}

interface OwnComment {
  readonly repository: RepositoryRecord;
  readonly comment: CommentRecord;
  readonly pull: PullRecord;
  readonly login: string;
}

/** The comment of the call, if it is the user's own: here nobody else, not even an admin, changes it. */
function ownComment(context: ForgeContext, call: Call): OwnComment {
  const repository = repositoryOf(context, call, writingComments(call));
  const { login } = signedIn(call);
  const comment = commentOf(context, call, repository);
  if (!sameName(comment.author, login)) throw new ApiError(403, "Must have admin rights to Repository.");
  const pull = context.store.pulls.group(`${repository.id}`).find((one) => one.number === comment.number);
  if (pull === undefined) throw notFound();
  return { repository, comment, pull, login };
}

function commentOf(context: ForgeContext, call: Call, repository: RepositoryRecord): CommentRecord {
  const comment = context.store.comments.get(pathNumber(param(call, "id")));
  if (comment === undefined || comment.deleted || comment.repository !== repository.id) throw notFound();
  return comment;
}

function readBody(call: Call): string {
  const body = requiredText(call, "IssueComment", "body");
  if (Array.from(body).length > MAX_BODY)
    throw custom("IssueComment", "body", `body is too long (maximum is ${MAX_BODY} characters)`);
  return body;
}

function recordEdit(
  context: ForgeContext,
  comment: CommentRecord,
  kind: "created" | "edited" | "deleted",
  by: string,
): void {
  context.store.commentEdits.insert({ comment: comment.id, kind, by, at: comment.updatedAt, body: comment.body });
}

function listReactions(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, readingComments(call));
  const reactions = context.store.reactions.group(`${commentOf(context, call, repository).id}`);
  return pagedReply(call, repository.id, reactions, (reaction) => renderReaction(context, call, reaction));
}

/** 201 for a new reaction, 200 when the user had it already. */
function react(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, writingComments(call));
  const { login } = signedIn(call);
  const comment = commentOf(context, call, repository);
  const content = optionalChoice(optionalText(call, "Reaction", "content"), REACTIONS, "Reaction", "content");
  if (content === undefined) throw invalid({ resource: "Reaction", field: "content", code: "missing_field" });
  const same = context.store.reactions
    .group(`${comment.id}`)
    .find((one) => one.content === content && sameName(one.user, login));
  const reaction =
    same ?? context.store.reactions.insert({ comment: comment.id, user: login, content, createdAt: Date.now() });
  return { status: same ? 200 : 201, body: renderReaction(context, call, reaction) };
}

function unreact(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, writingComments(call));
  const { login } = signedIn(call);
  const comment = commentOf(context, call, repository);
  const reaction = context.store.reactions.get(pathNumber(param(call, "reaction")));
  if (reaction === undefined || reaction.comment !== comment.id || !sameName(reaction.user, login)) throw notFound();
  context.store.reactions.remove(reaction.id);
  return { status: 204 };
}

function renderReaction(context: ForgeContext, call: Call, reaction: ReactionRecord): unknown {
  return {
    id: reaction.id,
    node_id: nodeId("Reaction", reaction.id),
    user: renderUser(context, call.apiUrl, reaction.user),
    content: reaction.content,
    created_at: isoTime(reaction.createdAt),
  };
}

/** Comments of pull requests are open to a token with either permission, `issues` or `pull_requests`. */
function readingComments(call: Call): typeof READ | { role: "read"; grant: "pull_requests=read" } {
  return call.user?.grants?.["issues"] === undefined ? { role: "read", grant: "pull_requests=read" } : READ;
}

function writingComments(call: Call): typeof WRITE | { role: "read"; grant: "pull_requests=write" } {
  return call.user?.grants?.["issues"] === "write" ? WRITE : { role: "read", grant: "pull_requests=write" };
}
