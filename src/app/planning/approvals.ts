import { readApprovals } from "../../plan/deletion-rules.ts";
import type { GivenApproval } from "../../plan/given-approval.ts";
import { shortRevision } from "../../report/format.ts";
import type { Commit } from "../../ports/git-source.ts";
import type { Approval } from "../../ports/state-store.ts";
import type { Engine, Repository } from "../engine.ts";
import { whoseWordsCount } from "../signatures/signature-gate.ts";

/** Approval id -> who gave it. */
export type Approvals = ReadonlyMap<string, GivenApproval>;

/** How long an approval by comment holds: whoever gave it has forgotten it by then. */
const holdsMs = 30 * 24 * 60 * 60 * 1000;
/** Newest commits that are looked through for approvals. */
const maxCommits = 50;

/** Approvals that hold for a revision: by comment, and in the commits that are being synced. */
export async function listApprovals(
  engine: Engine,
  repository: Repository,
  revision: string,
  signal: AbortSignal,
): Promise<Approvals> {
  const byCommit = await approvalsInCommits(engine, repository, revision, signal);
  return new Map([...byCommit, ...(await approvalsByComment(engine, repository.config.name))]);
}

/** What people approved by comment, the newest word for each id. */
export async function approvalsByComment(engine: Pick<Engine, "store" | "clock">, repository: string) {
  const found = new Map<string, GivenApproval>();
  for (const approval of await listStanding(engine, repository))
    if (!found.has(approval.id)) found.set(approval.id, toGiven(approval));
  return found;
}

/** Newest first; those of a pull request alone where one is named. */
export async function listStanding(
  engine: Pick<Engine, "store" | "clock">,
  repository: string,
  pullRequest?: number,
): Promise<readonly Approval[]> {
  const oldestMs = engine.clock.now() - holdsMs;
  const approvals = await engine.store.listApprovals(repository);
  return approvals.filter(
    (approval) => approval.atMs >= oldestMs && (pullRequest === undefined || approval.pullRequest === pullRequest),
  );
}

export function toGiven({ by, atMs, planId, pullRequest }: Approval): GivenApproval {
  return { by, atMs, planId, place: `pull request ${pullRequest}` };
}

/** Approvals stand in the commits that are being synced; a merge commit seldom repeats the trailers of what it merges. */
async function approvalsInCommits(
  engine: Engine,
  repository: Repository,
  revision: string,
  signal: AbortSignal,
): Promise<Approvals> {
  const unsettled = await engine.store.listUnsettledCommits(repository.config.name);
  const commits = new Set([revision, ...unsettled.slice(-maxCommits)]);
  const said: { readonly commit: Commit; readonly approvals: ReadonlySet<string> }[] = [];
  for (const id of commits) {
    const commit = await repository.git.readCommit(id, signal);
    const approvals = readApprovals(commit.message);
    if (approvals.size > 0) said.push({ commit, approvals });
  }
  const speakers = said.map(({ commit }) => commit.revision);
  const count = await whoseWordsCount(engine, repository, speakers, signal);
  const found = new Map<string, GivenApproval>();
  for (const { commit, approvals } of said.filter((one) => count.has(one.commit.revision))) {
    const place = `commit ${shortRevision(commit.revision)}`;
    const given = { by: commit.author, atMs: commit.committedAtMs, planId: undefined, place };
    for (const approval of approvals) found.set(approval, given);
  }
  return found;
}
