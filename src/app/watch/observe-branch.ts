import { lastTip } from "../signatures/last-tip.ts";
import { WatcherError } from "../../lib/errors.ts";
import type { BranchRecord } from "../../ports/state-store.ts";
import type { Engine, Repository } from "../engine.ts";

/** Commits of one push that get a status of their own; older ones of the same push do not. */
const maxArrived = 250;
/** Commits looked at: more than come together between two polls, few enough for a forge that counts requests. */
const maxLookedAt = 20;

export interface ObservedBranch {
  /** The branch no longer contains what it contained. */
  readonly rewritten: boolean;
  /** A sync was under way when the state was lost; its last operations may still be. */
  readonly forgotten: boolean;
}

/** Writes down what reached the branch, before anything is planned. */
export async function observeBranch(
  engine: Engine,
  repository: Repository,
  branch: BranchRecord,
  tip: string,
  signal: AbortSignal,
): Promise<ObservedBranch> {
  const { git, config } = repository;
  const since = branch.observed;
  if (since === tip) return { rewritten: await isRewritten(repository, branch, tip, signal), forgotten: false };
  const known = since !== undefined && (await contains(repository, since, since, signal));
  const pending = since === undefined ? await findPending(engine, repository, tip, signal) : [];
  const arrived = known ? await git.listCommits(since, tip, maxArrived, signal) : pending;
  const commits = arrived.includes(tip) ? arrived : [tip, ...arrived];
  await engine.store.recordObserved(config.name, tip, commits.toReversed());
  const before = lastTip(branch);
  const rewritten = before !== undefined && !(await contains(repository, before, tip, signal));
  engine.log.info(
    { repository: config.name, revision: tip, previous: since, commits: commits.length, rewritten },
    "new revision",
  );
  if (rewritten)
    engine.log.warn(
      { repository: config.name, revision: tip, previous: since },
      "the branch was rewritten; deletions wait for an approval",
    );
  return {
    rewritten: rewritten || (await isRewritten(repository, branch, tip, signal)),
    forgotten: pending.length > 0,
  };
}

/** The branch no longer contains what was synced. */
export async function isRewritten(
  repository: Repository,
  branch: BranchRecord,
  tip: string,
  signal: AbortSignal,
): Promise<boolean> {
  return branch.synced !== undefined && !(await contains(repository, branch.synced, tip, signal));
}

/** False also when the commit is gone from the repository: then its history cannot be trusted either. */
async function contains(repository: Repository, ancestor: string, tip: string, signal: AbortSignal): Promise<boolean> {
  try {
    return await repository.git.isAncestor(ancestor, tip, signal);
  } catch (error) {
    if (error instanceof WatcherError && error.code === "git-revision-missing") return false;
    throw error;
  }
}

/**
 * Commits of a branch that nothing is remembered of, but that carry a pending status of ours, newest first: the state
 * was lost in the middle of a sync, and they still wait for their final status. A forge that does not answer delays no
 * sync: then there are none.
 */
async function findPending(
  engine: Engine,
  { config, git, forge }: Repository,
  tip: string,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const context = `${engine.config().statusPrefix}/sync`;
  const pending: string[] = [];
  try {
    for (const revision of await git.listCommits(undefined, tip, maxLookedAt, signal)) {
      const status = await forge.findCommitStatus(revision, context, signal);
      if (status?.state === "pending") pending.push(revision);
    }
  } catch (error) {
    signal.throwIfAborted();
    engine.log.warn(
      { err: error, repository: config.name },
      "statuses of earlier commits cannot be read; pending ones may stay so",
    );
  }
  if (pending.length > 0)
    engine.log.warn(
      { repository: config.name, commits: pending.length },
      "nothing is remembered of this branch, and commits wait for their final status",
    );
  return pending;
}
