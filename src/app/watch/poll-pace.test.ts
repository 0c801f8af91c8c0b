import { describe, expect, it } from "vitest";
import { type LastTurn, untilNextPoll } from "./poll-pace.ts";

const quiet: LastTurn = { pollMs: 15_000, failures: 0, standsBy: false, wanted: false };

describe("until the next poll", () => {
  it.each<readonly [title: string, turn: Partial<LastTurn>, ms: number]>([
    ["the interval", {}, 15_000],
    ["the interval, however long", { pollMs: 3_600_000 }, 3_600_000],
    ["a second look after a poll that was wanted", { wanted: true }, 3_000],
    ["no later than a short interval says", { wanted: true, pollMs: 1_000 }, 1_000],
    ["twice the interval after a failure", { failures: 1 }, 30_000],
    ["no shorter because the failed one was wanted", { failures: 1, wanted: true }, 30_000],
    ["five minutes at most", { failures: 40 }, 300_000],
    ["soon after a failure, however long the interval", { failures: 1, pollMs: 3_600_000 }, 30_000],
    ["the term of a lease while another process watches", { standsBy: true, pollMs: 600_000 }, 10_000],
    ["the interval while another process watches, when that is shorter", { standsBy: true, pollMs: 2_000 }, 2_000],
  ])("is %s", (_title, turn, ms) => {
    expect(untilNextPoll({ ...quiet, ...turn })).toBe(ms);
  });
});
