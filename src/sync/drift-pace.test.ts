import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DriftRecord, type DriftRules, isForgettable, nextCorrection, recordInForce } from "./drift-pace.ts";

const minuteMs = 60_000;
const rules: DriftRules = { pauseMs: minuteMs, corrections: 5, withinMs: 24 * 60 * minuteMs };
const seen = { cluster: "lab", application: "shop", virdomain: "web", targetHash: "a", paths: ["memory"] };
const revision = "b".repeat(40);

interface More {
  readonly hash?: string;
  readonly restartedAtMs?: number;
  /** Another one at every look unless a case says otherwise: whatever was asked for has run. */
  readonly syncId?: string;
}

function look(record: DriftRecord | undefined, nowMs: number, more: More = {}) {
  const { hash = "a", restartedAtMs = 0, syncId = `sync before ${nowMs}` } = more;
  return nextCorrection({ seen: { ...seen, targetHash: hash }, record, revision, syncId, restartedAtMs, nowMs }, rules);
}

/** A VM that drifts again at once, looked at every minute: when it was put right, in minutes, and how that ended. */
function fight(minutes: number, everyMinutes = 1): { readonly corrected: number[]; readonly end: string } {
  let record: DriftRecord | undefined;
  const corrected: number[] = [];
  for (let minute = 1; minute <= minutes; minute += everyMinutes) {
    const step = look(record, minute * minuteMs);
    if (step.kind === "correct") corrected.push(minute);
    if (step.kind === "give-up") return { corrected, end: `gave up at ${minute}` };
    if (step.kind === "correct") record = step.record;
  }
  return { corrected, end: "goes on" };
}

describe("nextCorrection", () => {
  it("puts a VM right at once, then after pauses twice as long each time, and gives up after the last", () => {
    expect(fight(100)).toEqual({ corrected: [1, 2, 4, 8, 16], end: "gave up at 32" });
  });

  it("gives up on what is changed back once an hour, too, and never on what drifts once a day", () => {
    expect(fight(24 * 60, 60)).toEqual({ corrected: [1, 61, 121, 181, 241], end: "gave up at 301" });
    expect(fight(30 * 24 * 60, 24 * 60)).toMatchObject({ end: "goes on" });
  });

  it("says until when it waits", () => {
    const record = { ...seen, correctedAtMs: [minuteMs, 2 * minuteMs] };
    expect(look(record, 3 * minuteMs)).toEqual({ kind: "wait", untilMs: 4 * minuteMs });
  });

  it("asks again, and counts once, as long as no sync has begun since: git may be away for hours", () => {
    const first = look(undefined, minuteMs, { syncId: "one" });
    if (first.kind !== "correct") throw new Error(first.kind);
    expect(look(first.record, 1.5 * minuteMs, { syncId: "one" })).toEqual({ kind: "wait", untilMs: 2 * minuteMs });
    for (const minutes of [2, 60, 600])
      expect(look(first.record, minutes * minuteMs, { syncId: "one" })).toEqual({ kind: "ask-again" });
    expect(look(first.record, 600 * minuteMs, { syncId: "two" })).toMatchObject({
      kind: "correct",
      record: { correctedAtMs: [minuteMs, 600 * minuteMs], askedAfter: "two" },
    });
  });

  const given: DriftRecord = { ...seen, correctedAtMs: [1, 2, 3, 4, 5], gaveUp: { atMs: 6, revision } };
  it.each<[string, Parameters<typeof look>[2], string]>([
    ["stays given up under the same wish", {}, "given-up"],
    ["starts over under another wish", { hash: "other" }, "correct"],
    ["starts over when somebody asked for a sync", { restartedAtMs: 6 }, "correct"],
    ["stays given up when that was before", { restartedAtMs: 5 }, "given-up"],
  ])("%s", (_title, more, kind) => {
    expect(look(given, 100, more).kind).toBe(kind);
  });

  it("remembers what it told, and whom", () => {
    const record = { ...seen, correctedAtMs: [1, 2, 3, 4, 5] };
    expect(look(record, 100 * minuteMs)).toEqual({
      kind: "give-up",
      record: { ...record, gaveUp: { atMs: 100 * minuteMs, revision } },
    });
  });

  it("never corrects more often than the rules say, however often it looks", () => {
    const gaps = fc.array(fc.integer({ min: 1, max: 90 * minuteMs }), { maxLength: 200 });
    fc.assert(
      fc.property(gaps, (waits) => {
        let record: DriftRecord | undefined;
        let nowMs = 1;
        let corrections = 0;
        for (const wait of waits) {
          const step = look(record, nowMs);
          if (step.kind === "correct" || step.kind === "give-up") record = step.record;
          corrections += step.kind === "correct" ? 1 : 0;
          nowMs += wait;
        }
        const days = Math.ceil(nowMs / rules.withinMs);
        expect(corrections).toBeLessThanOrEqual(days * rules.corrections);
      }),
    );
  });
});

describe("recordInForce", () => {
  it("keeps what came after a person's sync", () => {
    const record = { ...seen, correctedAtMs: [1, 5, 9] };
    expect(recordInForce({ seen, record, restartedAtMs: 5 })).toEqual({ ...seen, correctedAtMs: [9] });
  });
});

describe("isForgettable", () => {
  const record: DriftRecord = { ...seen, correctedAtMs: [10], gaveUp: { atMs: 20, revision } };
  it.each<[string, string | undefined, number, number, boolean]>([
    ["not while it counts", "a", 0, 30, false],
    ["under another wish", "other", 0, 30, true],
    ["when its target is gone", undefined, 0, 30, true],
    ["not right after a person's sync while later corrections count", "a", 9, 30, false],
    ["once its time is over", "a", 0, 20 + rules.withinMs, true],
  ])("%s", (_title, hash, restartedAtMs, nowMs, expected) => {
    expect(isForgettable(record, hash, restartedAtMs, nowMs, rules)).toBe(expected);
  });

  it("after a person's sync that made an end of it", () => {
    expect(isForgettable(record, "a", 25, 30, rules)).toBe(true);
  });
});
