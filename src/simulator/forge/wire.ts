import { sameName } from "./accounts.ts";
import type { ForgeContext } from "./context.ts";
import { findMergeBase, listChanges, listCommits, readCommit } from "./git-objects.ts";
import type { MergeableAnswer } from "./mergeability.ts";
import type { CommentRecord, HookRecord, PullRecord, RepositoryRecord, StatusRecord } from "./records.ts";
import { pullUrls, repositoryUrls, userUrls } from "./wire-urls.ts";

/** GitHub's JSON for the forge's records. `api` is where addresses begin, with the prefix the client used. */

type Json = Record<string, unknown>;

export const REACTIONS = ["+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"] as const;

export function isoTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, "Z");
}

export function nodeId(kind: string, id: number): string {
  return Buffer.from(`${kind}:${id}`).toString("base64");
}

export function renderUser(context: ForgeContext, api: string, login: string): Json {
  const id = context.accounts.idOf(login);
  return {
    login,
    id,
    node_id: nodeId("User", id),
    avatar_url: `${context.siteUrl()}/${login}.png`,
    gravatar_id: "",
    url: `${api}/users/${login}`,
    html_url: `${context.siteUrl()}/${login}`,
    ...userUrls(`${api}/users/${login}`),
    type: context.accounts.find(login)?.type ?? "User",
    site_admin: false,
  };
}

export function repositoryApiUrl(api: string, repository: RepositoryRecord): string {
  return `${api}/repos/${repository.owner}/${repository.name}`;
}

export function renderRepository(context: ForgeContext, api: string, repository: RepositoryRecord): Json {
  const page = `${context.siteUrl()}/${repository.owner}/${repository.name}`;
  return {
    id: repository.id,
    node_id: nodeId("Repository", repository.id),
    name: repository.name,
    full_name: `${repository.owner}/${repository.name}`,
    private: repository.private,
    visibility: repository.private ? "private" : "public",
    owner: renderUser(context, api, repository.owner),
    html_url: page,
    description: null,
    fork: repository.forkOf !== undefined,
    url: repositoryApiUrl(api, repository),
    ...repositoryUrls(repositoryApiUrl(api, repository)),
    clone_url: `${page}.git`,
    git_url: `${page.replace(/^https?/, "git")}.git`,
    ssh_url: `${page.replace(/^https?:\/\//, "ssh://git@")}.git`,
    svn_url: page,
    mirror_url: null,
    homepage: null,
    language: null,
    license: null,
    size: 0,
    forks: 0,
    forks_count: 0,
    watchers: 0,
    watchers_count: 0,
    stargazers_count: 0,
    open_issues: 0,
    open_issues_count: 0,
    has_projects: false,
    has_wiki: false,
    has_pages: false,
    has_downloads: false,
    has_discussions: false,
    created_at: isoTime(repository.createdAt),
    updated_at: isoTime(repository.createdAt),
    pushed_at: isoTime(repository.createdAt),
    default_branch: repository.defaultBranch,
    archived: false,
    disabled: false,
    has_issues: true,
    allow_merge_commit: true,
    allow_squash_merge: true,
    allow_rebase_merge: true,
  };
}

export function renderPermissions(
  context: ForgeContext,
  login: string | undefined,
  repository: RepositoryRecord,
): Json {
  const user = login === undefined ? undefined : context.accounts.find(login);
  const may = (role: "read" | "write" | "admin"): boolean => context.accounts.allows(user, repository, role);
  return { admin: may("admin"), maintain: may("admin"), push: may("write"), triage: may("write"), pull: may("read") };
}

export function authorAssociation(context: ForgeContext, login: string, repository: RepositoryRecord): string {
  if (sameName(login, repository.owner)) return "OWNER";
  return context.accounts.allows(context.accounts.find(login), repository, "write") ? "COLLABORATOR" : "NONE";
}

/** A pull request as lists show it; `renderPullDetail` adds what only a single answer has. */
export function renderPull(context: ForgeContext, api: string, repository: RepositoryRecord, pull: PullRecord): Json {
  const page = `${context.siteUrl()}/${repository.owner}/${repository.name}/pull/${pull.number}`;
  const base = repositoryApiUrl(api, repository);
  const source = context.store.repositories.get(pull.headRepository);
  const side = (owner: string, branch: string, sha: string, home: RepositoryRecord | undefined): Json => ({
    label: `${owner}:${branch}`,
    ref: branch,
    sha,
    user: renderUser(context, api, owner),
    repo: home ? renderRepository(context, api, home) : null,
  });
  return {
    id: pull.id,
    node_id: nodeId("PullRequest", pull.id),
    number: pull.number,
    state: pull.state,
    locked: false,
    title: pull.title,
    body: pull.body ?? null,
    draft: pull.draft,
    user: renderUser(context, api, pull.author),
    author_association: authorAssociation(context, pull.author, repository),
    ...pullUrls(base, page, pull.number, pull.headSha),
    head: side(pull.headOwner, pull.headBranch, pull.headSha, source),
    base: side(repository.owner, pull.baseBranch, pull.baseSha, repository),
    created_at: isoTime(pull.createdAt),
    updated_at: isoTime(pull.updatedAt),
    closed_at: pull.closedAt === undefined ? null : isoTime(pull.closedAt),
    merged_at: pull.merge === undefined ? null : isoTime(pull.merge.at),
    merge_commit_sha: pull.merge?.commit ?? null,
    labels: [],
    assignees: [],
    assignee: null,
    milestone: null,
    requested_reviewers: [],
    requested_teams: [],
    auto_merge: null,
  };
}

/** @param answer Used in place of asking for the test merge: the answer to a write never knows it yet. */
export async function renderPullDetail(
  context: ForgeContext,
  api: string,
  repository: RepositoryRecord,
  pull: PullRecord,
  answer?: MergeableAnswer,
): Promise<Json> {
  const { mergeable, testMerge } = answer ?? (await context.mergeability.ask(pull));
  const directory = context.repositories.directory(repository);
  const from = (await findMergeBase(directory, pull.baseSha, pull.headSha)) ?? pull.baseSha;
  const changes = await listChanges(directory, from, pull.headSha);
  return {
    ...renderPull(context, api, repository, pull),
    merge_commit_sha: pull.merge?.commit ?? testMerge ?? null,
    merged: pull.merge !== undefined,
    merged_by: pull.merge === undefined ? null : renderUser(context, api, pull.merge.by),
    mergeable,
    rebaseable: mergeable,
    mergeable_state: mergeableState(pull, mergeable),
    maintainer_can_modify: false,
    comments: visibleComments(context, pull).length,
    review_comments: 0,
    changed_files: changes.length,
    additions: changes.reduce((sum, change) => sum + change.additions, 0),
    deletions: changes.reduce((sum, change) => sum + change.deletions, 0),
    commits: (await listCommits(directory, pull.baseSha, pull.headSha)).length,
  };
}

function mergeableState(pull: PullRecord, mergeable: boolean | null): string {
  if (pull.state === "closed" || mergeable === null) return "unknown";
  if (!mergeable) return "dirty";
  return pull.draft ? "draft" : "clean";
}

export function visibleComments(context: ForgeContext, pull: PullRecord): CommentRecord[] {
  return context.store.comments.group(`${pull.repository}#${pull.number}`).filter((one) => !one.deleted);
}

export function renderComment(
  context: ForgeContext,
  api: string,
  repository: RepositoryRecord,
  comment: CommentRecord,
): Json {
  const base = repositoryApiUrl(api, repository);
  const reactions = context.store.reactions.group(`${comment.id}`);
  return {
    id: comment.id,
    node_id: nodeId("IssueComment", comment.id),
    url: `${base}/issues/comments/${comment.id}`,
    html_url: `${context.siteUrl()}/${repository.owner}/${repository.name}/pull/${comment.number}#issuecomment-${comment.id}`,
    issue_url: `${base}/issues/${comment.number}`,
    body: comment.body,
    user: renderUser(context, api, comment.author),
    author_association: authorAssociation(context, comment.author, repository),
    created_at: isoTime(comment.createdAt),
    updated_at: isoTime(comment.updatedAt),
    performed_via_github_app: null,
    reactions: {
      url: `${base}/issues/comments/${comment.id}/reactions`,
      total_count: reactions.length,
      ...Object.fromEntries(
        REACTIONS.map((content) => [content, reactions.filter((one) => one.content === content).length]),
      ),
    },
  };
}

/** @param short The form inside a combined answer, which leaves the creator out. */
export function renderStatus(
  context: ForgeContext,
  api: string,
  repository: RepositoryRecord,
  status: StatusRecord,
  short = false,
): Json {
  return {
    id: status.id,
    node_id: nodeId("StatusContext", status.id),
    url: `${repositoryApiUrl(api, repository)}/statuses/${status.sha}`,
    avatar_url: `${context.siteUrl()}/${status.creator}.png`,
    state: status.state,
    context: status.context,
    description: status.description ?? null,
    target_url: status.targetUrl ?? null,
    created_at: isoTime(status.createdAt),
    updated_at: isoTime(status.createdAt),
    ...(short ? {} : { creator: renderUser(context, api, status.creator) }),
  };
}

export async function renderCommit(
  context: ForgeContext,
  api: string,
  repository: RepositoryRecord,
  sha: string,
): Promise<Json> {
  const commit = await readCommit(context.repositories.directory(repository), sha);
  const url = `${repositoryApiUrl(api, repository)}/commits/${sha}`;
  const gitUrl = `${repositoryApiUrl(api, repository)}/git`;
  return {
    sha,
    node_id: Buffer.from(`Commit:${sha}`).toString("base64"),
    url,
    html_url: `${context.siteUrl()}/${repository.owner}/${repository.name}/commit/${sha}`,
    comments_url: `${url}/comments`,
    commit: {
      url: `${gitUrl}/commits/${sha}`,
      author: commit.author,
      committer: commit.committer,
      message: commit.message,
      tree: { sha: commit.tree, url: `${gitUrl}/trees/${commit.tree}` },
      comment_count: 0,
      verification: { verified: false, reason: "unsigned", signature: null, payload: null, verified_at: null },
    },
    // Authors are people of git; the forge does not match their mail addresses with its users.
    author: null,
    committer: null,
    parents: commit.parents.map((parent) => ({
      sha: parent,
      url: `${repositoryApiUrl(api, repository)}/commits/${parent}`,
    })),
  };
}

/** The secret is never shown. */
export function renderHook(api: string, repository: RepositoryRecord, hook: HookRecord): Json {
  const url = `${repositoryApiUrl(api, repository)}/hooks/${hook.id}`;
  return {
    type: "Repository",
    id: hook.id,
    name: "web",
    active: hook.active,
    events: hook.events,
    config: {
      url: hook.url,
      content_type: hook.contentType,
      insecure_ssl: "0",
      ...(hook.secret === undefined ? {} : { secret: "********" }),
    },
    created_at: isoTime(hook.createdAt),
    updated_at: isoTime(hook.createdAt),
    url,
    ping_url: `${url}/pings`,
    deliveries_url: `${url}/deliveries`,
  };
}
