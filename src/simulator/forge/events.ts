import type { ForgeContext } from "./context.ts";
import { findCommit, isAncestor, listCommits, readCommit, type Signature, ZERO_SHA } from "./git-objects.ts";
import type { CommentRecord, PullRecord, RepositoryRecord, StatusRecord } from "./records.ts";
import { renderComment, renderPull, renderRepository, renderStatus, renderUser } from "./wire.ts";

/** Payloads of webhook events, built only when a hook listens. */

type Json = Record<string, unknown>;

export interface RefChange {
  readonly ref: string;
  readonly before: string;
  readonly after: string;
}

/** GitHub lists at most this many commits in a push event (webhook documentation: 2,048). */
const PUSH_COMMITS = 2_048;

function eventApi(context: ForgeContext): string {
  return `${context.siteUrl()}/api/v3`;
}

function about(context: ForgeContext, repository: RepositoryRecord, login: string): Json {
  const api = eventApi(context);
  return { repository: renderRepository(context, api, repository), sender: renderUser(context, api, login) };
}

export async function emitPush(
  context: ForgeContext,
  repository: RepositoryRecord,
  change: RefChange,
  login: string,
): Promise<void> {
  const own = context.dialect.events;
  if (own !== undefined) return own.push(context, repository, change, login);
  if (!context.webhooks.wanted(repository.id, "push")) return;
  const directory = context.repositories.directory(repository);
  const [created, deleted] = [change.before === ZERO_SHA, change.after === ZERO_SHA];
  const tip = deleted ? undefined : await findCommit(directory, change.after);
  const shas = created || tip === undefined ? [] : await listCommits(directory, change.before, tip);
  const commits = await Promise.all(shas.slice(-PUSH_COMMITS).map((sha) => renderPushed(directory, sha)));
  context.webhooks.emit(repository.id, "push", {
    ref: change.ref,
    before: change.before,
    after: change.after,
    created,
    deleted,
    forced: !created && !deleted && !(await isAncestor(directory, change.before, change.after)),
    base_ref: null,
    compare: `${context.siteUrl()}/${repository.owner}/${repository.name}/compare/${change.before.slice(0, 12)}...${change.after.slice(0, 12)}`,
    commits,
    head_commit: tip === undefined ? null : await renderPushed(directory, tip),
    pusher: { name: login, email: `${login}@users.noreply.example` },
    ...about(context, repository, login),
  });
}

function person({ name, email }: Signature): Json {
  return { name, email };
}

async function renderPushed(directory: string, sha: string): Promise<Json> {
  const commit = await readCommit(directory, sha);
  return {
    id: sha,
    tree_id: commit.tree,
    message: commit.message,
    timestamp: commit.committer.date,
    author: person(commit.author),
    committer: person(commit.committer),
  };
}

export function emitPull(
  context: ForgeContext,
  pull: PullRecord,
  action: string,
  login: string,
  extra: Json = {},
): void {
  const own = context.dialect.events;
  if (own !== undefined) return own.pull(context, pull, action, login, extra);
  const repository = context.store.repositories.get(pull.repository);
  if (repository === undefined || !context.webhooks.wanted(repository.id, "pull_request")) return;
  const rendered = renderPull(context, eventApi(context), repository, pull);
  context.webhooks.emit(repository.id, "pull_request", {
    action,
    number: pull.number,
    pull_request: { ...rendered, merged: pull.merge !== undefined, mergeable: null },
    ...extra,
    ...about(context, repository, login),
  });
}

export function emitComment(
  context: ForgeContext,
  comment: CommentRecord,
  pull: PullRecord,
  action: string,
  login: string,
  extra: Json = {},
): void {
  const own = context.dialect.events;
  if (own !== undefined) return own.comment(context, comment, pull, action, login);
  const repository = context.store.repositories.get(comment.repository);
  if (repository === undefined || !context.webhooks.wanted(repository.id, "issue_comment")) return;
  const api = eventApi(context);
  const { number, title, state, user, html_url, body, url } = renderPull(context, api, repository, pull);
  context.webhooks.emit(repository.id, "issue_comment", {
    action,
    issue: { number, title, state, user, html_url, body, pull_request: { url, html_url } },
    comment: renderComment(context, api, repository, comment),
    ...extra,
    ...about(context, repository, login),
  });
}

export function emitStatus(context: ForgeContext, repository: RepositoryRecord, status: StatusRecord): void {
  if (!context.webhooks.wanted(repository.id, "status")) return;
  const rendered = renderStatus(context, eventApi(context), repository, status);
  context.webhooks.emit(repository.id, "status", {
    ...rendered,
    sha: status.sha,
    ...about(context, repository, status.creator),
  });
}
