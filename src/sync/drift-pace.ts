/** How often a VM that keeps drifting is put right. */
export interface DriftRules {
  /** Until the second correction of a VM; twice as long before each one after it. */
  readonly pauseMs: number;
  /** So many corrections within `withinMs` are the last. */
  readonly corrections: number;
  readonly withinMs: number;
}

/** What is remembered of a VM that drifted. Survives every process. */
export interface DriftRecord {
  readonly cluster: string;
  readonly application: string;
  /** Name of the VM. */
  readonly virdomain: string;
  /** The wish it drifted from: under another one everything starts over. */
  readonly targetHash: string;
  /** When a correction was asked for, oldest first. */
  readonly correctedAtMs: readonly number[];
  /** The sync that was the last one when a correction was asked for: as long as it is, the correction has not begun. */
  readonly askedAfter?: string;
  /** What differed last. */
  readonly paths: readonly string[];
  /** Set when the last correction did not last either; `revision` is the commit that was told. */
  readonly gaveUp?: { readonly atMs: number; readonly revision: string };
}

/** The key of a VM among all that drifted; cluster names hold no slash. */
export function driftKey(cluster: string, identity: string): string {
  return `${cluster}/${identity}`;
}

export type DriftStep =
  | { readonly kind: "correct"; readonly record: DriftRecord }
  /** What was asked for has not begun (git is away, or the wish got lost): it is asked for again, and counts once. */
  | { readonly kind: "ask-again" }
  /** Too early for another correction. */
  | { readonly kind: "wait"; readonly untilMs: number }
  | { readonly kind: "give-up"; readonly record: DriftRecord }
  | { readonly kind: "given-up" };

export interface DriftSighting {
  readonly seen: Pick<DriftRecord, "cluster" | "application" | "virdomain" | "targetHash" | "paths">;
  readonly record: DriftRecord | undefined;
  readonly revision: string;
  /** The last sync. */
  readonly syncId: string;
  /** When a person last asked for a sync: what was before does not count. */
  readonly restartedAtMs: number;
  readonly nowMs: number;
}

/**
 * What to do about a VM that is not as it was applied: at once the first time, then with longer and longer pauses, and
 * no more once it was put right often enough in vain.
 */
export function nextCorrection(sighting: DriftSighting, rules: DriftRules): DriftStep {
  const { seen, nowMs, revision, syncId } = sighting;
  const record = recordInForce(sighting);
  if (record?.gaveUp !== undefined) return { kind: "given-up" };
  const correctedAtMs = (record?.correctedAtMs ?? []).filter((atMs) => nowMs - atMs < rules.withinMs);
  const last = correctedAtMs.at(-1);
  if (last !== undefined) {
    const hasBegun = record?.askedAfter !== syncId;
    const untilMs = last + rules.pauseMs * (hasBegun ? 2 ** (correctedAtMs.length - 1) : 1);
    if (nowMs < untilMs) return { kind: "wait", untilMs };
    if (!hasBegun) return { kind: "ask-again" };
  }
  if (correctedAtMs.length >= rules.corrections)
    return { kind: "give-up", record: { ...seen, correctedAtMs, gaveUp: { atMs: nowMs, revision } } };
  return { kind: "correct", record: { ...seen, correctedAtMs: [...correctedAtMs, nowMs], askedAfter: syncId } };
}

/** The record as far as it still counts: not for another wish, nor from before somebody asked for a sync. */
export function recordInForce({
  seen,
  record,
  restartedAtMs,
}: Pick<DriftSighting, "record" | "restartedAtMs"> & {
  readonly seen: Pick<DriftRecord, "targetHash">;
}): DriftRecord | undefined {
  if (record === undefined || record.targetHash !== seen.targetHash) return undefined;
  const { gaveUp, ...rest } = record;
  const correctedAtMs = record.correctedAtMs.filter((atMs) => atMs > restartedAtMs);
  const inForce = gaveUp !== undefined && gaveUp.atMs > restartedAtMs;
  return { ...rest, correctedAtMs, ...(inForce ? { gaveUp } : {}) };
}

/** Whether a VM that is as it should be may be forgotten: nothing of it would count the next time. */
export function isForgettable(
  record: DriftRecord,
  targetHash: string | undefined,
  restartedAtMs: number,
  nowMs: number,
  { withinMs }: DriftRules,
): boolean {
  const inForce = recordInForce({ seen: { targetHash: targetHash ?? "" }, record, restartedAtMs });
  if (inForce === undefined) return true;
  const counting = [...inForce.correctedAtMs, ...(inForce.gaveUp === undefined ? [] : [inForce.gaveUp.atMs])];
  return counting.every((atMs) => nowMs - atMs >= withinMs);
}
