import { ApiError } from "../api-error.ts";
import type { ForgeContext } from "../context.ts";
import { findBranch, isAncestor, listCommits, moveRef } from "../git-objects.ts";
import { type Identity, makeMergeCommit, makeSquashCommit, replayCommits } from "../merging.ts";
import type { PullRecord, RepositoryRecord } from "../records.ts";

/** `Do` of an order to merge. */
export const MERGE_STYLES = ["merge", "rebase", "rebase-merge", "squash", "fast-forward-only"] as const;
export type MergeStyle = (typeof MERGE_STYLES)[number];

export interface MergeOrder {
  readonly style: MergeStyle;
  /** The head the client saw. */
  readonly head: string | undefined;
  readonly title: string | undefined;
  readonly message: string | undefined;
}

/** Callers hold the repository. @throws ApiError 405 not mergeable, 409 conflict or a head or base that moved. */
export async function mergePull(
  context: ForgeContext,
  repository: RepositoryRecord,
  pull: PullRecord,
  order: MergeOrder,
  login: string,
): Promise<void> {
  if (pull.state === "closed") throw new ApiError(405, "The PR is already merged or closed");
  if (pull.draft) throw new ApiError(405, "Work in progress PRs cannot be merged");
  if (order.head !== undefined && order.head !== pull.headSha) throw new ApiError(409, "head out of date");
  const directory = context.repositories.directory(repository);
  const base = await findBranch(directory, pull.baseBranch);
  if (base === undefined) throw new ApiError(405, "Please try again later");
  const commits = await listCommits(directory, base, pull.headSha);
  const tip = await makeTip(directory, pull, order, base, login);
  if (tip === undefined || tip === base) throw new ApiError(409, "merge conflict");
  const landed = [...new Set([...commits, ...(await listCommits(directory, base, tip))])];
  const merging = { at: Date.now(), by: login, commit: tip, commits: landed };
  const marked = context.store.pulls.replace({ ...pull, merging });
  if (!(await moveRef(directory, `refs/heads/${pull.baseBranch}`, tip, base))) {
    context.store.pulls.replace({ ...marked, merging: undefined });
    throw new ApiError(409, "merge push out of date");
  }
  await context.refresh.runInTurn(repository, login);
}

/** The new tip of the base; undefined on conflict. */
async function makeTip(
  directory: string,
  pull: PullRecord,
  order: MergeOrder,
  base: string,
  login: string,
): Promise<string | undefined> {
  const head = pull.headSha;
  const identity = identityOf(login);
  const words = (title: string): string =>
    [order.title ?? title, order.message ?? ""].filter((part) => part !== "").join("\n\n");
  const texts = { base, author: identity, committer: identity };
  const title = `Merge pull request '${pull.title}' (#${pull.number}) from ${pull.headBranch} into ${pull.baseBranch}`;
  switch (order.style) {
    case "merge":
      return makeMergeCommit(directory, { ...texts, head, message: words(title) });
    case "squash": {
      const message = words(`${pull.title} (#${pull.number})`);
      return makeSquashCommit(directory, { ...texts, head, message, author: identityOf(pull.author) });
    }
    case "rebase":
      return rebase(directory, base, head, identity);
    case "rebase-merge": {
      const rebased = await rebase(directory, base, head, identity);
      if (rebased === undefined) return undefined;
      return makeMergeCommit(directory, { ...texts, head: rebased, message: words(title) });
    }
    case "fast-forward-only":
      if (await isAncestor(directory, base, head)) return head;
      throw new ApiError(409, "Merge failed: the branch has diverged and cannot be fast-forwarded");
    default:
      return order.style satisfies never;
  }
}

/** As git does it: a head that has the base already stays as it is. */
async function rebase(directory: string, base: string, head: string, identity: Identity): Promise<string | undefined> {
  if (await isAncestor(directory, base, head)) return head;
  return replayCommits(directory, { base, head, author: identity, committer: identity, message: "" });
}

function identityOf(login: string): Identity {
  return { name: login, email: `${login}@noreply.example` };
}
