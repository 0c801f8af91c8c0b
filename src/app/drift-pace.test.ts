import { describe, expect, it } from "vitest";
import { DriftPace } from "./drift-pace.ts";

const minuteMs = 60_000;

/** A VM that drifts again as soon as it may: minutes from one sync to the next. */
function gaps(pace: DriftPace, times: number): number[] {
  let nowMs = 1;
  return Array.from({ length: times }, () => {
    pace.note("web", nowMs);
    const waitMs = pace.dueMs("web") - nowMs;
    nowMs = pace.dueMs("web");
    return waitMs / minuteMs;
  });
}

describe("DriftPace", () => {
  it("lets a VM cause a sync at once, then once a minute, then half as often each time, down to once an hour", () => {
    expect(new DriftPace().dueMs("web")).toBe(0);
    expect(gaps(new DriftPace(), 9)).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });

  it("begins anew with a VM that was left alone for twice its pause", () => {
    const pace = new DriftPace();
    gaps(pace, 3);
    const restedMs = pace.dueMs("web") + 4 * minuteMs;
    pace.note("web", restedMs);
    expect(pace.dueMs("web") - restedMs).toBe(minuteMs);
  });

  it("keeps VMs apart", () => {
    const pace = new DriftPace();
    gaps(pace, 3);
    pace.note("db", 7 * minuteMs);
    expect(pace.dueMs("db")).toBe(8 * minuteMs);
    expect(pace.dueMs("cache")).toBe(0);
  });
});
