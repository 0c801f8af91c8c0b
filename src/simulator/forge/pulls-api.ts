import { pullOf, repositoryOf, signedIn } from "./access.ts";
import { sameName } from "./accounts.ts";
import { notPermitted } from "./api-error.ts";
import type { ForgeContext } from "./context.ts";
import { optionalChoice, optionalFlag, optionalText, requiredText } from "./fields.ts";
import { type FileChange, findMergeBase, listChanges, listCommits, readPatch } from "./git-objects.ts";
import { pagedReply } from "./paging.ts";
import { mergePull } from "./pull-merge.ts";
import { editPull, openPull } from "./pulls.ts";
import type { PullRecord, RepositoryRecord } from "./records.ts";
import type { Call, Reply, Router } from "./router.ts";
import { renderCommit, renderPull, renderPullDetail, repositoryApiUrl } from "./wire.ts";

const READ = { role: "read", grant: "pull_requests=read" } as const;
/** Anybody who can read may open a pull request from a fork of their own; only the token's grant is asked for. */
const OPEN = { role: "read", grant: "pull_requests=write" } as const;
const MERGE = { role: "write", grant: "contents=write" } as const;

const UNKNOWN = { mergeable: null, testMerge: undefined };

/** The most files GitHub lists for one pull request. */
const MAX_FILES = 3_000;

export function addPullRoutes(router: Router, context: ForgeContext): void {
  const base = "/repos/:owner/:repo/pulls";
  router.add("GET", base, (call) => listPulls(context, call));
  router.add("POST", base, (call) => createPull(context, call));
  router.add("GET", `${base}/:number`, (call) => getPull(context, call));
  router.add("PATCH", `${base}/:number`, (call) => patchPull(context, call));
  router.add("GET", `${base}/:number/merge`, (call) => isMerged(context, call));
  router.add("PUT", `${base}/:number/merge`, (call) => merge(context, call));
  router.add("GET", `${base}/:number/files`, (call) => listFiles(context, call));
  router.add("GET", `${base}/:number/commits`, (call) => listPullCommits(context, call));
}

function listPulls(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, READ);
  const ask = (name: string): string | undefined => call.query.get(name) ?? undefined;
  const state = optionalChoice(ask("state"), ["open", "closed", "all"], "PullRequest", "state") ?? "open";
  const sort =
    optionalChoice(ask("sort"), ["created", "updated", "popularity", "long-running"], "PullRequest", "sort") ??
    "created";
  const direction =
    optionalChoice(ask("direction"), ["asc", "desc"], "PullRequest", "direction") ??
    (sort === "created" ? "desc" : "asc");
  const [base, head] = [ask("base"), ask("head")];
  const found = context.store.pulls
    .group(`${repository.id}`)
    .filter((pull) => state === "all" || pull.state === state)
    .filter((pull) => base === undefined || pull.baseBranch === base)
    .filter((pull) => head === undefined || sameName(`${pull.headOwner}:${pull.headBranch}`, head));
  const key = (pull: PullRecord): number => (sort === "updated" ? pull.updatedAt : pull.createdAt);
  const sorted = found.toSorted((a, b) => (key(a) - key(b) || a.number - b.number) * (direction === "asc" ? 1 : -1));
  return pagedReply(call, repository.id, sorted, (pull) => renderPull(context, call.apiUrl, repository, pull));
}

async function createPull(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, OPEN);
  const { login } = signedIn(call);
  const wanted = {
    title: requiredText(call, "PullRequest", "title"),
    head: requiredText(call, "PullRequest", "head"),
    base: requiredText(call, "PullRequest", "base"),
    body: optionalText(call, "PullRequest", "body"),
    draft: optionalFlag(call, "PullRequest", "draft") ?? false,
  };
  const pull = await context.repositories.exclusively(repository, () => openPull(context, repository, wanted, login));
  const body = await renderPullDetail(context, call.apiUrl, repository, pull, UNKNOWN);
  return {
    status: 201,
    body,
    headers: { location: `${repositoryApiUrl(call.apiUrl, repository)}/pulls/${pull.number}` },
  };
}

async function getPull(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, READ);
  return {
    status: 200,
    body: await renderPullDetail(context, call.apiUrl, repository, pullOf(context, call, repository)),
  };
}

async function patchPull(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, OPEN);
  const user = signedIn(call);
  if (
    !sameName(pullOf(context, call, repository).author, user.login) &&
    !context.accounts.allows(user, repository, "write")
  ) {
    throw notPermitted("pull_requests=write");
  }
  const edit = {
    title: optionalText(call, "PullRequest", "title"),
    body: optionalText(call, "PullRequest", "body"),
    base: optionalText(call, "PullRequest", "base"),
    state: optionalChoice(optionalText(call, "PullRequest", "state"), ["open", "closed"], "PullRequest", "state"),
  };
  const pull = await context.repositories.exclusively(repository, () =>
    editPull(context, repository, pullOf(context, call, repository), edit, user.login),
  );
  return { status: 200, body: await renderPullDetail(context, call.apiUrl, repository, pull, UNKNOWN) };
}

function isMerged(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call, READ);
  return { status: pullOf(context, call, repository).merge === undefined ? 404 : 204 };
}

async function merge(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, MERGE);
  const { login } = signedIn(call);
  const order = {
    method:
      optionalChoice(
        optionalText(call, "PullRequest", "merge_method"),
        ["merge", "squash", "rebase"],
        "PullRequest",
        "merge_method",
      ) ?? "merge",
    sha: optionalText(call, "PullRequest", "sha"),
    title: optionalText(call, "PullRequest", "commit_title"),
    message: optionalText(call, "PullRequest", "commit_message"),
  } as const;
  const sha = await context.repositories.exclusively(repository, () =>
    mergePull(context, repository, pullOf(context, call, repository), order, login),
  );
  return { status: 200, body: { sha, merged: true, message: "Pull Request successfully merged" } };
}

async function listFiles(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, READ);
  const pull = pullOf(context, call, repository);
  const directory = context.repositories.directory(repository);
  const from = (await findMergeBase(directory, pull.baseSha, pull.headSha)) ?? pull.baseSha;
  const changes = await listChanges(directory, from, pull.headSha);
  return pagedReply(call, repository.id, changes.slice(0, MAX_FILES), async (change) =>
    renderFile(call, repository, pull, change, await readPatch(directory, from, pull.headSha, change)),
  );
}

function renderFile(
  call: Call,
  repository: RepositoryRecord,
  pull: PullRecord,
  change: FileChange,
  patch: string | undefined,
): unknown {
  const path = encodeURIComponent(change.path);
  const contents = `${repositoryApiUrl(call.apiUrl, repository)}/contents/${path}?ref=${pull.headSha}`;
  return {
    sha: change.blob,
    filename: change.path,
    status: change.status,
    additions: change.additions,
    deletions: change.deletions,
    changes: change.additions + change.deletions,
    contents_url: contents,
    ...(change.previousPath === undefined ? {} : { previous_filename: change.previousPath }),
    ...(patch === undefined ? {} : { patch }),
  };
}

async function listPullCommits(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, READ);
  const pull = pullOf(context, call, repository);
  const directory = context.repositories.directory(repository);
  const commits = await listCommits(directory, pull.baseSha, pull.headSha);
  return pagedReply(call, repository.id, commits, (sha) => renderCommit(context, call.apiUrl, repository, sha));
}
