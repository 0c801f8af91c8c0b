import { describe, expect, it } from "vitest";
import { lastTip } from "../signatures/last-tip.ts";
import { isToBeSyncedAgain } from "./refused-tip.ts";

const branch = { observed: "c", currentSync: undefined, synced: "a", attempted: "b", refused: undefined };

describe("while the tip is refused", () => {
  it.each([
    ["a running sync goes on", "running", false, false],
    ["also when somebody asks", "running", true, false],
    ["what ended is left alone", "finished", false, false],
    ["unless somebody asks", "finished", true, true],
    ["what was superseded by a tip that never began is taken up again", "superseded", false, true],
  ] as const)("%s", (_what, kind, wish, expected) => {
    expect(isToBeSyncedAgain({ state: { kind } }, wish)).toBe(expected);
  });
});

describe("a new tip should contain", () => {
  it.each([
    ["the one before", branch, "c"],
    ["what was tried last, where the one before was refused", { ...branch, refused: "c" }, "b"],
    ["the one before, where an older one was refused", { ...branch, refused: "z" }, "c"],
    ["nothing, where only a refused one was ever seen", { ...branch, attempted: undefined, refused: "c" }, undefined],
    ["nothing on first sight", { ...branch, observed: undefined }, undefined],
  ])("%s", (_what, record, expected) => {
    expect(lastTip(record)).toBe(expected);
  });
});
