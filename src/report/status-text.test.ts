import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  cutDescription,
  describeApproval,
  describeFailed,
  describeHeld,
  describeProgress,
  describeStopped,
  describeSuperseded,
  describeSynced,
} from "./status-text.ts";

describe("status descriptions", () => {
  const first = { virdomain: "web-02", cluster: "store-7", message: "out of memory" };

  it.each([
    [
      describeSynced({ operations: 9, clusters: 3, durationMs: 192_000 }),
      "Synced: 9 operations on 3 clusters in 3m12s",
    ],
    [describeSynced({ operations: 1, clusters: 1, durationMs: 900 }), "Synced: 1 operation on 1 cluster in 900ms"],
    [describeSynced({ operations: 0, clusters: 0, durationMs: 5 }), "No VM changes"],
    [
      describeSynced({ operations: 2, clusters: 1, durationMs: 60_000, returnsTo: "9f8e7d6c5b" }),
      "Synced: 2 operations on 1 cluster in 1m00s, back at 9f8e7d6",
    ],
    [describeFailed({ failed: 1, operations: 9, first }), "Failed: 1 of 9 (web-02 on store-7: out of memory)"],
    [describeFailed({ failed: 0, operations: 0, problems: 2 }), "Failed: 2 problems in the manifests"],
    [
      describeFailed({ failed: 0, operations: 0, problems: 2, problem: "web.yaml:4:9: unknown key" }),
      "Failed: 2 problems in the manifests (web.yaml:4:9: unknown key)",
    ],
    [
      describeFailed({
        failed: 1,
        operations: 9,
        first: { ...first, message: "cluster store-7: start VM: no memory" },
      }),
      "Failed: 1 of 9 (web-02 on store-7: start VM: no memory)",
    ],
    [
      describeFailed({ failed: 1, operations: 9, first, problems: 1, conflicts: 2 }),
      "Failed: 1 problem in the manifests, 2 VMs in conflict, 1 of 9 (web-02 on store-7: out of memory)",
    ],
    [
      describeHeld(["store-7 is unreachable (connect ECONNREFUSED)"]),
      "Held: store-7 is unreachable (connect ECONNREFUSED)",
    ],
    [describeProgress(3, 9), "Syncing: 3 of 9 operations"],
    [describeSuperseded("1a2b3c4d5e6f"), "Superseded by 1a2b3c4"],
    [describeSuperseded("1a2b3c4d5e6f", "success"), "Superseded by 1a2b3c4, synced"],
    [
      describeApproval({
        losing: Array.from({ length: 12 }, String),
        budget: 3,
        cause: "budget",
        approvalId: "ab12cd34ef56",
      }),
      "Waiting for approval: 12 VMs would lose data, budget 3; comment /kraken approve or commit Kraken-Approve: ab12cd34ef56",
    ],
  ])("read %j", (text, expected) => {
    expect(text).toBe(expected);
  });
});

describe("describeStopped", () => {
  it("fits a forge whatever the reason, and keeps how many clusters were not started", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 300 }), fc.string({ maxLength: 80 }), (reason, cluster) => {
        const text = describeStopped({ cluster, reason, notStarted: 99, clusters: 100 });
        expect(cutDescription(text)).toBe(text.trim());
        expect(text).toMatch(/\); rollout stopped, 99 of 100 clusters not started$/);
      }),
    );
  });
});

describe("cutDescription", () => {
  it("leaves 140 code points and cuts 141 at a whole character", () => {
    expect(cutDescription("x".repeat(140))).toBe("x".repeat(140));
    expect(cutDescription("x".repeat(141))).toBe(`${"x".repeat(139)}…`);
    expect(cutDescription("🚀".repeat(141))).toBe(`${"🚀".repeat(139)}…`);
  });

  it("always gives one line within the limit, without half characters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 400 }), fc.integer({ min: 1, max: 200 }), (text, max) => {
        const cut = cutDescription(text, max);
        expect(Array.from(cut).length).toBeLessThanOrEqual(max);
        expect(cut).not.toMatch(/[\n\r]|[\uD800-\uDBFF](?![\uDC00-\uDFFF])/);
      }),
    );
  });
});
