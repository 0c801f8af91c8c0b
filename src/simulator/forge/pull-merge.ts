import { ApiError } from "./api-error.ts";
import type { ForgeContext } from "./context.ts";
import { findBranch, listCommits, moveRef, readCommit } from "./git-objects.ts";
import {
  FORGE_IDENTITY,
  type Identity,
  makeMergeCommit,
  makeSquashCommit,
  type MergeMethod,
  type MergeRequest,
  replayCommits,
} from "./merging.ts";
import type { PullRecord, RepositoryRecord } from "./records.ts";

export interface MergeOrder {
  readonly method: MergeMethod;
  /** The head the client saw. */
  readonly sha: string | undefined;
  readonly title: string | undefined;
  readonly message: string | undefined;
}

/** Merges and answers the new tip of the base. @throws ApiError 405 not mergeable, 409 head or base moved meanwhile. */
export async function mergePull(
  context: ForgeContext,
  repository: RepositoryRecord,
  pull: PullRecord,
  order: MergeOrder,
  login: string,
): Promise<string> {
  if (pull.state === "closed") throw new ApiError(405, "Pull Request is not mergeable");
  if (pull.draft) throw new ApiError(405, "Pull Request is still a draft");
  if (order.sha !== undefined && order.sha !== pull.headSha) {
    throw new ApiError(409, "Head branch was modified. Review and try the merge again.");
  }
  const directory = context.repositories.directory(repository);
  const base = await findBranch(directory, pull.baseBranch);
  if (base === undefined) throw new ApiError(405, "Pull Request is not mergeable");
  const commits = await listCommits(directory, base, pull.headSha);
  const tip = await makeCommits(directory, pull, order, base, login, commits);
  if (tip === undefined || tip === base) throw new ApiError(405, "Pull Request is not mergeable");
  const landed = [...new Set([...commits, ...(await listCommits(directory, base, tip))])];
  const merging = { at: Date.now(), by: login, commit: tip, commits: landed };
  const marked = context.store.pulls.replace({ ...pull, merging });
  if (!(await moveRef(directory, `refs/heads/${pull.baseBranch}`, tip, base))) {
    context.store.pulls.replace({ ...marked, merging: undefined });
    throw new ApiError(409, "Base branch was modified. Review and try the merge again.");
  }
  await context.refresh.runInTurn(repository, login);
  return tip;
}

async function makeCommits(
  directory: string,
  pull: PullRecord,
  order: MergeOrder,
  base: string,
  login: string,
  commits: readonly string[],
): Promise<string | undefined> {
  const request = (author: Identity, committer: Identity, title: string, message: string): MergeRequest => ({
    base,
    head: pull.headSha,
    author,
    committer,
    message: [order.title ?? title, order.message ?? message].filter((part) => part !== "").join("\n\n"),
  });
  switch (order.method) {
    case "merge": {
      const title = `Merge pull request #${pull.number} from ${pull.headOwner}/${pull.headBranch}`;
      return makeMergeCommit(directory, request(identityOf(login), FORGE_IDENTITY, title, pull.title));
    }
    case "squash": {
      const subjects = await Promise.all(commits.map(async (sha) => `* ${(await readCommit(directory, sha)).message}`));
      const title = `${pull.title} (#${pull.number})`;
      return makeSquashCommit(
        directory,
        request(identityOf(pull.author), FORGE_IDENTITY, title, subjects.length > 1 ? subjects.join("\n\n") : ""),
      );
    }
    case "rebase":
      return replayCommits(directory, request(identityOf(login), identityOf(login), "", ""));
    default:
      return order.method satisfies never;
  }
}

/** Mail addresses of the forge's users, as GitHub's private ones. */
function identityOf(login: string): Identity {
  return { name: login, email: `${login}@users.noreply.example` };
}
