import type { ForgeContext } from "../context.ts";
import type { CommentRecord, HookRecord, PullRecord, RepositoryRecord } from "../records.ts";
import { roleOf, ROLES } from "./access.ts";
import type { GitlabDeploymentRecord, JobRecord } from "./records.ts";

/** GitLab's JSON for the forge's records. */

export type Json = Record<string, unknown>;

export function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}

export function fullPath(project: RepositoryRecord): string {
  return `${project.owner}/${project.name}`;
}

export function renderUser(context: ForgeContext, login: string): Json {
  return {
    id: context.accounts.idOf(login),
    username: login,
    name: login,
    state: "active",
    locked: false,
    avatar_url: null,
    web_url: `${context.siteUrl()}/${login}`,
  };
}

/** The answer to `GET /user` knows more of oneself. */
export function renderSelf(context: ForgeContext, login: string): Json {
  return { ...renderUser(context, login), bot: context.accounts.find(login)?.type === "Bot" };
}

export function renderProject(context: ForgeContext, project: RepositoryRecord): Json {
  const page = `${context.siteUrl()}/${fullPath(project)}`;
  const source = project.forkOf === undefined ? undefined : context.store.repositories.get(project.forkOf);
  return {
    id: project.id,
    name: project.name,
    path: project.name,
    path_with_namespace: fullPath(project),
    namespace: { name: project.owner.split("/").at(-1), full_path: project.owner },
    default_branch: project.defaultBranch,
    visibility: project.private ? "private" : "public",
    archived: false,
    web_url: page,
    http_url_to_repo: `${page}.git`,
    created_at: isoTime(project.createdAt),
    merge_method: project.mergeMethod ?? "merge",
    squash_option: "default_off",
    only_allow_merge_if_pipeline_succeeds: project.needsPipeline ?? false,
    ...(source === undefined ? {} : { forked_from_project: { id: source.id, path_with_namespace: fullPath(source) } }),
  };
}

export function renderPermissions(context: ForgeContext, login: string, project: RepositoryRecord): Json {
  const level = roleOf(context, context.accounts.find(login), project);
  return { project_access: level > ROLES.none ? { access_level: level } : null, group_access: null };
}

export function requestUrl(context: ForgeContext, project: RepositoryRecord, request: PullRecord): string {
  return `${context.siteUrl()}/${fullPath(project)}/-/merge_requests/${request.number}`;
}

export function stateOf(request: PullRecord): "opened" | "closed" | "merged" {
  if (request.merge !== undefined) return "merged";
  return request.state === "open" ? "opened" : "closed";
}

export function renderRequest(context: ForgeContext, project: RepositoryRecord, request: PullRecord): Json {
  const { merge } = request;
  const ownCommit = merge !== undefined && merge.commit !== request.headSha && merge.commit !== merge.squash;
  const source = context.store.repositories.get(request.headRepository);
  return {
    id: request.id,
    iid: request.number,
    project_id: project.id,
    title: request.title,
    description: request.body ?? null,
    state: stateOf(request),
    draft: request.draft,
    work_in_progress: request.draft,
    author: renderUser(context, request.author),
    source_branch: request.headBranch,
    target_branch: request.baseBranch,
    source_project_id: source?.id ?? null,
    target_project_id: project.id,
    sha: request.headSha,
    // Null after a pure fast-forward: then the commits themselves are on the branch.
    merge_commit_sha: ownCommit ? merge.commit : null,
    squash_commit_sha: merge?.squash ?? null,
    merged_by: merge === undefined ? null : renderUser(context, merge.by),
    merged_at: merge === undefined ? null : isoTime(merge.at),
    closed_at: merge === undefined && request.closedAt !== undefined ? isoTime(request.closedAt) : null,
    created_at: isoTime(request.createdAt),
    updated_at: isoTime(request.updatedAt),
    labels: [],
    upvotes: 0,
    downvotes: 0,
    web_url: requestUrl(context, project, request),
    references: { short: `!${request.number}`, full: `${fullPath(project)}!${request.number}` },
    // Computed in the background, and asked for one by one only.
    merge_status: "unchecked",
    detailed_merge_status: "unchecked",
  };
}

export function renderNote(context: ForgeContext, note: CommentRecord, request: PullRecord): Json {
  return {
    id: note.id,
    type: null,
    body: note.body,
    author: renderUser(context, note.author),
    created_at: isoTime(note.createdAt),
    updated_at: isoTime(note.updatedAt),
    system: note.system ?? false,
    noteable_id: request.id,
    noteable_type: "MergeRequest",
    noteable_iid: request.number,
    project_id: note.repository,
    resolvable: false,
    internal: false,
  };
}

export function renderJob(context: ForgeContext, job: JobRecord): Json {
  return {
    id: job.id,
    sha: job.sha,
    ref: job.ref,
    status: job.status,
    name: job.name,
    target_url: job.targetUrl ?? null,
    description: job.description ?? null,
    created_at: isoTime(job.createdAt),
    started_at: job.status === "pending" ? null : isoTime(job.createdAt),
    finished_at: job.finishedAt === undefined ? null : isoTime(job.finishedAt),
    allow_failure: false,
    coverage: null,
    pipeline_id: job.pipeline,
    author: renderUser(context, job.creator),
  };
}

export function renderDeployment(context: ForgeContext, deployment: GitlabDeploymentRecord): Json {
  return {
    id: deployment.id,
    iid: deployment.id,
    ref: deployment.ref,
    sha: deployment.sha,
    status: deployment.status,
    created_at: isoTime(deployment.createdAt),
    updated_at: isoTime(deployment.updatedAt),
    user: renderUser(context, deployment.creator),
    environment: { name: deployment.environment },
    deployable: null,
  };
}

/** The token is never shown. */
export function renderHook(hook: HookRecord): Json {
  return {
    id: hook.id,
    url: hook.url,
    project_id: hook.repository,
    created_at: isoTime(hook.createdAt),
    push_events: hook.events.includes("push"),
    tag_push_events: hook.events.includes("tag_push"),
    merge_requests_events: hook.events.includes("merge_request"),
    note_events: hook.events.includes("note"),
    enable_ssl_verification: true,
    alert_status: "executable",
  };
}
