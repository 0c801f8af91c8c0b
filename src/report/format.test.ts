import { describe, expect, it } from "vitest";
import { formatDuration, formatPeriod, formatTime, joinNames, relativeTime, visible } from "./format.ts";
import { classifyClusters, groupOperations } from "./group.ts";
import { displayWidth, renderStatusTable } from "./table.ts";
import { anOperation } from "../../test/support/build-plan.ts";

describe("formatDuration", () => {
  it.each([
    [0, "0ms"],
    [850, "850ms"],
    [42_000, "42s"],
    [59_600, "1m00s"],
    [192_000, "3m12s"],
    [7_500_000, "2h05m"],
    [273_600_000, "3d4h"],
  ])("writes %d ms as %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});

describe("formatPeriod", () => {
  it.each([
    [7 * 86_400_000, "7 days"],
    [86_400_000, "1 day"],
    [36 * 3_600_000, "36 hours"],
    [5_400_000, "90 minutes"],
    [3_605_000, "1h00m"],
  ])("writes %d ms as %s", (ms, text) => {
    expect(formatPeriod(ms)).toBe(text);
  });
});

describe("relativeTime", () => {
  it.each([
    [10_000, "just now"],
    [60_000, "1 minute ago"],
    [7_300_000, "2 hours ago"],
    [2 * 86_400_000, "2 days ago"],
    [400 * 86_400_000, "1 year ago"],
    [-300_000, "in 5 minutes"],
  ])("tells %d ms as %s", (ageMs, text) => {
    const nowMs = Date.UTC(2026, 0, 1);
    expect(relativeTime(nowMs - ageMs, nowMs)).toBe(text);
  });
});

it("writes times in UTC to the minute", () => {
  expect(formatTime(Date.UTC(2026, 10, 22, 9, 5, 59))).toBe("2026-11-22 09:05 UTC");
});

it("joins names as people do", () => {
  expect(
    [[], ["a"], ["a", "b"], ["a", "b", "c", "d"], ["a", "b", "c", "d", "e"]].map((names) => joinNames(names)),
  ).toEqual(["", "a", "a and b", "a, b, c and d", "a, b, c and 2 more"]);
});

it("makes visible what would hide or turn text around", () => {
  expect(visible("a\nb\tc\u202Ed\u0000e\uD800f")).toBe("a⏎b c⟨U+202E⟩d⟨U+0000⟩e⟨U+D800⟩f");
});

describe("groups", () => {
  it("put together what differs only in the cluster's name", () => {
    const groups = groupOperations([onCluster("store-1"), onCluster("store-2"), onCluster("store-3", "web-other")]);
    expect(groups.map(({ operation, clusters }) => [operation.virdomain, clusters])).toEqual([
      ["web-{{ clusterName }}", ["store-1", "store-2"]],
      ["web-other", ["store-3"]],
    ]);
  });

  it("put the largest set of equal clusters first", () => {
    const classes = classifyClusters([onCluster("a", "odd"), onCluster("store-1"), onCluster("store-2")]);
    expect(classes.map(({ clusters }) => clusters)).toEqual([["store-1", "store-2"], ["a"]]);
  });
});

describe("renderStatusTable", () => {
  it("aligns by what a terminal shows, and leaves no blanks at line ends", () => {
    const table = renderStatusTable(
      [{ title: "NAME" }, { title: "COUNT", align: "right" }, { title: "NOTE" }],
      [
        ["日本", "7", ""],
        ["b", "1000", "x\ny"],
      ],
    );
    expect(table.split("\n")).toEqual(["NAME  COUNT  NOTE", "日本      7", "b      1000  x⏎y"]);
    expect(displayWidth("e\u0301🚀")).toBe(3);
  });
});

function onCluster(cluster: string, virdomain = `web-${cluster}`) {
  return anOperation({
    kind: "create",
    cluster,
    virdomain,
    identity: { repository: "fleet", application: "three-tier-webapp", resource: "web-{{ clusterName }}", ordinal: 0 },
  });
}
