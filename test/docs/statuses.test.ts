import { expect, it } from "vitest";
import { describeRefused, describeRefusedBelow } from "../../src/report/signature-text.ts";
import {
  describeApproval,
  describeDriftOver,
  describeFailed,
  describeGivenUp,
  describeHeld,
  describePlan,
  describeProgress,
  describeStopped,
  describeSuperseded,
  describeSynced,
} from "../../src/report/status-text.ts";
import { describeRollout } from "../../src/report/rollout-text.ts";
import { aChange, aPlan, aProblem, anOperation } from "../support/build-plan.ts";
import { inlineCode, readPage, section, tableRows } from "./pages.ts";

const first = { virdomain: "web-02", cluster: "store-7", message: "..." };
const conflict = {
  code: "name-taken" as const,
  application: "shop",
  ...first,
};
const updateWithReboot = anOperation({
  kind: "update",
  virdomain: "web-02",
  disruption: "reboot",
  changes: [aChange("memory", "4 GiB", "8 GiB", { disruption: "reboot" })],
});
const creations = ["1", "2", "3", "4", "5"].map((name) => anOperation({ kind: "create", virdomain: name }));
const deletions = ["1", "2", "3", "4"].map((name) => anOperation({ kind: "delete", virdomain: name }));
const waiting = { ...aPlan().deletions, allowed: false, losing: ["1", "2", "3", "4"] };

/** Every text the code has for a status, with the examples' numbers. */
const texts: readonly string[] = [
  describePlan(aPlan()),
  describePlan(aPlan({ operations: [...creations, updateWithReboot] })),
  describePlan(aPlan({ operations: deletions, deletions: waiting })),
  describePlan(
    aPlan({
      problems: [aProblem("manifests/web.yaml", 12, "unknown key"), aProblem("manifests/web.yaml", 31, "bits")],
    }),
  ),
  describePlan(aPlan({ conflicts: [conflict] })),
  describeProgress(3, 9),
  describeRollout(
    { stage: 2, stages: 4, done: 3, clusters: 10, nextAtMs: Date.UTC(2026, 10, 28, 14, 30) },
    Date.UTC(2026, 10, 28, 14, 21),
  ),
  describeHeld(["store-7 (...)"]),
  describeHeld(["signatures cannot be checked now, see kraken-gitops status"]),
  describeRefused({ kind: "refused", reason: "unsigned", by: undefined, key: undefined }),
  describeRefusedBelow("1a2b3c4d5e6f"),
  describeSuperseded("1a2b3c4d5e6f"),
  describeSuperseded("1a2b3c4d5e6f", "success"),
  describeSynced({ operations: 9, clusters: 3, durationMs: 192_000 }),
  describeSynced({ operations: 1, clusters: 1, durationMs: 2_000, returnsTo: "9f8e7d6c5b4a" }),
  describeSynced({ operations: 1, clusters: 1, durationMs: 9_000, quarantined: 1 }),
  describeSynced({ operations: 1, clusters: 1, durationMs: 9_000, restored: 1 }),
  describeSynced({ operations: 0, clusters: 0, durationMs: 0 }),
  describeFailed({ failed: 1, operations: 9, first }),
  describeFailed({ failed: 0, operations: 0, problems: 1, problem: "manifests/web.yaml:4:9: ...", conflicts: 1 }),
  describeGivenUp({ virdomain: "web-02", cluster: "store-7", paths: ["memory"], corrections: 5 }, 1),
  describeDriftOver,
  describeStopped({ cluster: "store-3", reason: "web-02: ...", notStarted: 7, clusters: 10 }),
  describeApproval({
    losing: Array.from({ length: 12 }, String),
    budget: 3,
    cause: "budget",
    approvalId: "ab12cd34ef56",
  }),
];

it("docs/operations.md explains every text of a status, word for word", () => {
  const explained = tableRows(section(readPage("docs/operations.md"), "Statuses")).flatMap((row) =>
    inlineCode(row[2] ?? ""),
  );
  expect(texts.filter((text) => !explained.includes(text))).toEqual([]);
});
