import { describe, expect, it } from "vitest";
import { recheckAtMs } from "./holds.ts";

const hold = (untilMs: number | undefined) => ({ code: "paused" as const, reason: "", untilMs });

describe("the next look at what is held", () => {
  it.each<[title: string, untilMs: number | undefined, nowMs: number, atMs: number]>([
    ["comes right after the end", 65_000, 61_000, 65_100],
    ["comes at moments that all processes share when there is no end", undefined, 61_000, 90_000],
    ["comes within half a minute however far the end is, as clocks may be set", 9_000_000, 61_000, 90_000],
    ["is later than now, also on such a moment", undefined, 90_000, 120_000],
    ["is later than now when a clock was set back or forward past the end", 1_000, 61_000, 90_000],
  ])("%s", (_title, untilMs, nowMs, atMs) => {
    expect(recheckAtMs(hold(untilMs), nowMs)).toBe(atMs);
  });
});
