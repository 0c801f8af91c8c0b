import { createHash } from "node:crypto";
import type { ForgeContext } from "../context.ts";
import type { ForgeEvents } from "../dialect.ts";
import type { RefChange } from "../events.ts";
import { findCommit, listCommits, readCommit, ZERO_SHA } from "../git-objects.ts";
import type { CommentRecord, HookRecord, PullRecord, RepositoryRecord } from "../records.ts";
import { insertNote } from "./notes-api.ts";
import { fullPath, isoTime, type Json, renderUser, requestUrl, stateOf } from "./render.ts";

/** GitLab lists at most this many commits in a push event, and says how many there were. */
const PUSH_COMMITS = 20;

const NAMES: Readonly<Record<string, string>> = {
  push: "Push Hook",
  tag_push: "Tag Push Hook",
  merge_request: "Merge Request Hook",
  note: "Note Hook",
};

/** The secret goes along as it is. The key is the same when an event is sent again. */
export function gitlabHookHeaders(hook: HookRecord, event: string, guid: string): Record<string, string> {
  const key = createHash("sha256").update(`${guid} ${hook.id}`).digest("hex");
  return {
    "user-agent": "GitLab/17.5.0-simulator",
    "x-gitlab-event": NAMES[event] ?? event,
    "x-gitlab-event-uuid": guid,
    "x-gitlab-webhook-uuid": `${key.slice(0, 8)}-${key.slice(8, 12)}-4${key.slice(13, 16)}-8${key.slice(17, 20)}-${key.slice(20, 32)}`,
    "idempotency-key": key,
    ...(hook.secret === undefined || hook.secret === "" ? {} : { "x-gitlab-token": hook.secret }),
  };
}

export const gitlabEvents: ForgeEvents = { push, pull, comment };

async function push(context: ForgeContext, project: RepositoryRecord, change: RefChange, login: string): Promise<void> {
  const kind = change.ref.startsWith("refs/tags/") ? "tag_push" : "push";
  if (!context.webhooks.wanted(project.id, kind)) return;
  const directory = context.repositories.directory(project);
  const deleted = change.after === ZERO_SHA;
  const tip = deleted ? undefined : await findCommit(directory, change.after);
  const shas =
    tip === undefined ? [] : change.before === ZERO_SHA ? [tip] : await listCommits(directory, change.before, tip);
  const commits = await Promise.all(
    shas.slice(-PUSH_COMMITS).map(async (sha) => {
      const { message, committer, author } = await readCommit(directory, sha);
      const url = `${context.siteUrl()}/${fullPath(project)}/-/commit/${sha}`;
      const { name, email } = author;
      return {
        id: sha,
        message,
        title: message.split("\n", 1)[0],
        timestamp: committer.date,
        url,
        author: { name, email },
      };
    }),
  );
  const id = context.accounts.idOf(login);
  context.webhooks.emit(project.id, kind, {
    object_kind: kind,
    event_name: kind,
    before: change.before,
    after: change.after,
    ref: change.ref,
    ref_protected: false,
    checkout_sha: deleted ? null : change.after,
    user_id: id,
    user_name: login,
    user_username: login,
    project_id: project.id,
    project: renderHookProject(context, project),
    commits,
    total_commits_count: shas.length,
  });
}

function renderHookProject(context: ForgeContext, project: RepositoryRecord): Json {
  const page = `${context.siteUrl()}/${fullPath(project)}`;
  return {
    id: project.id,
    name: project.name,
    web_url: page,
    git_http_url: `${page}.git`,
    namespace: project.owner,
    visibility_level: project.private ? 0 : 20,
    path_with_namespace: fullPath(project),
    default_branch: project.defaultBranch,
  };
}

/** GitLab's word for what happened, and the note it leaves in the request. */
function describe(request: PullRecord, action: string): { readonly action: string; readonly note: string | undefined } {
  switch (action) {
    case "opened":
      return { action: "open", note: undefined };
    case "synchronize":
      return { action: "update", note: `added 1 commit\n\n${request.headSha.slice(0, 8)}` };
    case "closed":
      return request.merge === undefined ? { action: "close", note: "closed" } : { action: "merge", note: "merged" };
    case "reopened":
      return { action: "reopen", note: "reopened" };
    default:
      return { action: "update", note: "changed the description" };
  }
}

function pull(context: ForgeContext, request: PullRecord, happened: string, login: string, extra: Json): void {
  const project = context.store.repositories.get(request.repository);
  if (project === undefined) return;
  const { action, note } = describe(request, happened);
  if (note !== undefined) insertNote(context, request, login, note, true);
  if (!context.webhooks.wanted(project.id, "merge_request")) return;
  const oldrev = happened === "synchronize" ? { oldrev: extra["before"] } : {};
  context.webhooks.emit(project.id, "merge_request", {
    object_kind: "merge_request",
    event_type: "merge_request",
    user: renderUser(context, login),
    project: renderHookProject(context, project),
    object_attributes: { ...renderAttributes(context, project, request), action, ...oldrev },
    labels: [],
    changes: {},
  });
}

function renderAttributes(context: ForgeContext, project: RepositoryRecord, request: PullRecord): Json {
  return {
    id: request.id,
    iid: request.number,
    title: request.title,
    description: request.body ?? "",
    state: stateOf(request),
    draft: request.draft,
    work_in_progress: request.draft,
    source_branch: request.headBranch,
    target_branch: request.baseBranch,
    source_project_id: request.headRepository,
    target_project_id: project.id,
    author_id: context.accounts.idOf(request.author),
    merge_commit_sha: request.merge?.commit ?? null,
    last_commit: { id: request.headSha },
    url: requestUrl(context, project, request),
    created_at: isoTime(request.createdAt),
    updated_at: isoTime(request.updatedAt),
  };
}

/** Sent for new and edited notes, never for deleted ones or GitLab's own. */
function comment(
  context: ForgeContext,
  note: CommentRecord,
  request: PullRecord,
  happened: string,
  login: string,
): void {
  const project = context.store.repositories.get(note.repository);
  if (project === undefined || happened === "deleted" || !context.webhooks.wanted(project.id, "note")) return;
  context.webhooks.emit(project.id, "note", {
    object_kind: "note",
    event_type: "note",
    user: renderUser(context, login),
    project_id: project.id,
    project: renderHookProject(context, project),
    object_attributes: {
      id: note.id,
      note: note.body,
      noteable_type: "MergeRequest",
      noteable_id: request.id,
      author_id: context.accounts.idOf(note.author),
      project_id: project.id,
      system: false,
      action: happened === "created" ? "create" : "update",
      url: `${requestUrl(context, project, request)}#note_${note.id}`,
      created_at: isoTime(note.createdAt),
      updated_at: isoTime(note.updatedAt),
    },
    merge_request: renderAttributes(context, project, request),
  });
}
