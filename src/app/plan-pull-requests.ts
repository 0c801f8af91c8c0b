import { contentHash } from "../lib/canonical-json.ts";
import type { DesiredState } from "../fleet/desired-state.ts";
import type { GivenApproval } from "../plan/given-approval.ts";
import type { Plan } from "../plan/plan.ts";
import { planMarker, renderPlanComment } from "../report/markdown.ts";
import { describePlan } from "../report/status-text.ts";
import type { PullRequest } from "../ports/forge.ts";
import type { OutboxEntry, PullRequestRecord } from "../ports/state-store.ts";
import { approvalsByComment, listStanding, toGiven } from "./approvals.ts";
import type { Engine, Repository } from "./engine.ts";
import { loadRevision } from "./load-revision.ts";
import type { LoadedManifests } from "./manifests.ts";
import { statusEntry } from "./messages.ts";
import { type MergePreview, planMerge } from "./plan-merge.ts";

/** Plans every open pull request whose head, base or meaning changed since it was planned last. */
export async function planPullRequests(
  engine: Engine,
  repository: Repository,
  base: string,
  signal: AbortSignal,
): Promise<void> {
  const { name, branch } = repository.config;
  for (const pull of await repository.forge.listOpenPullRequests(branch, signal)) {
    const known = await engine.store.readPullRequest(name, pull.number);
    if (known?.head === pull.head && known.base === base) continue;
    try {
      await planPullRequest(engine, repository, pull, base, known, signal);
    } catch (error) {
      signal.throwIfAborted();
      engine.log.warn(
        { err: error, repository: name, pullRequest: pull.number },
        "pull request cannot be planned now, will be tried again",
      );
    }
  }
}

async function planPullRequest(
  engine: Engine,
  repository: Repository,
  pull: PullRequest,
  base: string,
  known: PullRequestRecord | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { name } = repository.config;
  await repository.git.ensureRevisions([{ revision: pull.head, ref: pull.headRef }], signal);
  const before = await loadRevision(engine, repository, base, signal);
  const preview = await previewMerge(engine, repository, base, pull.head, signal);
  const affected =
    preview.merged === undefined ? new Set<string>() : affectedTargets(before.desired, preview.merged.desired);
  const trusted = pull.fork && known?.trustedHead === pull.head;
  const fingerprint = fingerprintOf(pull, trusted, before, preview, affected);
  const unchanged = known?.fingerprint === fingerprint;
  if (unchanged) {
    await engine.store.recordPullRequest(name, { ...known, base }, []);
    return;
  }
  const place = { repository: name, prefix: engine.config().statusPrefix, context: "plan" as const };
  if (known?.head !== pull.head) {
    await engine.store.appendOutbox([statusEntry(place, pull.head, "first", "pending", "Planning", pull.url)]);
    await engine.queue.addDelivery({ schemaVersion: 1, repository: name }, `pull-${pull.number}-${pull.head}`);
  }
  const approvals = await approvalsByComment(engine, name);
  const inFull = (!pull.fork || trusted) && preview.merged !== undefined;
  const plan = await planMerge(
    engine,
    repository,
    { head: pull.head, base, inFull, approvals: new Set(approvals.keys()) },
    before,
    preview,
    affected,
    signal,
  );
  await engine.store.savePlan(plan.id, JSON.stringify(plan));
  const returnsTo =
    preview.merged?.treeId === undefined ? undefined : await engine.store.findSyncedTree(name, preview.merged.treeId);
  const markdown = renderPlanComment({
    plan,
    marker: planMarker(engine.config().instance, name),
    instance: engine.config().instance,
    repository: name,
    head: pull.head,
    base,
    baseBranch: pull.baseBranch,
    pullRequest: { number: pull.number, fork: pull.fork, draft: pull.draft },
    returnsTo: preview.merged?.treeId === before.treeId ? undefined : returnsTo,
    nowMs: engine.clock.now(),
    version: engine.version,
    conflictFiles: preview.conflictFiles,
    approval: plan.deletions.approved ? approvals.get(plan.deletions.approvalId) : undefined,
    lapsedApproval: await findLapsed(engine, name, pull, plan),
    linkToFile: (file, line) => repository.forge.fileUrl(pull.head, file, line),
    fullPlan: `kraken-gitops plan --repository ${name} --revision ${pull.head.slice(0, 12)}`,
    limitChars: Math.min(60_000, repository.forge.limits.commentChars),
  });
  const state = planState(plan, preview.conflictFiles);
  const description =
    preview.conflictFiles.length > 0
      ? `Cannot be planned: conflicts with ${pull.baseBranch} in ${preview.conflictFiles.join(", ")}`
      : describePlan(plan);
  const entries: OutboxEntry[] = [
    {
      repository: name,
      key: `comment/${pull.number}`,
      weight: "latest",
      message: {
        kind: "comment",
        pullRequest: pull.number,
        marker: planMarker(engine.config().instance, name),
        markdown,
      },
    },
    statusEntry(place, pull.head, "final", state, description, pull.url),
  ];
  await engine.store.recordPullRequest(
    name,
    {
      number: pull.number,
      fingerprint,
      head: pull.head,
      base,
      planId: plan.id,
      plannedAtMs: engine.clock.now(),
      ...(trusted ? { trustedHead: pull.head } : {}),
    },
    entries,
  );
  engine.log.info(
    {
      repository: name,
      pullRequest: pull.number,
      head: pull.head,
      base,
      plan: plan.id,
      operations: plan.operations.length,
    },
    "pull request planned",
  );
  await engine.queue.addDelivery({ schemaVersion: 1, repository: name }, `plan-${pull.number}-${fingerprint}`);
}

/** The newest approval of this pull request, where something is lost that it was not given for. */
async function findLapsed(
  engine: Engine,
  repository: string,
  pull: PullRequest,
  { deletions, offline }: Plan,
): Promise<GivenApproval | undefined> {
  if (deletions.losing.length === 0 || deletions.approved || offline) return undefined;
  const [newest] = await listStanding(engine, repository, pull.number);
  return newest === undefined ? undefined : toGiven(newest);
}

async function previewMerge(
  engine: Engine,
  repository: Repository,
  base: string,
  head: string,
  signal: AbortSignal,
): Promise<MergePreview> {
  const merge = await repository.git.mergeTree(base, head, signal);
  if (merge.kind === "conflict") return { merged: undefined, conflictFiles: merge.files };
  return { merged: await loadRevision(engine, repository, merge.tree, signal), conflictFiles: [] };
}

/** Targets the merge adds, changes or takes away. */
function affectedTargets(before: DesiredState, after: DesiredState): Set<string> {
  const affected = new Set<string>();
  for (const [key, target] of after.targets) if (before.targets.get(key)?.hash !== target.hash) affected.add(key);
  for (const key of before.targets.keys()) if (!after.targets.has(key)) affected.add(key);
  return affected;
}

/** Everything the comment rests on in git; a base that moves elsewhere leaves it as it is. */
function fingerprintOf(
  pull: PullRequest,
  trusted: boolean,
  before: LoadedManifests,
  preview: MergePreview,
  affected: ReadonlySet<string>,
): string {
  const after = preview.merged?.desired;
  const hashes = [...affected]
    .sort()
    .map((key) => [key, before.desired.targets.get(key)?.hash, after?.targets.get(key)?.hash]);
  return contentHash([pull.head, pull.fork, trusted, pull.draft, hashes, after?.problems, preview.conflictFiles], 24);
}

/** A plan that cannot be carried out as it stands fails its check; alarms alone do not: the reviewer decides. */
function planState(plan: Plan, conflictFiles: readonly string[]): "success" | "failure" {
  const broken =
    plan.problems.some((problem) => problem.severity === "error") ||
    plan.conflicts.length > 0 ||
    conflictFiles.length > 0;
  return broken ? "failure" : "success";
}
