import { git, gitText } from "./git-command.ts";
import { type CommitInfo, listCommits, readCommit, type Signature } from "./git-objects.ts";

/** Merges without a work tree. None of these moves a ref: they make commits and answer their ids, or undefined on conflict. */

export type MergeMethod = "merge" | "squash" | "rebase";

export interface MergeRequest {
  readonly base: string;
  readonly head: string;
  readonly author: Identity;
  readonly committer: Identity;
  readonly message: string;
}

export interface Identity {
  readonly name: string;
  readonly email: string;
}

export const FORGE_IDENTITY: Identity = { name: "GitHub", email: "noreply@github.com" };

/** The tree of merging two commits, undefined when they conflict. */
export async function mergeTree(directory: string, base: string, head: string): Promise<string | undefined> {
  const args = ["merge-tree", "--write-tree", "--no-messages", "--allow-unrelated-histories", base, head];
  const { code, stdout } = await git(directory, args, { accept: [0, 1] });
  return code === 0 ? stdout.trim() : undefined;
}

export async function makeMergeCommit(directory: string, request: MergeRequest): Promise<string | undefined> {
  const tree = await mergeTree(directory, request.base, request.head);
  return tree === undefined ? undefined : commitTree(directory, tree, [request.base, request.head], request);
}

export async function makeSquashCommit(directory: string, request: MergeRequest): Promise<string | undefined> {
  const tree = await mergeTree(directory, request.base, request.head);
  return tree === undefined ? undefined : commitTree(directory, tree, [request.base], request);
}

/** Every commit of the head made anew on the base, with its own author and message; GitHub never fast-forwards here. */
export async function replayCommits(directory: string, request: MergeRequest): Promise<string | undefined> {
  let tip = request.base;
  for (const sha of await listCommits(directory, request.base, request.head, "--no-merges")) {
    const picked = await pickCommit(directory, await readCommit(directory, sha), tip, request.committer);
    if (picked === undefined) return undefined;
    tip = picked;
  }
  return tip;
}

/**
 * Cherry-picks with `merge-tree`, which takes no merge base in git 2.38 and 2.39: a throw-away commit with the tip's
 * tree and the picked commit's parent makes that parent the merge base.
 */
async function pickCommit(
  directory: string,
  commit: CommitInfo,
  tip: string,
  committer: Identity,
): Promise<string | undefined> {
  const parent = commit.parents[0];
  const tipTree = (await readCommit(directory, tip)).tree;
  const stage = await commitTree(directory, tipTree, parent === undefined ? [] : [parent], {
    author: committer,
    committer,
    message: "stage",
  });
  const tree = await mergeTree(directory, stage, commit.sha);
  if (tree === undefined) return undefined;
  return commitTree(directory, tree, [tip], { author: commit.author, committer, message: commit.message });
}

interface CommitText {
  readonly author: Identity | Signature;
  readonly committer: Identity;
  readonly message: string;
}

function commitTree(directory: string, tree: string, parents: readonly string[], text: CommitText): Promise<string> {
  const env: Record<string, string> = {
    GIT_AUTHOR_NAME: text.author.name,
    GIT_AUTHOR_EMAIL: text.author.email,
    GIT_COMMITTER_NAME: text.committer.name,
    GIT_COMMITTER_EMAIL: text.committer.email,
  };
  if ("date" in text.author) env["GIT_AUTHOR_DATE"] = text.author.date;
  const args = ["commit-tree", tree, ...parents.flatMap((parent) => ["-p", parent]), "-F", "-"];
  return gitText(directory, args, { env, input: `${text.message}\n` });
}
