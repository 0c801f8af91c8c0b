import { messageOf, WatcherError } from "../../lib/errors.ts";
import type { BranchRecord } from "../../ports/state-store.ts";
import type { SyncWish } from "../../ports/poll-wishes.ts";
import type { SyncRecord } from "../../sync/sync-record.ts";
import type { Engine, Repository } from "../engine.ts";
import { answerCommands } from "../review/answer-commands.ts";
import { type KeptLease, keepLease } from "../process/keep-lease.ts";
import { type LostWebhooks, watchForLostWebhooks } from "./lost-webhooks.ts";
import { supersededEntries } from "../outbox/messages.ts";
import { observeBranch } from "./observe-branch.ts";
import { logDeployments } from "../review/log-deployments.ts";
import { createQueuePlanner } from "../review/plan-merge-queue.ts";
import { planPullRequests } from "../review/plan-pull-requests.ts";
import { breathMs, leaseMs, untilNextPoll } from "./poll-pace.ts";
import { stayBehind, type Wanted } from "./refused-tip.ts";
import { passOrHold } from "../signatures/signature-gate.ts";
import { startSync } from "../sync/start-sync.ts";

/** How long a new revision waits for the old one's operations before clusters still in motion are left to their own pass. */
const quiesceMs = 2_000;
/** How long operations of a sync that nobody remembers get to notice it and stop. */
const forgottenMs = 3_000;

/**
 * Watches one repository until `signal` aborts: polls, records what arrived, starts syncs, plans pull requests and
 * wakes up what may have been forgotten. Only the process holding the repository's lease does so.
 */
export async function watchRepository(engine: Engine, name: string, signal: AbortSignal): Promise<void> {
  const log = engine.log.child({ repository: name });
  const lost = watchForLostWebhooks(engine, name, signal);
  const review = createReviewer(engine, name, lost, signal);
  let tenure: KeptLease | undefined;
  let inOffice = signal;
  let failures = 0;
  let standsBy = false;
  let wanted = false;
  try {
    while (!signal.aborted) {
      try {
        if (tenure === undefined || tenure.lost.aborted) {
          inOffice = signal;
          tenure = await takeOffice(engine, name);
          if (tenure !== undefined) inOffice = AbortSignal.any([signal, tenure.lost]);
        }
        if (tenure !== undefined) {
          // A webhook may be about a pull request: it is looked at without waiting for git, and once more on a new tip.
          if (wanted) review.begin(true);
          const moved = await lost.around(() => poll(engine, name, wanted, inOffice));
          review.begin(moved);
        } else if (!standsBy) log.info({}, "another process watches this repository, standing by");
        standsBy = tenure === undefined;
        failures = 0;
      } catch (error) {
        if (signal.aborted) break;
        failures += 1;
        log.warn({ err: error, failures }, "poll failed, nothing was changed");
        await recordTrouble(engine, name, error);
      }
      const pollMs = pollMsOf(engine, name);
      const waitMs: number = untilNextPoll({ pollMs, failures, standsBy, wanted }) * (0.9 + 0.2 * engine.random());
      const breath = failures > 0 ? Math.min(breathMs, waitMs) : 0;
      if (breath > 0) await engine.clock.sleep(breath, signal).catch(() => undefined);
      // A watcher that loses its lease meanwhile tries at once to have it back, one that has lost it waits its turn.
      const until = inOffice.aborted ? signal : inOffice;
      wanted = (await engine.store.waitForPoll(name, waitMs - breath, until)) || (failures > 0 && wanted);
    }
  } finally {
    await review.ended();
    await lost.ended();
    await tenure?.[Symbol.asyncDispose]();
  }
}

function pollMsOf(engine: Engine, name: string): number {
  return engine.config().repositories.find((repository) => repository.name === name)?.pollMs ?? breathMs;
}

/** One process at a time watches a repository; undefined while it is another one. */
async function takeOffice(engine: Engine, name: string): Promise<KeptLease | undefined> {
  const lease = await engine.store.acquireLease(`watch/${name}`, leaseMs);
  return lease === undefined ? undefined : keepLease(lease, leaseMs, engine.clock);
}

/**
 * Plans pull requests beside the polling, one pass at a time: a cluster that is slow to read delays comments, never
 * the next poll of the branch. What is to be looked at anew during a pass is looked at by another one right after it.
 */
function createReviewer(
  engine: Engine,
  name: string,
  lost: LostWebhooks,
  signal: AbortSignal,
): { begin(anew: boolean): void; ended(): Promise<void> } {
  const planQueue = createQueuePlanner(engine, name);
  let running: Promise<void> | undefined;
  let again = false;
  async function pass(): Promise<void> {
    try {
      const repository = await engine.repository(name);
      await answerCommands(engine, repository, signal);
      const tip = (await engine.store.readBranch(name)).observed;
      if (tip === undefined) return;
      await planPullRequests(engine, repository, tip, signal, ({ number, head }) => lost.foundHead(number, head));
      await planQueue(tip, signal);
      await logDeployments(engine, repository, signal);
    } catch (error) {
      if (!signal.aborted)
        engine.log.warn({ err: error, repository: name }, "pull requests cannot be looked at now, will be tried again");
    }
  }
  async function passes(): Promise<void> {
    do {
      again = false;
      await pass();
    } while (again && !signal.aborted);
    running = undefined;
  }
  return {
    begin(anew) {
      again = running !== undefined && (again || anew);
      running ??= passes();
    },
    ended: async () => running,
  };
}

/** One poll, announced (`wanted`) or not. Every part may be cut off and run again. */
async function poll(engine: Engine, name: string, wanted: boolean, signal: AbortSignal): Promise<void> {
  const repository = await engine.repository(name);
  const branch = await engine.store.readBranch(name);
  // What was announced is fetched at once: asking for the tip first would cost another round trip.
  const fetched = wanted && branch.observed !== undefined ? await fetchAnnounced(repository, signal) : undefined;
  const remote = fetched ?? (await repository.git.remoteTip(signal));
  if (remote === undefined) {
    const message = `branch ${repository.config.branch} does not exist yet; waiting for its first commit`;
    await engine.store.recordCondition(name, {
      atMs: engine.clock.now(),
      ok: branch.observed === undefined,
      code: branch.observed === undefined ? undefined : "git-branch-missing",
      message:
        branch.observed === undefined
          ? message
          : `branch ${repository.config.branch} is gone; nothing is changed until it is back`,
    });
    return;
  }
  const wish = await engine.store.takeSyncRequest(name);
  let refused: string | undefined;
  if (wish !== undefined || remote !== branch.observed || !(await isUnderControl(engine, branch, remote)))
    refused = await takeRevision(engine, repository, { branch, wish, fetched }, signal).catch(
      async (error: unknown) => {
        // Taken and not carried out: it waits for the next poll, in its own time.
        if (wish !== undefined)
          await engine.store.requestSync(name, wish === "everything" ? undefined : [...wish], { quiet: true });
        throw error;
      },
    );
  else await sweep(engine, branch);
  await engine.queue.addDelivery({ schemaVersion: 1, repository: name }, `sweep-${engine.clock.now()}`);
  await engine.store.recordCondition(name, {
    atMs: engine.clock.now(),
    ok: refused === undefined,
    code: undefined,
    message: refused ?? "watching",
  });
}

/** A branch that is gone is left to the question for its tip, which tells what to make of it. */
async function fetchAnnounced({ git }: Repository, signal: AbortSignal): Promise<string | undefined> {
  try {
    return await git.fetchBranch(signal);
  } catch (error) {
    if (error instanceof WatcherError && error.code === "git-branch-missing") return undefined;
    throw error;
  }
}

/** The branch's tip has a sync (under way or ended). False after a crash between recording a tip and starting its sync. */
async function isUnderControl(engine: Engine, branch: BranchRecord, tip: string): Promise<boolean> {
  const current = branch.currentSync === undefined ? undefined : await engine.store.readSync(branch.currentSync);
  return current !== undefined && current.record.revision === tip && current.state.kind !== "superseded";
}

/** Somebody asks for what is under way already. */
async function isSyncing(engine: Engine, branch: BranchRecord, tip: string): Promise<boolean> {
  const current = branch.currentSync === undefined ? undefined : await engine.store.readSync(branch.currentSync);
  return current?.state.kind === "running" && current.record.revision === tip;
}

/** Brings the clusters to the branch's tip. Answers why not, where the tip is refused. */
async function takeRevision(
  engine: Engine,
  repository: Repository,
  {
    branch,
    wish,
    fetched,
  }: { readonly branch: BranchRecord; readonly wish: SyncWish | undefined; readonly fetched: string | undefined },
  signal: AbortSignal,
): Promise<string | undefined> {
  const { name } = repository.config;
  const tip = fetched ?? (await repository.git.fetchBranch(signal));
  if (tip === undefined) return undefined;
  const { rewritten, forgotten } = await observeBranch(engine, repository, branch, tip, signal);
  if (forgotten) await engine.clock.sleep(forgottenMs, signal);
  const gate = await passOrHold(engine, repository, tip, branch, signal);
  const wanted: Wanted | undefined =
    gate.kind === "accepted"
      ? { revision: gate.revision, rewritten }
      : await stayBehind(engine, repository, { branch, wish: wish !== undefined, tip, why: gate.why }, signal);
  const drifted = wish === "everything" ? undefined : wish;
  if (wanted === undefined) await sweep(engine, branch);
  else if (wish !== undefined && (await isSyncing(engine, branch, wanted.revision))) {
    // What is under way need not look at these targets: they wait for a later poll.
    if (drifted !== undefined) await engine.store.requestSync(name, [...drifted], { quiet: true });
    await sweep(engine, branch);
  } else {
    const predecessors = await supersede(engine, branch, wanted.revision);
    await quiesce(engine, predecessors, signal);
    const everything = wish === "everything" || branch.currentSync === undefined;
    // `synced` may have moved since; what is replaced is the sync that was looked at and superseded above.
    const current = { ...(await engine.store.readBranch(name)), currentSync: branch.currentSync };
    await startSync(engine, repository, { ...wanted, branch: current, everything, drifted, predecessors }, signal);
  }
  return gate.kind === "accepted" ? undefined : `${tip.slice(0, 12)}: ${gate.why}`;
}

/** Newest wins: the running sync begins nothing more. Answers the syncs whose last operations may still be under way. */
async function supersede(engine: Engine, branch: BranchRecord, tip: string): Promise<string[]> {
  const current = branch.currentSync === undefined ? undefined : await engine.store.readSync(branch.currentSync);
  if (current === undefined) return [];
  const { record } = current;
  if (current.state.kind === "running" && record.revision !== tip) {
    const place = { repository: record.repository, prefix: engine.config().statusPrefix, context: "sync" as const };
    await engine.store.supersedeSync(record.id, tip, supersededEntries(place, record.commits, tip));
    engine.log.info(
      { repository: record.repository, sync: record.id, revision: record.revision, by: tip },
      "sync superseded",
    );
  }
  return stillUnderWay(engine, record);
}

async function stillUnderWay(engine: Engine, record: SyncRecord): Promise<string[]> {
  const candidates = [record.id, ...record.predecessors];
  const counts = await Promise.all(candidates.map((id) => engine.store.countUnderWay(id)));
  return candidates.filter((_id, index) => (counts[index] ?? 0) > 0);
}

/** Gives operations under way a moment to reach a safe boundary, so that planning reads a quiet cluster. */
async function quiesce(engine: Engine, syncs: readonly string[], signal: AbortSignal): Promise<void> {
  const deadline = engine.clock.now() + quiesceMs;
  while (engine.clock.now() < deadline) {
    const counts = await Promise.all(syncs.map((id) => engine.store.countUnderWay(id)));
    if (counts.every((count) => count === 0)) return;
    await engine.clock.sleep(50, signal);
  }
}

/** Wakes every cluster of the running sync that has no result: heals a wake-up lost in a crash. */
async function sweep(engine: Engine, branch: BranchRecord): Promise<void> {
  const current = branch.currentSync === undefined ? undefined : await engine.store.readSync(branch.currentSync);
  if (current?.state.kind !== "running") return;
  const { record } = current;
  const results = await engine.store.readClusterResults(record.id);
  const open = record.clusters.filter((cluster) => !results.has(cluster));
  const wake = `sweep-${engine.clock.now()}`;
  for (const cluster of open.length > 0 ? open : record.clusters.slice(0, 1))
    await engine.queue.addAdvance({ schemaVersion: 1, syncId: record.id, cluster }, wake);
}

async function recordTrouble(engine: Engine, name: string, error: unknown): Promise<void> {
  const code = error instanceof WatcherError ? error.code : "internal";
  await engine.store
    .recordCondition(name, { atMs: engine.clock.now(), ok: false, code, message: messageOf(error) })
    .catch(() => undefined);
}
