import { targetKey } from "../../fleet/desired-state.ts";
import {
  type AppliedVirdomain,
  type Comparison,
  type DriftedVirdomain,
  driftPaths,
  isCorrected,
} from "../../plan/compare-applied.ts";
import type { OutboxEntry, RememberedDrift } from "../../ports/state-store.ts";
import { describeDriftOver, describeGivenUp } from "../../report/status-text.ts";
import { type DriftRecord, driftKey, isForgettable, nextCorrection } from "../../sync/drift-pace.ts";
import { type Hold, holdOnOperation, type HoldRules } from "../../sync/pauses.ts";
import type { Engine } from "../engine.ts";
import { readStanding } from "./find-drift.ts";
import { recheckAtMs } from "../holds.ts";
import { statusEntry } from "../outbox/messages.ts";

export type CorrectingEngine = Pick<Engine, "clock" | "config" | "log" | "queue" | "store">;

/** Until the next look at a cluster while a repository is being synced, or a VM is on its way from one state to another. */
export const movingMs = 5_000;
/** VMs named in one line of the log. */
const mostTold = 20;

/** One cluster as a settled repository left it, and how it is now. */
export interface DriftScene {
  readonly repository: string;
  readonly cluster: string;
  readonly revision: string;
  readonly syncId: string;
  readonly holds: HoldRules;
  readonly applied: ReadonlyMap<string, AppliedVirdomain>;
  /** Throws when the cluster must not be changed now. */
  ensureReady(): Promise<void>;
}

/** VMs to look at again, and when. */
export type Later = readonly { readonly drift: DriftedVirdomain; readonly atMs: number }[];

/**
 * Asks for one sync of the targets in which VMs drifted that may be put right by now, and gives up on those that were often
 * enough in vain. What it decides is written down first, so that nothing is asked for more often than counted.
 */
export async function correctDrift(
  engine: CorrectingEngine,
  scene: DriftScene,
  { drifted, steady }: Comparison,
): Promise<Later> {
  const { repository, cluster } = scene;
  const { drift: rules } = engine.config();
  const remembered = await engine.store.readDrift(repository);
  const nowMs = engine.clock.now();
  const records = forgotten(scene, remembered, steady, nowMs, engine);
  const corrected: DriftedVirdomain[] = [];
  const askedBefore: DriftedVirdomain[] = [];
  const givenUp: DriftedVirdomain[] = [];
  const later: { drift: DriftedVirdomain; atMs: number }[] = [];
  for (const drift of drifted.filter(isCorrected)) {
    const hold = holdOf(scene, drift, nowMs);
    if (hold !== undefined) {
      later.push({ drift, atMs: recheckAtMs(hold, nowMs) });
      continue;
    }
    const { desired, targetHash } = drift.applied;
    const key = driftKey(cluster, drift.key);
    const { application } = desired.identity;
    const seen = { cluster, application, virdomain: desired.name, targetHash, paths: driftPaths(drift) };
    const { restartedAtMs } = remembered;
    const { revision, syncId } = scene;
    const record = remembered.records.get(key);
    const step = nextCorrection({ seen, record, revision, syncId, restartedAtMs, nowMs }, rules);
    if (step.kind === "wait") later.push({ drift, atMs: step.untilMs });
    if (step.kind === "ask-again") askedBefore.push(drift);
    if (step.kind !== "correct" && step.kind !== "give-up") continue;
    records.set(key, step.record);
    (step.kind === "correct" ? corrected : givenUp).push(drift);
  }
  if (records.size + askedBefore.length === 0) return later;
  if (corrected.length + askedBefore.length + givenUp.length > 0) {
    await scene.ensureReady();
    // A sync that began after the cluster was read may have made what was seen.
    const standing = await readStanding(engine, repository);
    if (standing.kind !== "settled" || standing.syncId !== scene.syncId)
      return drifted.map((drift) => ({ drift, atMs: nowMs + movingMs }));
  }
  const entries = statuses(engine, scene, remembered, records);
  await engine.store.recordDrift(repository, records, entries);
  if (entries.length > 0) await engine.queue.addDelivery({ schemaVersion: 1, repository }, `drift-${nowMs}`);
  tell(engine, "warn", scene, givenUp, "drift comes back again and again, given up");
  const asking = [...corrected, ...askedBefore];
  if (asking.length === 0) return later;
  tell(engine, "info", scene, corrected, "drift found, asking for a sync");
  const targets = asking.map(({ applied }) =>
    targetKey({ cluster, application: applied.desired.identity.application }),
  );
  await engine.store.requestSync(repository, [...new Set(targets)]);
  return [...later, ...asking.map((drift) => ({ drift, atMs: nowMs + rules.pauseMs }))];
}

/** Records of this cluster's VMs that are as they should be and of which nothing counts any more. */
function forgotten(
  { cluster, applied }: DriftScene,
  { records, restartedAtMs }: RememberedDrift,
  steady: ReadonlySet<string>,
  nowMs: number,
  engine: CorrectingEngine,
): Map<string, DriftRecord | undefined> {
  const { drift: rules } = engine.config();
  const over = new Map<string, DriftRecord | undefined>();
  for (const [key, record] of records) {
    if (record.cluster !== cluster) continue;
    const identity = key.slice(driftKey(cluster, "").length);
    const wish = applied.get(identity);
    // Gone from the manifests, or as it should be.
    if (wish !== undefined && !steady.has(identity)) continue;
    if (isForgettable(record, wish?.targetHash, restartedAtMs, nowMs, rules)) over.set(key, undefined);
  }
  return over;
}

function holdOf(
  { holds, repository, cluster }: DriftScene,
  { applied }: DriftedVirdomain,
  nowMs: number,
): Hold | undefined {
  const { name: virdomain, identity } = applied.desired;
  const operation = { cluster, application: identity.application, virdomain };
  return holdOnOperation(holds, repository, operation, nowMs);
}

/** A commit hears of the VMs that were given up on it, in a context of its own, and when that is over. */
function statuses(
  engine: CorrectingEngine,
  { repository, revision }: DriftScene,
  { records: before }: RememberedDrift,
  changed: ReadonlyMap<string, DriftRecord | undefined>,
): readonly OutboxEntry[] {
  const place = { repository, prefix: engine.config().statusPrefix, context: "drift" as const };
  const told = [...before.values()].filter(({ gaveUp }) => gaveUp?.revision === revision);
  const left = [...new Map([...before, ...changed]).values()].flatMap((record) =>
    record?.gaveUp?.revision === revision ? [record] : [],
  );
  const news = [...changed.values()].find((record) => record?.gaveUp !== undefined);
  if (news !== undefined) {
    const text = describeGivenUp({ ...news, corrections: news.correctedAtMs.length }, left.length - 1);
    return [statusEntry(place, revision, "final", "failure", text)];
  }
  if (told.length === 0 || left.length > 0) return [];
  return [statusEntry(place, revision, "final", "success", describeDriftOver)];
}

export function tell(
  { log }: CorrectingEngine,
  level: "info" | "warn",
  { cluster, repository }: Pick<DriftScene, "cluster" | "repository">,
  drifts: readonly DriftedVirdomain[],
  message: string,
): void {
  if (drifts.length === 0) return;
  const virdomains = drifts
    .slice(0, mostTold)
    .map((drift) => `${drift.applied.desired.name}: ${driftPaths(drift).join(", ")}`);
  log[level]({ cluster, repository, count: drifts.length, virdomains }, message);
}
