import { repositoryOf } from "./access.ts";
import { ApiError } from "./api-error.ts";
import type { ForgeContext } from "./context.ts";
import { findBranch, findCommit, isAncestor, listRefs } from "./git-objects.ts";
import { pagedReply } from "./paging.ts";
import type { PullRecord, RepositoryRecord } from "./records.ts";
import { type Call, param, type Reply, type Router } from "./router.ts";
import { renderCommit, renderPull, repositoryApiUrl } from "./wire.ts";

const CONTENTS = { role: "read", grant: "contents=read" } as const;
const PULLS = { role: "read", grant: "pull_requests=read" } as const;

export function addCommitRoutes(router: Router, context: ForgeContext): void {
  const base = "/repos/:owner/:repo";
  router.add("GET", `${base}/commits/:ref*/pulls`, (call) => pullsOfCommit(context, call));
  router.add("GET", `${base}/commits/:ref*`, (call) => getCommit(context, call));
  router.add("GET", `${base}/branches`, (call) => listBranches(context, call));
  router.add("GET", `${base}/branches/:branch*`, (call) => getBranch(context, call));
}

/** A branch, tag, `heads/…`, `tags/…` or commit id, as GitHub takes them. */
export async function resolveCommit(context: ForgeContext, repository: RepositoryRecord, ref: string): Promise<string> {
  const directory = context.repositories.directory(repository);
  const whole = /^[0-9a-f]{40}$/.test(ref) ? await findCommit(directory, ref) : undefined;
  if (whole !== undefined) return whole;
  if ((await listRefs(directory)).size === 0) throw new ApiError(409, "Git Repository is empty.");
  for (const candidate of [`refs/heads/${ref}`, `refs/tags/${ref}`, `refs/${ref}`, ref]) {
    // Only names and ids: `main~1` or `HEAD@{1}` mean nothing to GitHub.
    if (/[~^:@{\s]/.test(candidate)) continue;
    const sha = await findCommit(directory, candidate);
    if (sha !== undefined) return sha;
  }
  throw new ApiError(422, `No commit found for SHA: ${ref}`);
}

async function getCommit(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, CONTENTS);
  const sha = await resolveCommit(context, repository, param(call, "ref"));
  if (/application\/vnd\.github(\.v3)?\.sha/.test(call.headers.accept ?? "")) {
    return { status: 200, body: sha, headers: { "content-type": "application/vnd.github.sha; charset=utf-8" } };
  }
  return {
    status: 200,
    body: await renderCommit(context, call.apiUrl, repository, sha),
  };
}

async function pullsOfCommit(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, PULLS);
  const sha = await resolveCommit(context, repository, param(call, "ref"));
  const found = await findPulls(context, repository, sha);
  return pagedReply(call, repository.id, found, (pull) => renderPull(context, call.apiUrl, repository, pull));
}

/** For a commit of the default branch the merged pull requests that brought it; otherwise open and merged ones with it. */
async function findPulls(context: ForgeContext, repository: RepositoryRecord, sha: string): Promise<PullRecord[]> {
  const directory = context.repositories.directory(repository);
  const landed = await isAncestor(directory, sha, `refs/heads/${repository.defaultBranch}`);
  const found: PullRecord[] = [];
  for (const pull of context.store.pulls.group(`${repository.id}`)) {
    const merged = pull.merge?.commits.includes(sha) ?? false;
    if (merged || (!landed && pull.state === "open" && (await carriesCommit(directory, pull, sha)))) found.push(pull);
  }
  return found;
}

/** Whether an open pull request would bring this commit to its base. */
async function carriesCommit(directory: string, pull: PullRecord, sha: string): Promise<boolean> {
  const base = await findBranch(directory, pull.baseBranch);
  if (base === undefined || !(await isAncestor(directory, sha, pull.headSha))) return false;
  return !(await isAncestor(directory, sha, base));
}

async function listBranches(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, CONTENTS);
  const refs = [...(await listRefs(context.repositories.directory(repository)))].filter(([ref]) =>
    ref.startsWith("refs/heads/"),
  );
  return pagedReply(call, repository.id, refs, ([ref, sha]) => ({
    name: ref.slice("refs/heads/".length),
    commit: { sha, url: `${repositoryApiUrl(call.apiUrl, repository)}/commits/${sha}` },
    protected: false,
  }));
}

async function getBranch(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, CONTENTS);
  const name = param(call, "branch");
  const directory = context.repositories.directory(repository);
  const sha = await findBranch(directory, name);
  if (sha === undefined) throw new ApiError(404, "Branch not found");
  const url = `${repositoryApiUrl(call.apiUrl, repository)}/branches/${encodeURIComponent(name)}`;
  const commit = await renderCommit(context, call.apiUrl, repository, sha);
  const protection = { enabled: false, required_status_checks: { enforcement_level: "off", contexts: [], checks: [] } };
  const links = { self: url, html: `${context.siteUrl()}/${repository.owner}/${repository.name}/tree/${name}` };
  return {
    status: 200,
    body: { name, commit, _links: links, protected: false, protection, protection_url: `${url}/protection` },
  };
}
