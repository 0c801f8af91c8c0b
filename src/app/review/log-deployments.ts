import { contentHash } from "../../lib/canonical-json.ts";
import { renderDeployLog } from "../../report/deploy-log.ts";
import { planMarker } from "../../report/markdown.ts";
import type { SyncRecord, SyncState } from "../../sync/sync-record.ts";
import type { DeployLog, HistoryEntry, OutboxEntry } from "../../ports/state-store.ts";
import type { Engine, Repository } from "../engine.ts";
import { lookUpClusters } from "../inspect/look-up.ts";
import { commentEntry, deploymentEntry } from "../outbox/messages.ts";

/** Syncs that ended while nobody looked are told afterwards, as far back as this. */
const lookedBack = 5;
/** Commits of one sync whose pull requests are looked for: each costs a request. */
const maxCommits = 20;

/** A pull request and the commit through which it reached the branch. */
interface Landed {
  readonly pullRequest: number;
  readonly commit: string;
}

/**
 * Turns the comment of every merged pull request into the log of its deployment: what its clusters are doing, then the
 * verdict. Runs beside the syncs and reads what they wrote down, so a forge that is away delays nothing but the log.
 */
export async function logDeployments(engine: Engine, repository: Repository, signal: AbortSignal): Promise<void> {
  const { name } = repository.config;
  const { currentSync } = await engine.store.readBranch(name);
  const history = await engine.store.listHistory(name, lookedBack);
  const ended = new Map(history.map((entry) => [entry.syncId, entry]));
  const ids = new Set([
    ...history.map(({ syncId }) => syncId).toReversed(),
    ...(currentSync === undefined ? [] : [currentSync]),
  ]);
  for (const id of ids) await logDeployment(engine, repository, id, ended.get(id), signal);
}

async function logDeployment(
  engine: Engine,
  repository: Repository,
  id: string,
  ended: HistoryEntry | undefined,
  signal: AbortSignal,
): Promise<void> {
  const known = await engine.store.readDeployLog(id);
  if (known?.final === true) return;
  const sync = await engine.store.readSync(id);
  // The commits of a superseded sync are told by the one that took its place.
  if (sync === undefined || sync.state.kind === "superseded") return;
  const final = sync.state.kind === "finished";
  // A forge may link a commit to its pull request a moment after the merge: who found none looks once more at the end.
  const linked = known !== undefined && (known.landed.length > 0 || !final);
  const landed = linked ? known.landed : await findLanded(repository, sync.record, signal);
  const text = await describe(engine, sync.record, sync.state, ended);
  const told = contentHash(text, 24);
  if (known?.told === told) return;
  const entries = [
    ...landed.map((one) => toEntry(engine, repository, sync.record, one, text, final)),
    ...(known === undefined || final ? noteDeployment(engine, repository, sync.record, text) : []),
  ];
  const log: DeployLog = { landed, told, final };
  await engine.store.recordDeployLog(id, log, entries);
  if (entries.length > 0)
    await engine.queue.addDelivery({ schemaVersion: 1, repository: repository.config.name }, `log-${id}-${told}`);
}

/** Pull requests by the commits of a sync, each with the newest commit that it brought. */
async function findLanded({ forge }: Repository, record: SyncRecord, signal: AbortSignal): Promise<Landed[]> {
  const landed = new Map<number, string>();
  for (const commit of record.commits.slice(0, maxCommits)) {
    for (const { number } of await forge.findPullRequestsOf(commit, signal))
      if (!landed.has(number)) landed.set(number, commit);
  }
  return [...landed].map(([pullRequest, commit]) => ({ pullRequest, commit }));
}

/** The facts of a log that change as the sync goes on. */
type Told = Pick<Parameters<typeof renderDeployLog>[0], "verdict" | "clusters" | "operations">;

async function describe(
  engine: Engine,
  record: SyncRecord,
  state: SyncState,
  ended: HistoryEntry | undefined,
): Promise<Told> {
  const verdict = state.kind === "finished" ? { ...state.verdict, finishedAtMs: state.atMs } : undefined;
  return { verdict, clusters: await lookUpClusters(engine, record), operations: ended?.operations ?? [] };
}

/** An entry in the forge's list of deployments, where that is wanted: when a sync begins, and how it ended. */
function noteDeployment(
  engine: Engine,
  { config, forge }: Repository,
  { revision, branch }: SyncRecord,
  { verdict }: Told,
): readonly OutboxEntry[] {
  const wanted = "deployments" in config.forge && config.forge.deployments === true;
  if (!wanted || !forge.limits.deployments) return [];
  const deployment = {
    environment: engine.config().instance,
    revision,
    branch,
    state: verdict?.state ?? ("in_progress" as const),
    description: verdict?.description ?? "Syncing",
    targetUrl: undefined,
  };
  return [deploymentEntry(config.name, deployment, verdict === undefined ? "first" : "final")];
}

function toEntry(
  engine: Engine,
  { config, forge }: Repository,
  record: SyncRecord,
  { pullRequest, commit }: Landed,
  told: Told,
  final: boolean,
): OutboxEntry {
  const { instance } = engine.config();
  const marker = planMarker(instance, config.name);
  const markdown = renderDeployLog({
    ...told,
    marker,
    instance,
    repository: config.name,
    branch: record.branch,
    merged: commit,
    revision: record.revision,
    startedAtMs: record.startedAtMs,
    version: engine.version,
    limitChars: Math.min(60_000, forge.limits.commentChars),
  });
  return commentEntry(config.name, pullRequest, final ? "final" : "progress", marker, markdown);
}
