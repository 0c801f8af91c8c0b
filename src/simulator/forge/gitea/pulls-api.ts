import { sameName } from "../accounts.ts";
import type { ForgeContext } from "../context.ts";
import { optionalChoice, optionalText, requiredText } from "../fields.ts";
import { findMergeBase, listChanges, listCommits } from "../git-objects.ts";
import { editPull, openPull } from "../pulls.ts";
import type { PullRecord } from "../records.ts";
import { type Call, param, type Reply, type Router } from "../router.ts";
import { pullOf, repositoryOf, signedIn } from "./access.ts";
import { forbidden, notFound, unprocessable } from "./error.ts";
import { MERGE_STYLES, mergePull } from "./merge.ts";
import { pagedReply } from "./paging.ts";
import { branchReader, renderPull } from "./render.ts";

export function addPullRoutes(router: Router, context: ForgeContext): void {
  const base = "/repos/:owner/:repo/pulls";
  router.add("GET", base, (call) => listPulls(context, call));
  router.add("POST", base, (call) => createPull(context, call));
  router.add("GET", `${base}/:number`, (call) => getPull(context, call));
  router.add("PATCH", `${base}/:number`, (call) => patchPull(context, call));
  router.add("GET", `${base}/:number/merge`, (call) => isMerged(context, call));
  router.add("POST", `${base}/:number/merge`, (call) => merge(context, call));
  router.add("GET", `${base}/:number/commits`, (call) => listPullCommits(context, call));
  router.add("GET", `${base}/:number/files`, (call) => listFiles(context, call));
  router.add("GET", "/repos/:owner/:repo/commits/:sha/pull", (call) => pullOfCommit(context, call));
}

/** The base is no filter here. */
function listPulls(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call);
  const state = call.query.get("state") ?? "open";
  const found = context.store.pulls
    .group(`${repository.id}`)
    .filter((pull) => state === "all" || pull.state === state)
    .toSorted(order(call.query.get("sort")));
  const tipOf = branchReader(context);
  return pagedReply(call, found, (pull) => renderPull(context, repository, pull, tipOf), { link: true });
}

function order(sort: string | null): (a: PullRecord, b: PullRecord) => number {
  switch (sort) {
    case "oldest":
      return (a, b) => a.number - b.number;
    case "recentupdate":
      return (a, b) => b.updatedAt - a.updatedAt || b.number - a.number;
    case "leastupdate":
      return (a, b) => a.updatedAt - b.updatedAt || a.number - b.number;
    default:
      return (a, b) => b.number - a.number;
  }
}

/** `WORK_IN_PROGRESS_PREFIXES`: the title alone makes a draft. */
function isDraft(title: string): boolean {
  return /^\s*(wip:|\[wip\])/i.test(title);
}

async function createPull(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call);
  const { login } = signedIn(call);
  const title = requiredText(call, "PullRequest", "title");
  const wanted = {
    title,
    head: requiredText(call, "PullRequest", "head"),
    base: requiredText(call, "PullRequest", "base"),
    body: optionalText(call, "PullRequest", "body"),
    draft: isDraft(title),
  };
  const pull = await context.repositories.exclusively(repository, () => openPull(context, repository, wanted, login));
  return { status: 201, body: await renderPull(context, repository, pull) };
}

async function getPull(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call);
  return { status: 200, body: await renderPull(context, repository, pullOf(context, call, repository)) };
}

async function patchPull(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call);
  const user = signedIn(call);
  const isAuthor = sameName(pullOf(context, call, repository).author, user.login);
  if (!isAuthor && !context.accounts.allows(user, repository, "write")) throw forbidden();
  const edit = {
    title: optionalText(call, "PullRequest", "title"),
    body: optionalText(call, "PullRequest", "body"),
    base: optionalText(call, "PullRequest", "base"),
    state: optionalChoice(optionalText(call, "PullRequest", "state"), ["open", "closed"], "PullRequest", "state"),
  };
  const pull = await context.repositories.exclusively(repository, () => {
    const current = pullOf(context, call, repository);
    const draft = isDraft(edit.title ?? current.title);
    return editPull(context, repository, { ...current, draft }, edit, user.login);
  });
  return { status: 201, body: await renderPull(context, repository, pull) };
}

function isMerged(context: ForgeContext, call: Call): Reply {
  const repository = repositoryOf(context, call);
  if (pullOf(context, call, repository).merge === undefined) throw notFound();
  return { status: 204 };
}

async function merge(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call, "write");
  const { login } = signedIn(call);
  const style = MERGE_STYLES.find((one) => one === call.body["Do"]);
  if (style === undefined) throw unprocessable(`[Do]: must be one of ${MERGE_STYLES.join(", ")}`);
  const order = {
    style,
    head: optionalText(call, "PullRequest", "head_commit_id"),
    title: optionalText(call, "PullRequest", "MergeTitleField"),
    message: optionalText(call, "PullRequest", "MergeMessageField"),
  };
  await context.repositories.exclusively(repository, () =>
    mergePull(context, repository, pullOf(context, call, repository), order, login),
  );
  return { status: 200 };
}

async function listPullCommits(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call);
  const pull = pullOf(context, call, repository);
  const commits = await listCommits(context.repositories.directory(repository), pull.baseSha, pull.headSha);
  return pagedReply(call, commits.toReversed(), (sha) => ({ sha }), { link: true });
}

async function listFiles(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call);
  const pull = pullOf(context, call, repository);
  const directory = context.repositories.directory(repository);
  const from = (await findMergeBase(directory, pull.baseSha, pull.headSha)) ?? pull.baseSha;
  const changes = await listChanges(directory, from, pull.headSha);
  const render = ({ path, status, additions, deletions }: (typeof changes)[number]): unknown => ({
    filename: path,
    status: status === "modified" ? "changed" : status,
    additions,
    deletions,
    changes: additions + deletions,
  });
  return pagedReply(call, changes, render, { link: true });
}

/** Only the pull request whose merge commit is exactly this one. */
async function pullOfCommit(context: ForgeContext, call: Call): Promise<Reply> {
  const repository = repositoryOf(context, call);
  const sha = param(call, "sha");
  const found = context.store.pulls.group(`${repository.id}`).find((pull) => pull.merge?.commit === sha);
  if (found === undefined) throw notFound();
  return { status: 200, body: await renderPull(context, repository, found) };
}
