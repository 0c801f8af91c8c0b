import { sameName } from "../accounts.ts";
import { ApiError } from "../api-error.ts";
import type { ForgeContext } from "../context.ts";
import { findBranch, findCommit, isAncestor } from "../git-objects.ts";
import { editPull, openPull } from "../pulls.ts";
import type { PullRecord, RepositoryRecord } from "../records.ts";
import { type Call, param, type Reply, type Router } from "../router.ts";
import { projectOf, requestOf, roleOf, ROLES, signedIn } from "./access.ts";
import { badParameter, forbidden, GitlabError, missing } from "./error.ts";
import { optionalChoice, optionalFlag, optionalText, requiredText } from "./fields.ts";
import { acceptRequest, rebaseRequest } from "./merge.ts";
import { pagedReply } from "./paging.ts";
import { type Json, renderRequest, stateOf } from "./render.ts";

export function addRequestRoutes(router: Router, context: ForgeContext): void {
  const base = "/projects/:id/merge_requests";
  router.add("GET", base, (call) => listRequests(context, call));
  router.add("POST", base, (call) => createRequest(context, call));
  router.add("GET", `${base}/:iid`, (call) => getRequest(context, call));
  router.add("PUT", `${base}/:iid`, (call) => putRequest(context, call));
  router.add("PUT", `${base}/:iid/merge`, (call) => merge(context, call));
  router.add("PUT", `${base}/:iid/rebase`, (call) => rebase(context, call));
  router.add("GET", "/projects/:id/repository/commits/:sha/merge_requests", (call) => requestsOfCommit(context, call));
}

/** GitLab takes a request for a draft by its title. */
function isDraft(title: string): boolean {
  return /^\s*(\[draft\]|\(draft\)|draft:)/i.test(title);
}

function listRequests(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call);
  const state = optionalChoice(call, "state", ["opened", "closed", "locked", "merged", "all"]) ?? "all";
  const orderBy = optionalChoice(call, "order_by", ["created_at", "updated_at", "title"]) ?? "created_at";
  const sort = optionalChoice(call, "sort", ["asc", "desc"]) ?? "desc";
  const [target, source] = [optionalText(call, "target_branch"), optionalText(call, "source_branch")];
  const after = timeOf(call, "updated_after");
  const found = context.store.pulls
    .group(`${project.id}`)
    .filter((one) => state === "all" || stateOf(one) === state)
    .filter((one) => target === undefined || one.baseBranch === target)
    .filter((one) => source === undefined || one.headBranch === source)
    .filter((one) => after === undefined || one.updatedAt >= after);
  const key = (one: PullRecord): number => (orderBy === "updated_at" ? one.updatedAt : one.createdAt);
  const sorted = found.toSorted((a, b) => (key(a) - key(b) || a.id - b.id) * (sort === "asc" ? 1 : -1));
  return pagedReply(call, sorted, (one) => renderRequest(context, project, one));
}

function timeOf(call: Call, name: string): number | undefined {
  const text = optionalText(call, name);
  if (text === undefined) return undefined;
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw badParameter(`${name} is invalid`);
  return at;
}

/** The call goes to the project of the source branch; the target is another one for a fork. */
async function createRequest(context: ForgeContext, call: Call): Promise<Reply> {
  const source = projectOf(context, call, ROLES.developer);
  const { login } = signedIn(call);
  const target = targetOf(context, call, source);
  const title = requiredText(call, "title");
  const branch = requiredText(call, "source_branch");
  const wanted = {
    title,
    head: source.id === target.id ? branch : `${source.owner}:${branch}`,
    base: requiredText(call, "target_branch"),
    body: optionalText(call, "description"),
    draft: isDraft(title),
  };
  const made = await context.repositories
    .exclusively(target, () => openPull(context, target, wanted, login))
    .catch((error: unknown) => {
      throw refusedOpening(error);
    });
  return { status: 201, body: await renderDetail(context, target, made) };
}

function targetOf(context: ForgeContext, call: Call, source: RepositoryRecord): RepositoryRecord {
  const id = optionalText(call, "target_project_id");
  if (id === undefined) return source;
  const target = /^\d+$/.test(id) ? context.store.repositories.get(Number(id)) : context.repositories.findByPath(id);
  if (target === undefined || !context.accounts.allows(call.user, target, "read")) throw missing("Project");
  return target;
}

function refusedOpening(error: unknown): unknown {
  if (!(error instanceof ApiError)) return error;
  const said = error.errors?.[0];
  if (said?.message?.includes("already exists") === true)
    return new GitlabError(409, { message: ["Another open merge request already exists for this source branch"] });
  if (said?.field === "head") return new GitlabError(400, { message: { source_branch: ["does not exist"] } });
  return new GitlabError(400, { message: [said?.message ?? `${said?.field ?? "request"} is invalid`] });
}

async function getRequest(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call);
  return { status: 200, body: await renderDetail(context, project, requestOf(context, call, project)) };
}

/** A single answer knows whether the request can be merged, once the forge has tried. */
async function renderDetail(context: ForgeContext, project: RepositoryRecord, request: PullRecord): Promise<Json> {
  const { mergeable } = await context.mergeability.ask(request);
  const status = mergeable === null ? "checking" : mergeable ? "can_be_merged" : "cannot_be_merged";
  return {
    ...renderRequest(context, project, request),
    merge_status: status,
    detailed_merge_status: detailedStatus(request, mergeable),
    has_conflicts: mergeable === false,
    diff_refs: { base_sha: request.baseSha, head_sha: request.headSha, start_sha: request.baseSha },
    rebase_in_progress: false,
  };
}

function detailedStatus(request: PullRecord, mergeable: boolean | null): string {
  if (request.state === "closed") return "not_open";
  if (request.draft) return "draft_status";
  if (mergeable === null) return "checking";
  return mergeable ? "mergeable" : "conflict";
}

async function putRequest(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call);
  const user = signedIn(call);
  const request = requestOf(context, call, project);
  if (!sameName(request.author, user.login) && roleOf(context, user, project) < ROLES.developer) throw forbidden();
  const event = optionalChoice(call, "state_event", ["close", "reopen"]);
  const edit = {
    title: optionalText(call, "title"),
    body: optionalText(call, "description"),
    base: optionalText(call, "target_branch"),
    state: event === undefined ? undefined : event === "close" ? ("closed" as const) : ("open" as const),
  };
  const edited = await context.repositories.exclusively(project, async () => {
    const stored = await editPull(context, project, requestOf(context, call, project), edit, user.login);
    return context.store.pulls.replace({ ...stored, draft: isDraft(stored.title) });
  });
  return { status: 200, body: await renderDetail(context, project, edited) };
}

async function merge(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call, ROLES.developer);
  const { login } = signedIn(call);
  const order = {
    sha: optionalText(call, "sha"),
    squash: optionalFlag(call, "squash") ?? false,
    removeSource: optionalFlag(call, "should_remove_source_branch") ?? false,
    message: optionalText(call, "merge_commit_message"),
    squashMessage: optionalText(call, "squash_commit_message"),
  };
  const merged = await context.repositories.exclusively(project, () =>
    acceptRequest(context, project, requestOf(context, call, project), order, login),
  );
  return { status: 200, body: await renderDetail(context, project, merged) };
}

async function rebase(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call, ROLES.developer);
  const { login } = signedIn(call);
  await context.repositories.exclusively(project, () =>
    rebaseRequest(context, project, requestOf(context, call, project), login),
  );
  return { status: 202, body: { rebase_in_progress: true } };
}

/** Requests whose own commits, squash commit or merge commit this is, merged or open. */
async function requestsOfCommit(context: ForgeContext, call: Call): Promise<Reply> {
  const project = projectOf(context, call);
  const directory = context.repositories.directory(project);
  const sha = await findCommit(directory, param(call, "sha"));
  if (sha === undefined) throw missing("Commit");
  const found: PullRecord[] = [];
  for (const request of context.store.pulls.group(`${project.id}`)) {
    const brought = request.merge?.commits.includes(sha) ?? false;
    if (brought || (request.merge === undefined && (await carries(directory, request, sha)))) found.push(request);
  }
  return pagedReply(call, found, (one) => renderRequest(context, project, one));
}

async function carries(directory: string, request: PullRecord, sha: string): Promise<boolean> {
  const base = await findBranch(directory, request.baseBranch);
  if (base === undefined || !(await isAncestor(directory, sha, request.headSha))) return false;
  return !(await isAncestor(directory, sha, base));
}
