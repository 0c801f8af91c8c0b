import { describe, expect, it } from "vitest";
import { type DriftLines, renderDrift } from "./drift-list.ts";

const nowMs = Date.UTC(2026, 10, 28, 12);
const hourMs = 3_600_000;
const empty: DriftLines = { drifted: [], unmanaged: [], quarantined: [], syncing: [] };
const web: DriftLines["drifted"][number] = {
  cluster: "store-7",
  virdomain: "web-02",
  application: "shop",
  id: "u1",
  policy: "correct",
  fields: [
    { path: "memory", git: "4 GiB", live: "8 GiB" },
    { path: "storage_devices.data", git: "5 GiB", live: undefined },
  ],
  corrections: 0,
  gaveUpAtMs: undefined,
};

/** Lines with single blanks between words. */
function lines(list: Partial<DriftLines>): readonly string[] {
  return renderDrift({ ...empty, ...list }, nowMs)
    .split("\n")
    .map((line) => line.replaceAll(/ {2,}/g, " ").trim());
}

describe("renderDrift", () => {
  it("says that there is none", () => {
    expect(lines({})).toEqual(["No drift."]);
  });

  it("lists every field as git wants it and as it is", () => {
    expect(lines({ drifted: [web] })).toEqual([
      "CLUSTER VM APPLICATION FIELD GIT LIVE STATE",
      "store-7 web-02 shop memory 4 GiB 8 GiB to be put right",
      "storage_devices.data 5 GiB none",
    ]);
  });

  it.each<[string, Partial<typeof web>, RegExp]>([
    ["left by policy", { policy: "report" }, / left as it is by policy$/],
    [
      "gone, which no policy leaves",
      { policy: "report", id: undefined, fields: [] },
      / the VM there gone to be put right$/,
    ],
    ["put right before", { corrections: 2 }, / put right 2 times so far$/],
    ["given up", { corrections: 5, gaveUpAtMs: nowMs - 2 * hourMs }, / given up 2 hours ago, after 5 corrections$/],
  ])("says of a VM that it is %s", (_title, facts, state) => {
    expect(lines({ drifted: [{ ...web, ...facts }] })[1]).toMatch(state);
  });

  it("tells of a sync under way first, and lists what nobody manages and what is in quarantine", () => {
    const text = lines({
      syncing: ["fleet"],
      unmanaged: [{ cluster: "store-7", virdomain: "printer", power: "running", why: "no mark" }],
      quarantined: [{ cluster: "store-7", name: "db", identity: "fleet/shop/db", untilMs: nowMs + 24 * hourMs }],
    });
    expect(text).toEqual([
      "fleet is being synced: what that is about to change is left out.",
      "",
      "No drift.",
      "",
      "Not managed, and never touched:",
      "CLUSTER VM STATE WHY",
      "store-7 printer running no mark",
      "",
      "In quarantine:",
      "CLUSTER VM OF KEPT UNTIL",
      "store-7 db fleet/shop/db 2026-11-29 12:00 UTC (in 1 day)",
    ]);
  });
});
