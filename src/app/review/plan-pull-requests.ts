import { contentHash } from "../../lib/canonical-json.ts";
import { identityKey } from "../../fleet/desired-state.ts";
import type { GivenApproval } from "../../plan/given-approval.ts";
import type { Plan } from "../../plan/plan.ts";
import { planMarker, renderPlanComment } from "../../report/markdown.ts";
import { describePlan } from "../../report/status-text.ts";
import { findRivals } from "../../sync/rivals.ts";
import type { PullRequest } from "../../ports/forge.ts";
import type { OutboxEntry, PullRequestRecord } from "../../ports/state-store.ts";
import { approvalsByComment, listStanding, toGiven } from "../planning/approvals.ts";
import type { Engine, Repository } from "../engine.ts";
import { loadRevision } from "../planning/load-revision.ts";
import type { LoadedManifests } from "../planning/manifests.ts";
import { commentEntry, statusEntry } from "../outbox/messages.ts";
import { comparedWith, signatureNotes } from "./signature-notes.ts";
import { affectedTargets, type MergePreview, planMerge, planState, previewMerge } from "./plan-merge.ts";

/** VMs of one plan that are compared with other pull requests; a plan of more names those it shares among them. */
const maxTouches = 5_000;

/**
 * Plans every open pull request whose head, base or meaning changed since it was planned last; those that touch a VM
 * of another one name each other. Tells of new heads.
 */
export async function planPullRequests(
  engine: Engine,
  repository: Repository,
  base: string,
  signal: AbortSignal,
  onNewHead: (pull: PullRequest) => void = () => undefined,
): Promise<void> {
  const { name, branch } = repository.config;
  const pulls = await repository.forge.listOpenPullRequests(branch, signal);
  const found = await Promise.all(pulls.map(({ number }) => engine.store.readPullRequest(name, number)));
  const records = new Map(found.flatMap((record) => (record === undefined ? [] : [[record.number, record] as const])));
  for (const pull of pulls) {
    const known = records.get(pull.number);
    if (known?.head === pull.head && known.base === base && known.draft === pull.draft) continue;
    if (known?.head !== pull.head) onNewHead(pull);
    try {
      records.set(pull.number, await planPullRequest(engine, repository, pull, base, records, signal));
    } catch (error) {
      signal.throwIfAborted();
      engine.log.warn(
        { err: error, repository: name, pullRequest: pull.number },
        "pull request cannot be planned now, will be tried again",
      );
    }
  }
  await nameNewRivals(engine, repository, pulls, records, signal);
}

async function planPullRequest(
  engine: Engine,
  repository: Repository,
  pull: PullRequest,
  base: string,
  records: ReadonlyMap<number, PullRequestRecord>,
  signal: AbortSignal,
): Promise<PullRequestRecord> {
  const { name } = repository.config;
  const known = records.get(pull.number);
  await repository.git.ensureRevisions([{ revision: pull.head, ref: pull.headRef }], signal);
  const before = await loadRevision(engine, repository, await comparedWith(engine, repository, base, signal), signal);
  const preview = await previewMerge(engine, repository, base, pull.head, signal);
  const affected =
    preview.merged === undefined ? new Set<string>() : affectedTargets(before.desired, preview.merged.desired);
  const trusted = pull.fork && known?.trustedHead === pull.head;
  const fingerprint = fingerprintOf(pull, trusted, before, preview, affected);
  if (known?.fingerprint === fingerprint) {
    const moved = { ...known, base };
    await engine.store.recordPullRequest(name, moved, []);
    return moved;
  }
  const place = { repository: name, prefix: engine.config().statusPrefix, context: "plan" as const };
  if (known?.head !== pull.head) {
    const first = statusEntry(place, pull.head, "first", "pending", "Planning", { ...pull, branch: pull.headBranch });
    await engine.store.appendOutbox([first]);
    await engine.queue.addDelivery({ schemaVersion: 1, repository: name }, `pull-${pull.number}-${pull.head}`);
  }
  const approvals = new Set((await approvalsByComment(engine, name)).keys());
  const untrusted = pull.fork && !trusted;
  const candidate = { head: pull.head, base, untrusted, approvals, before, preview, affected };
  const plan = await planMerge(engine, repository, candidate, signal);
  await engine.store.savePlan(plan.id, JSON.stringify(plan));
  const planned = await toRecord(engine, repository, pull, base, fingerprint, plan, before, preview, records);
  const record = { ...planned, ...(trusted ? { trustedHead: pull.head } : {}) };
  const conflicts = record.conflictFiles;
  const description =
    conflicts.length > 0
      ? `Cannot be planned: conflicts with ${pull.baseBranch} in ${conflicts.join(", ")}`
      : describePlan(plan);
  const entries: OutboxEntry[] = [
    await renderEntry(engine, repository, pull, record, plan, signal),
    statusEntry(place, pull.head, "final", planState(plan, conflicts), description, {
      url: pull.url,
      branch: pull.headBranch,
    }),
  ];
  await engine.store.recordPullRequest(name, record, entries);
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
  return record;
}

async function toRecord(
  engine: Engine,
  repository: Repository,
  pull: PullRequest,
  base: string,
  fingerprint: string,
  plan: Plan,
  before: LoadedManifests,
  preview: MergePreview,
  records: ReadonlyMap<number, PullRequestRecord>,
): Promise<PullRequestRecord> {
  const treeId = preview.merged?.treeId;
  const isReturn = treeId !== undefined && treeId !== before.treeId;
  const returnsTo = isReturn ? await engine.store.findSyncedTree(repository.config.name, treeId) : undefined;
  const touches = plan.operations.map(({ cluster, identity }) => `${cluster}/${identityKey(identity)}`);
  const record = {
    number: pull.number,
    fingerprint,
    head: pull.head,
    base,
    draft: pull.draft,
    planId: plan.id,
    plannedAtMs: engine.clock.now(),
    conflictFiles: preview.conflictFiles,
    returnsTo,
    touches: [...new Set(touches)].sort().slice(0, maxTouches),
    rivals: [],
  };
  return { ...record, rivals: findRivals(record, records.values()) };
}

/** A pull request that appeared, changed or went away changes the list of those it shares a VM with. */
async function nameNewRivals(
  engine: Engine,
  repository: Repository,
  pulls: readonly PullRequest[],
  records: ReadonlyMap<number, PullRequestRecord>,
  signal: AbortSignal,
): Promise<void> {
  const { name } = repository.config;
  for (const pull of pulls) {
    const record = records.get(pull.number);
    if (record === undefined) continue;
    const rivals = findRivals(record, records.values());
    if (rivals.join() === record.rivals.join()) continue;
    const text = record.planId === undefined ? undefined : await engine.store.readPlan(record.planId);
    if (text === undefined) continue;
    const next = { ...record, rivals };
    const entry = await renderEntry(engine, repository, pull, next, JSON.parse(text) as Plan, signal);
    await engine.store.recordPullRequest(name, next, [entry]);
    await engine.queue.addDelivery({ schemaVersion: 1, repository: name }, `rivals-${pull.number}-${rivals.join("-")}`);
  }
}

async function renderEntry(
  engine: Engine,
  repository: Repository,
  pull: PullRequest,
  record: PullRequestRecord,
  plan: Plan,
  signal: AbortSignal,
): Promise<OutboxEntry> {
  const { name } = repository.config;
  const approvals = await approvalsByComment(engine, name);
  const { instance } = engine.config();
  const markdown = renderPlanComment({
    plan,
    marker: planMarker(instance, name),
    instance,
    repository: name,
    head: pull.head,
    base: record.base,
    baseBranch: pull.baseBranch,
    pullRequest: { number: pull.number, fork: pull.fork, draft: pull.draft },
    returnsTo: record.returnsTo,
    rivals: record.rivals,
    notes: await signatureNotes(engine, repository, { ...pull, base: record.base }, signal),
    approval: plan.deletions.approved ? approvals.get(plan.deletions.approvalId) : undefined,
    lapsedApproval: await findLapsed(engine, name, pull, plan),
    nowMs: engine.clock.now(),
    version: engine.version,
    conflictFiles: record.conflictFiles,
    linkToFile: (file, line) => repository.forge.fileUrl(pull.head, file, line),
    fullPlan: `kraken-gitops plan --repository ${name} --revision ${pull.head.slice(0, 12)}`,
    limitChars: Math.min(60_000, repository.forge.limits.commentChars),
  });
  return commentEntry(name, pull.number, "latest", planMarker(instance, name), markdown);
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
