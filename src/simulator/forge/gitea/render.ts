import type { ForgeContext } from "../context.ts";
import { findMergeBase, listRefs } from "../git-objects.ts";
import type { CommentRecord, HookRecord, PullRecord, RepositoryRecord, StatusRecord } from "../records.ts";
import { isoTime, visibleComments } from "../wire.ts";
import type { Flavour } from "./flavour.ts";

/** The forge's JSON for the records. */

type Json = Record<string, unknown>;

export function pageOf(context: ForgeContext, repository: RepositoryRecord): string {
  return `${context.siteUrl()}/${repository.owner}/${repository.name}`;
}

/** Bots are ordinary users here: nothing tells them apart. */
export function renderUser(context: ForgeContext, login: string): Json {
  return {
    id: context.accounts.idOf(login),
    login,
    login_name: "",
    full_name: "",
    email: `${login}@noreply.example`,
    avatar_url: `${context.siteUrl()}/${login}.png`,
    html_url: `${context.siteUrl()}/${login}`,
    is_admin: false,
    active: false,
    restricted: false,
    visibility: "public",
    username: login,
  };
}

export function renderRepository(context: ForgeContext, repository: RepositoryRecord, login?: string): Json {
  const user = login === undefined ? undefined : context.accounts.find(login);
  const may = (role: "read" | "write" | "admin"): boolean => context.accounts.allows(user, repository, role);
  return {
    id: repository.id,
    owner: renderUser(context, repository.owner),
    name: repository.name,
    full_name: `${repository.owner}/${repository.name}`,
    description: "",
    private: repository.private,
    fork: repository.forkOf !== undefined,
    html_url: pageOf(context, repository),
    clone_url: `${pageOf(context, repository)}.git`,
    default_branch: repository.defaultBranch,
    archived: false,
    has_issues: true,
    has_pull_requests: true,
    created_at: isoTime(repository.createdAt),
    permissions: { admin: may("admin"), push: may("write"), pull: may("read") },
  };
}

/** Tips of branches, asked of git once for each repository: a list needs the same ones again and again. */
export function branchReader(context: ForgeContext) {
  const known = new Map<number, Promise<Map<string, string>>>();
  return async (repository: RepositoryRecord, branch: string): Promise<string | undefined> => {
    const refs = known.get(repository.id) ?? listRefs(context.repositories.directory(repository));
    known.set(repository.id, refs);
    return (await refs).get(`refs/heads/${branch}`);
  };
}

// Two commits have the same merge base for ever.
const mergeBases = new Map<string, string>();
const mostKnown = 10_000;

async function mergeBaseOf(directory: string, base: string, head: string): Promise<string> {
  const key = `${base} ${head}`;
  const found = mergeBases.get(key) ?? (await findMergeBase(directory, base, head)) ?? "";
  if (mergeBases.size >= mostKnown) mergeBases.clear();
  mergeBases.set(key, found);
  return found;
}

/** When its branch is gone, the head's `ref` is the pull request's own; `label` stays the branch. */
export async function renderPull(
  context: ForgeContext,
  repository: RepositoryRecord,
  pull: PullRecord,
  tipOf = branchReader(context),
): Promise<Json> {
  const directory = context.repositories.directory(repository);
  const source = context.store.repositories.get(pull.headRepository);
  const branch = source && (await tipOf(source, pull.headBranch));
  const page = `${pageOf(context, repository)}/pulls/${pull.number}`;
  const base = (await tipOf(repository, pull.baseBranch)) ?? pull.baseSha;
  return {
    id: pull.id,
    url: page,
    number: pull.number,
    user: renderUser(context, pull.author),
    title: pull.title,
    body: pull.body ?? "",
    labels: [],
    state: pull.state,
    draft: pull.draft,
    is_locked: false,
    comments: visibleComments(context, pull).length,
    html_url: page,
    diff_url: `${page}.diff`,
    patch_url: `${page}.patch`,
    mergeable: pull.state === "open",
    merged: pull.merge !== undefined,
    merged_at: pull.merge === undefined ? null : isoTime(pull.merge.at),
    merge_commit_sha: pull.merge?.commit ?? null,
    merged_by: pull.merge === undefined ? null : renderUser(context, pull.merge.by),
    base: {
      label: pull.baseBranch,
      ref: pull.baseBranch,
      sha: base,
      repo_id: repository.id,
      repo: renderRepository(context, repository),
    },
    head: {
      label: pull.headBranch,
      ref: branch === undefined ? `refs/pull/${pull.number}/head` : pull.headBranch,
      sha: pull.headSha,
      repo_id: source?.id ?? -1,
      repo: source === undefined ? null : renderRepository(context, source),
    },
    merge_base: await mergeBaseOf(directory, base, pull.headSha),
    created_at: isoTime(pull.createdAt),
    updated_at: isoTime(pull.updatedAt),
    closed_at: pull.closedAt === undefined ? null : isoTime(pull.closedAt),
  };
}

export function renderComment(context: ForgeContext, repository: RepositoryRecord, comment: CommentRecord): Json {
  const page = `${pageOf(context, repository)}/pulls/${comment.number}`;
  return {
    id: comment.id,
    html_url: `${page}#issuecomment-${comment.id}`,
    pull_request_url: page,
    issue_url: "",
    user: renderUser(context, comment.author),
    body: comment.body,
    assets: [],
    created_at: isoTime(comment.createdAt),
    updated_at: isoTime(comment.updatedAt),
  };
}

/** One status, in a list or as the answer to a write: the state is called `status` here. */
export function renderStatus(
  context: ForgeContext,
  api: string,
  repository: RepositoryRecord,
  status: StatusRecord,
): Json {
  return {
    id: status.id,
    status: status.state,
    target_url: status.targetUrl ?? "",
    description: status.description ?? "",
    url: `${api}/repos/${repository.owner}/${repository.name}/statuses/${status.sha}`,
    context: status.context,
    creator: renderUser(context, status.creator),
    created_at: isoTime(status.createdAt),
    updated_at: isoTime(status.createdAt),
  };
}

/** The secret is never shown. */
export function renderHook(flavour: Flavour, hook: HookRecord): Json {
  return {
    id: hook.id,
    type: flavour,
    branch_filter: "",
    config: { url: hook.url, content_type: hook.contentType },
    events: hook.events,
    authorization_header: "",
    active: hook.active,
    created_at: isoTime(hook.createdAt),
    updated_at: isoTime(hook.createdAt),
  };
}
