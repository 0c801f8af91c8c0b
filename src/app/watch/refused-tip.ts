import { describeRefusedBelow } from "../../report/signature-text.ts";
import type { SyncRecord, SyncState } from "../../sync/sync-record.ts";
import type { BranchRecord, HistoryEntry, OutboxEntry } from "../../ports/state-store.ts";
import type { Engine, Repository } from "../engine.ts";
import { statusEntry } from "../outbox/messages.ts";
import { isRewritten } from "./observe-branch.ts";
import { type AcceptedRevision, passGate } from "../signatures/signature-gate.ts";

/** What the clusters are to be brought to. */
export interface Wanted {
  readonly revision: AcceptedRevision;
  readonly rewritten: boolean;
}

interface RefusedTip {
  readonly branch: BranchRecord;
  readonly wish: boolean;
  readonly tip: string;
  readonly why: string;
}

/**
 * The tip is refused: says so on it, and answers the revision accepted before where that is to be synced once more. What
 * is under way of it goes on by itself.
 */
export async function stayBehind(
  engine: Engine,
  repository: Repository,
  { branch, wish, tip, why }: RefusedTip,
  signal: AbortSignal,
): Promise<Wanted | undefined> {
  const current = branch.currentSync === undefined ? undefined : await engine.store.readSync(branch.currentSync);
  await refuseTip(engine, repository, { tip, why, current }, signal);
  if (current === undefined || !isToBeSyncedAgain(current, wish)) return undefined;
  // Its key may have been taken out of the file since.
  const gate = await passGate(engine, repository, current.record.revision, signal);
  if (gate.kind === "refused") return undefined;
  return { revision: gate.revision, rewritten: await isRewritten(repository, branch, gate.revision, signal) };
}

/** The sync that goes on (or ended) while a newer tip is refused. */
type CurrentSync = { readonly record: SyncRecord; readonly state: SyncState } | undefined;

/**
 * Whether the revision synced last is synced again while the tip is refused: no, unless it did not come to its end (it was
 * superseded by one that was never begun) or somebody wants everything compared anew.
 */
export function isToBeSyncedAgain(
  current: { readonly state: { readonly kind: SyncState["kind"] } },
  wish: boolean,
): boolean {
  if (current.state.kind === "running") return false;
  return wish || current.state.kind === "superseded";
}

/**
 * Gives the refused tip its final status, and those that came with it the word that they share its fate. Commits of the
 * current sync keep theirs. Told once: commits that have their final status are left alone.
 */
async function refuseTip(
  engine: Engine,
  repository: Repository,
  { tip, why, current }: { readonly tip: string; readonly why: string; readonly current: CurrentSync },
  signal: AbortSignal,
): Promise<void> {
  const { name } = repository.config;
  const answered = new Set(current?.record.commits);
  const unsettled = (await engine.store.listUnsettledCommits(name)).filter((commit) => !answered.has(commit));
  if (unsettled.length > 0) {
    const place = { repository: name, prefix: engine.config().statusPrefix, context: "sync" as const };
    const text = (commit: string): string => (commit === tip ? why : describeRefusedBelow(tip));
    const finals = new Map(
      unsettled.map((commit): [string, OutboxEntry] => [
        commit,
        statusEntry(place, commit, "final", "failure", text(commit)),
      ]),
    );
    const entry = await historyOf(engine, repository, { tip, why, commits: unsettled }, signal);
    if ((await engine.store.refuseTip(name, entry, finals, { syncId: current?.record.id })) > 0) {
      engine.log.warn({ repository: name, revision: tip, why, stays: current?.record.revision }, "revision refused");
      await engine.queue.addDelivery({ schemaVersion: 1, repository: name }, `refused-${tip}`);
    }
  }
}

async function historyOf(
  engine: Engine,
  { config, git }: Repository,
  { tip, why, commits }: { readonly tip: string; readonly why: string; readonly commits: readonly string[] },
  signal: AbortSignal,
): Promise<HistoryEntry> {
  const commit = await git.readCommit(tip, signal);
  const atMs = engine.clock.now();
  return {
    syncId: `${config.name}-${tip.slice(0, 12)}-refused`,
    repository: config.name,
    revision: tip,
    treeId: undefined,
    author: commit.author,
    subject: commit.subject,
    startedAtMs: atMs,
    finishedAtMs: atMs,
    verdict: { state: "failure", description: why, operations: 0, failed: 0, clusters: 0 },
    commits: [tip, ...commits.filter((other) => other !== tip)],
    returnsTo: undefined,
    applications: [],
    operations: [],
  };
}
