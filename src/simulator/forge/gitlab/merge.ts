import type { ForgeContext } from "../context.ts";
import { findBranch, findMergeBase, isAncestor, listCommits, moveRef, ZERO_SHA } from "../git-objects.ts";
import { type Identity, makeMergeCommit, makeSquashCommit, replayCommits } from "../merging.ts";
import type { PullRecord, RepositoryRecord } from "../records.ts";
import { forbidden, GitlabError } from "./error.ts";
import { fullPath } from "./render.ts";
import { pipelineStatusOf } from "./statuses-api.ts";

export interface AcceptOrder {
  /** The head the client saw. */
  readonly sha: string | undefined;
  readonly squash: boolean;
  readonly removeSource: boolean;
  readonly message: string | undefined;
  readonly squashMessage: string | undefined;
}

/** Merges as the project is set. Callers hold the project. */
export async function acceptRequest(
  context: ForgeContext,
  project: RepositoryRecord,
  request: PullRecord,
  order: AcceptOrder,
  login: string,
): Promise<PullRecord> {
  if (request.state === "closed" || request.draft) throw notAllowed();
  if (order.sha !== undefined && order.sha !== request.headSha) {
    throw new GitlabError(409, `SHA does not match HEAD of source branch: ${request.headSha}`);
  }
  if (project.needsPipeline === true && pipelineStatusOf(context, project, request.headSha) !== "success") {
    throw notAllowed();
  }
  const directory = context.repositories.directory(project);
  const base = await findBranch(directory, request.baseBranch);
  if (base === undefined) throw notAllowed();
  const commits = await listCommits(directory, base, request.headSha);
  const made = await makeCommits(directory, project, request, order, base, commits, login);
  if (made === undefined || made.tip === base) throw new GitlabError(422, "Branch cannot be merged");
  const landed = [...new Set([...commits, ...(await listCommits(directory, base, made.tip))])];
  const merging = { at: Date.now(), by: login, commit: made.tip, commits: landed, squash: made.squash };
  const marked = context.store.pulls.replace({ ...request, merging });
  if (!(await moveRef(directory, `refs/heads/${request.baseBranch}`, made.tip, base))) {
    context.store.pulls.replace({ ...marked, merging: undefined });
    throw new GitlabError(422, "Branch cannot be merged");
  }
  if (order.removeSource && request.headRepository === project.id)
    await moveRef(directory, `refs/heads/${request.headBranch}`, ZERO_SHA);
  await context.refresh.runInTurn(project, login);
  return context.store.pulls.get(request.id) ?? request;
}

interface Made {
  readonly tip: string;
  readonly squash: string | undefined;
}

/** The new tip of the target branch; undefined on conflict, and when the head is behind where that is not allowed. */
async function makeCommits(
  directory: string,
  project: RepositoryRecord,
  request: PullRecord,
  order: AcceptOrder,
  base: string,
  commits: readonly string[],
  login: string,
): Promise<Made | undefined> {
  const method = project.mergeMethod ?? "merge";
  const { headSha: head } = request;
  if (method !== "merge" && !(await isAncestor(directory, base, head))) return undefined;
  const identity = identityOf(login);
  const texts = { author: identity, committer: identity };
  let squash: string | undefined;
  // A single commit is left as it is unless it gets another message.
  if (order.squash && (commits.length > 1 || order.squashMessage !== undefined)) {
    const from = (await findMergeBase(directory, base, head)) ?? base;
    const message = order.squashMessage ?? request.title;
    squash = await makeSquashCommit(directory, {
      ...texts,
      base: from,
      head,
      message,
      author: identityOf(request.author),
    });
    if (squash === undefined) return undefined;
  }
  if (method === "ff") return { tip: squash ?? head, squash };
  const title = `Merge branch '${request.headBranch}' into '${request.baseBranch}'`;
  const message = [title, request.title, `See merge request ${fullPath(project)}!${request.number}`].join("\n\n");
  const merge = { ...texts, base, head: squash ?? head, message: order.message ?? message };
  const tip = await makeMergeCommit(directory, merge);
  return tip === undefined ? undefined : { tip, squash };
}

/** Makes the commits of the source branch anew on the target's tip, and moves the source branch there. */
export async function rebaseRequest(
  context: ForgeContext,
  project: RepositoryRecord,
  request: PullRecord,
  login: string,
): Promise<void> {
  if (request.headRepository !== project.id) throw forbidden();
  const directory = context.repositories.directory(project);
  const base = await findBranch(directory, request.baseBranch);
  if (base === undefined || request.state === "closed") throw notAllowed();
  const identity = identityOf(login);
  const texts = { author: identity, committer: identity, message: "" };
  const tip = await replayCommits(directory, { ...texts, base, head: request.headSha });
  // GitLab accepts the order and says in `merge_error` what became of it.
  if (tip === undefined) return;
  await moveRef(directory, `refs/heads/${request.headBranch}`, tip, request.headSha);
  await context.refresh.runInTurn(project, login);
}

function notAllowed(): GitlabError {
  return new GitlabError(405, "405 Method Not Allowed");
}

function identityOf(login: string): Identity {
  return { name: login, email: `${login}@users.noreply.example` };
}
