import { expect, it } from "vitest";
import { coveredMs } from "../bench/support/forge-time.ts";

const span = { fromMs: 100, toMs: 200 };

it.each([
  ["nothing", [], 0],
  ["one within", [[110, 130]], 20],
  [
    "two side by side",
    [
      [110, 130],
      [120, 150],
    ],
    40,
  ],
  [
    "one inside another, told in any order",
    [
      [120, 130],
      [110, 150],
    ],
    40,
  ],
  [
    "two with a gap",
    [
      [110, 120],
      [180, 190],
    ],
    20,
  ],
  [
    "what begins before and ends after",
    [
      [50, 110],
      [190, 300],
    ],
    20,
  ],
  [
    "what lies outside",
    [
      [0, 100],
      [200, 300],
    ],
    0,
  ],
  [
    "more than the whole",
    [
      [0, 300],
      [150, 160],
    ],
    100,
  ],
])("counts %s once", (_what, intervals, ms) => {
  expect(
    coveredMs(
      intervals.map(([fromMs = 0, toMs = 0]) => ({ fromMs, toMs })),
      span,
    ),
  ).toBe(ms);
});
