import { WatcherError } from "../../lib/errors.ts";
import type { PlanInput } from "../../plan/build-plan.ts";
import type { Plan } from "../../plan/plan.ts";
import { describeHeld, describeProgress } from "../../report/status-text.ts";
import { isPermitted } from "../../sync/cluster-pass.ts";
import { type Hold, isWilful } from "../../sync/pauses.ts";
import { isRolloutHold } from "../../sync/rollout.ts";
import type { ClusterPass, SyncRecord } from "../../sync/sync-record.ts";
import { type AppliedTarget, type BranchRecord, inMotion } from "../../ports/state-store.ts";
import { type Approvals, listApprovals } from "../planning/approvals.ts";
import type { Engine, Repository } from "../engine.ts";
import { finishSyncIfDone } from "./finish-sync.ts";
import { readHolds } from "../holds.ts";
import { describeFirst, firstWait, stagedRollouts } from "./first-stage.ts";
import { loadRevision } from "../planning/load-revision.ts";
import type { LoadedManifests } from "../planning/manifests.ts";
import { statusEntry, supersededEntries } from "../outbox/messages.ts";
import { planWithHistory } from "../planning/plan-with-history.ts";
import { readClusters } from "../planning/read-clusters.ts";
import type { AcceptedRevision } from "../signatures/signature-gate.ts";

/** A cluster slower than this begins held and is planned by its own pass, so that it does not delay the others. */
const patienceMs = 5_000;

/** A revision that is to be synced, as the watcher found it. */
export interface SyncRequest {
  readonly revision: AcceptedRevision;
  readonly branch: BranchRecord;
  /** The branch no longer contains the revision synced before. */
  readonly rewritten: boolean;
  /** Plan every target, also those whose desired state was applied before. */
  readonly everything: boolean;
  /** Targets in which drift was found: planned beside what changed. */
  readonly drifted?: ReadonlySet<string> | undefined;
  readonly predecessors: readonly string[];
}

/** Plans a revision against live state and starts its sync. Answers the sync's id. */
export async function startSync(
  engine: Engine,
  repository: Repository,
  request: SyncRequest,
  signal: AbortSignal,
): Promise<string> {
  const { name } = repository.config;
  const loaded = await loadRevision(engine, repository, request.revision, signal);
  const base = await loadBase(engine, repository, request.branch.synced, signal);
  const applied = await engine.store.readApplied(name);
  const scope = request.everything || applied.size === 0 ? undefined : scopeOf(loaded, applied, request.drifted);
  const approvals = await listApprovals(engine, repository, request.revision, signal);
  const plan = await planRevision(
    engine,
    repository,
    request,
    { loaded, base, scope, enforced: enforcedOf(loaded, applied), approvals },
    signal,
  );
  await engine.store.savePlan(plan.id, JSON.stringify(plan));
  const approval = plan.deletions.approved ? approvals.get(plan.deletions.approvalId) : undefined;
  const record = {
    ...(await toRecord(engine, repository, request, loaded, plan, scope, applied, signal)),
    ...(approval === undefined ? {} : { approval }),
    ...(await stagedRollouts(engine, request.branch.currentSync, plan)),
  };
  const holds = await readHolds(engine, name, record.clusters);
  const passes = record.clusters.map((cluster) =>
    firstPass(cluster, plan, record, holds.get(cluster), engine.clock.now()),
  );
  const place = { repository: name, prefix: engine.config().statusPrefix, context: "sync" as const };
  const first = statusEntry(place, record.revision, "first", "pending", pendingText(record, passes));
  const awaited = record.commits.includes(record.revision) ? [first] : [];
  const entries = [...supersededEntries(place, record.commits, record.revision), ...awaited];
  if (!(await engine.store.createSync(record, passes, entries, { syncId: request.branch.currentSync })))
    throw new WatcherError("lease-lost", "another process started a sync of this branch meanwhile");
  engine.log.info(
    {
      repository: name,
      sync: record.id,
      revision: record.revision,
      operations: plan.operations.length,
      clusters: record.clusters.length,
      held: plan.held.length,
    },
    "sync started",
  );
  for (const cluster of record.clusters)
    await engine.queue.addAdvance({ schemaVersion: 1, syncId: record.id, cluster }, "start");
  await engine.queue.addDelivery({ schemaVersion: 1, repository: name }, record.id);
  await finishSyncIfDone(engine, record);
  return record.id;
}

/** What was synced before; undefined on first sight or when that commit is gone (then nothing is told apart as drift). */
async function loadBase(
  engine: Engine,
  repository: Repository,
  revision: string | undefined,
  signal: AbortSignal,
): Promise<LoadedManifests | undefined> {
  if (revision === undefined) return undefined;
  try {
    await repository.git.ensureRevisions([{ revision, ref: undefined }], signal);
    return await loadRevision(engine, repository, revision, signal);
  } catch (error) {
    signal.throwIfAborted();
    engine.log.warn(
      { err: error, repository: repository.config.name, revision },
      "revision synced before cannot be read, planning without it",
    );
    return undefined;
  }
}

/** Targets whose desired state is not the one applied last, targets that are gone, and those that drifted. */
function scopeOf(
  loaded: LoadedManifests,
  applied: ReadonlyMap<string, AppliedTarget>,
  drifted: ReadonlySet<string> = new Set(),
): Set<string> {
  const scope = new Set<string>();
  for (const [key, target] of loaded.desired.targets)
    if (applied.get(key)?.hash !== target.hash || drifted.has(key)) scope.add(key);
  for (const key of applied.keys()) if (!loaded.desired.targets.has(key)) scope.add(key);
  return scope;
}

/** Targets of which nobody can say that they were brought to their end: begun by a sync that was cut off, or never seen. */
function enforcedOf(loaded: LoadedManifests, applied: ReadonlyMap<string, AppliedTarget>): Set<string> {
  const keys = [...loaded.desired.targets.keys()];
  return new Set(keys.filter((key) => (applied.get(key)?.hash ?? inMotion) === inMotion));
}

interface Inputs {
  readonly loaded: LoadedManifests;
  readonly base: LoadedManifests | undefined;
  readonly scope: ReadonlySet<string> | undefined;
  readonly enforced: ReadonlySet<string>;
  readonly approvals: Approvals;
}

async function planRevision(
  engine: Engine,
  repository: Repository,
  request: SyncRequest,
  inputs: Inputs,
  signal: AbortSignal,
): Promise<Plan> {
  const configured = engine.config().clusters.map((cluster) => cluster.name);
  const touched = inputs.scope === undefined ? new Set(configured) : new Set([...inputs.scope].map(clusterOf));
  const { live, held } = await readClusters(
    engine,
    configured.filter((cluster) => touched.has(cluster)),
    signal,
    patienceMs,
  );
  const input: PlanInput = {
    instance: engine.config().instance,
    revision: request.revision,
    baseRevision: request.branch.synced,
    desired: inputs.loaded.desired,
    base: inputs.base?.desired,
    live,
    held,
    traitsOfHeld: new Map(held.map(({ cluster }) => [cluster, engine.traits(driverOf(engine, cluster))])),
    enforced: inputs.enforced,
    scope: inputs.scope,
    owedStarts: await engine.store.listOwedStarts(),
    rewritten: request.rewritten,
    approvals: new Set(inputs.approvals.keys()),
    offline: false,
  };
  return planWithHistory(engine, repository, input, signal);
}

function driverOf(engine: Engine, cluster: string): "hypercore" | "libvirt" {
  return engine.config().clusters.find((candidate) => candidate.name === cluster)?.driver ?? "hypercore";
}

function clusterOf(key: string): string {
  return key.slice(0, key.indexOf("/"));
}

async function toRecord(
  engine: Engine,
  repository: Repository,
  request: SyncRequest,
  loaded: LoadedManifests,
  plan: Plan,
  scope: ReadonlySet<string> | undefined,
  applied: ReadonlyMap<string, AppliedTarget>,
  signal: AbortSignal,
): Promise<SyncRecord> {
  const { name, branch } = repository.config;
  const commit = await repository.git.readCommit(request.revision, signal);
  const startedAtMs = engine.clock.now();
  const unsettled = await engine.store.listUnsettledCommits(name);
  const returnsTo = loaded.treeId === undefined ? undefined : await engine.store.findSyncedTree(name, loaded.treeId);
  const problems = problemsOf(loaded, plan, applied);
  const busy = new Set([...plan.operations, ...plan.conflicts, ...plan.held].map(({ cluster }) => cluster));
  const keys = scope ?? new Set([...loaded.desired.targets.keys(), ...applied.keys()]);
  return {
    schemaVersion: 1,
    id: `${name}-${request.revision.slice(0, 12)}-${startedAtMs.toString(36)}`,
    repository: name,
    branch,
    revision: request.revision,
    treeId: loaded.treeId,
    baseRevision: request.branch.synced,
    planId: plan.id,
    commits: (await isOldNews(engine, request, unsettled, busy.size > 0 || problems.some(isError)))
      ? []
      : [request.revision, ...unsettled.filter((other) => other !== request.revision)],
    author: commit.author,
    subject: commit.subject,
    startedAtMs,
    returnsTo:
      returnsTo?.revision === request.branch.synced || returnsTo?.revision === request.revision ? undefined : returnsTo,
    problems,
    clusters: [...busy].sort(),
    targets: Object.fromEntries([...keys].map((key) => [key, loaded.desired.targets.get(key)?.hash ?? ""])),
    enforced: [...enforcedOf(loaded, applied)].filter((key) => keys.has(key)),
    predecessors: request.predecessors,
    deletions: plan.deletions,
  };
}

function isError({ severity }: Plan["problems"][number]): boolean {
  return severity === "error";
}

/**
 * A sync that somebody asked for and that finds nothing to do, or one for drift: a commit that had its success is not
 * told again.
 */
async function isOldNews(
  engine: Engine,
  { revision, branch, drifted }: SyncRequest,
  unsettled: readonly string[],
  hasNews: boolean,
): Promise<boolean> {
  if ((hasNews && drifted === undefined) || unsettled.length > 0 || branch.currentSync === undefined) return false;
  const last = await engine.store.readSync(branch.currentSync);
  return last?.record.revision === revision && last.state.kind === "finished" && last.state.verdict.state === "success";
}

/** A manifests folder that never was is no mistake: the repository is only beginning. Once VMs came of it, it is one. */
function problemsOf(
  loaded: LoadedManifests,
  plan: Plan,
  applied: ReadonlyMap<string, AppliedTarget>,
): Plan["problems"] {
  const beginning =
    loaded.treeId === undefined && applied.size === 0 && plan.targets.length === 0 && plan.held.length === 0;
  return beginning ? [] : plan.problems;
}

/**
 * Clusters that could not be read begin held, and so do those that people, the clock or a rollout hold: they are planned
 * anew when that is over. The others begin with the operations the deletion rules let through.
 */
function firstPass(
  cluster: string,
  plan: Plan,
  record: SyncRecord,
  hold: Hold | undefined,
  nowMs: number,
): ClusterPass {
  const held =
    hold ?? firstWait(record, cluster, nowMs) ?? plan.held.find((candidate) => candidate.cluster === cluster);
  const empty = { cluster, operations: [], conflicts: [], failures: [], completed: [] };
  if (held !== undefined)
    return { ...empty, round: 0, held: { code: held.code, reason: held.reason, sinceMs: nowMs, attempts: 1 } };
  return {
    ...empty,
    round: 1,
    operations: plan.operations.filter(
      (operation) => operation.cluster === cluster && isPermitted(operation, record.deletions),
    ),
    conflicts: plan.conflicts.filter((conflict) => conflict.cluster === cluster),
    held: undefined,
  };
}

function pendingText(record: SyncRecord, passes: readonly ClusterPass[]): string {
  const operations = passes.reduce((sum, pass) => sum + pass.operations.length, 0);
  if (passes.length === 0) return "Checking manifests";
  const held = passes.flatMap((pass) => (isRolloutHold(pass.held) ? [] : (heldText(pass) ?? [])));
  if (held.length > 0 && operations === 0) return describeHeld([...new Set(held)]);
  return describeFirst(record, passes) ?? describeProgress(0, operations);
}

/** A wilful hold says itself what it is about. */
function heldText({ cluster, held }: ClusterPass): string | undefined {
  return held === undefined || isWilful(held) ? held?.reason : `${cluster} (${held.reason})`;
}
