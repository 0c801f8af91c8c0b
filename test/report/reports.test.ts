import { readFile } from "node:fs/promises";
import { Ajv2020 } from "ajv/dist/2020.js";
import { beforeAll, describe, expect, it } from "vitest";
import { renderAlarms } from "../../src/report/alarms.ts";
import { renderHistory } from "../../src/report/history.ts";
import { planToJson } from "../../src/report/json.ts";
import { describeSnapshots } from "../../src/report/snapshots.ts";
import { describePlan } from "../../src/report/status-text.ts";
import { renderPlanText } from "../../src/report/terminal.ts";
import { aChange, anOperation, aPlan, aProblem, aTarget } from "../support/build-plan.ts";
import { examples } from "./examples.ts";

describe("planToJson", () => {
  let accepts: (value: unknown) => readonly string[];
  beforeAll(async () => {
    const schema = JSON.parse(
      await readFile(new URL("../../config/plan.schema.json", import.meta.url), "utf8"),
    ) as object;
    const validate = new Ajv2020({ strict: true, allErrors: true }).compile(schema);
    accepts = (value) =>
      validate(JSON.parse(JSON.stringify(value)))
        ? []
        : (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`);
  });

  it.each(examples)("gives what the schema describes: $name", ({ plan }) => {
    expect(accepts(planToJson(plan))).toEqual([]);
  });

  it("is refused by the schema when a member is missing or of the wrong kind", () => {
    expect(accepts({ ...planToJson(aPlan()), operations: undefined })).not.toEqual([]);
    expect(accepts({ ...planToJson(aPlan()), schemaVersion: 2 })).not.toEqual([]);
  });

  it("counts what there is to do", () => {
    expect(planToJson(aPlan({ operations: [anOperation({ kind: "create", virdomain: "web" })] }))).toMatchObject({
      schemaVersion: 1,
      changes: true,
      summary: { create: 1, update: 0, reboots: 0 },
    });
  });
});

describe("renderPlanText", () => {
  it("ends with what `terraform plan` readers look for", () => {
    expect(renderPlanText(aPlan(), { colour: false })).toBe("No changes. Live state is as desired.");
    expect(renderPlanText(aPlan({ offline: true }), { colour: false })).toBe("No changes.");
  });

  it("tells snapshots once, and apart those that go with their VM", () => {
    const snapshot = (days: number) => ({ snapshot: { keepMs: days * 86_400_000 } });
    const operations = [
      anOperation({ kind: "update", virdomain: "a", ...snapshot(7) }),
      anOperation({ kind: "update", virdomain: "b", ...snapshot(7) }),
      anOperation({ kind: "update", virdomain: "c", ...snapshot(1) }),
      anOperation({ kind: "replace", virdomain: "d", ...snapshot(7) }),
      anOperation({ kind: "create", virdomain: "e" }),
    ];
    const lines = [
      "2 VMs: a snapshot is taken before, kept 7 days.",
      "1 VM: a snapshot is taken before, kept 1 day.",
      "1 VM to rebuild: a snapshot is taken before, which goes with the old VM.",
    ];
    expect(describeSnapshots(aPlan({ operations }))).toEqual(lines);
    expect(renderPlanText(aPlan({ operations }), { colour: false })).toContain(`\n\n${lines.join("\n")}\n\nPlan: `);
    expect(describeSnapshots(aPlan())).toEqual([]);
  });

  it("says once for each target of a laboratory that its VMs get less than they ask for", () => {
    const scaled = (message: string) => ({ code: "scaled-down" as const, path: "", message });
    const unchanged = {
      ...aTarget("lab", "three-tier-webapp", 1),
      notices: [{ ...scaled("less memory"), virdomain: "db" }],
    };
    const operations = ["web", "app"].map((virdomain) =>
      anOperation({ kind: "create", virdomain, cluster: "lab", notices: [scaled("fewer CPUs")] }),
    );
    const alone = anOperation({ kind: "create", virdomain: "web", cluster: "other", notices: [scaled("fewer CPUs")] });
    const plan = aPlan({ targets: [unchanged], operations: [...operations, alone] });
    const gathered = "the cluster's limits give them less than their manifests ask for (laboratory)";
    expect(renderPlanText(plan, { colour: false })).toContain(
      ["Good to know:", `  db and 2 more VMs on lab: ${gathered}`, "  web on other: fewer CPUs", ""].join("\n"),
    );
    expect(renderAlarms(plan, 10_000, 0).text).toContain(
      [`> - \`db\` and 2 more VMs on \`lab\`: ${gathered}`, "> - `web` on `other`: fewer CPUs"].join("\n"),
    );
  });

  it("shows each kind of operation with its sign", () => {
    const operations = [
      anOperation({ kind: "create", virdomain: "a" }),
      anOperation({
        kind: "update",
        virdomain: "b",
        disruption: "reboot",
        changes: [
          aChange("memory", "4 GiB", "8 GiB", { disruption: "reboot" }),
          aChange("description", "", "web", { origin: "drift" }),
        ],
      }),
      anOperation({ kind: "replace", virdomain: "c", disks: [{ name: "root", capacityBytes: 1_000_000_000 }] }),
      anOperation({ kind: "delete", virdomain: "d" }),
      anOperation({
        kind: "start",
        virdomain: "e",
        changes: [aChange("state", "shutoff", "running", { kind: "power" })],
      }),
      anOperation({ kind: "stop", virdomain: "f", adopt: true }),
    ];
    expect(renderPlanText(aPlan({ operations }), { colour: false }).split("\n")).toEqual([
      "store-101",
      "  three-tier-webapp",
      "  + a will be created",
      "  ~ b will be updated, with a reboot",
      "        memory:      4 GiB -> 8 GiB  # reboot",
      '        description: "" -> web  # drift',
      "-/+ c will be replaced, its disks are made anew",
      "        disk root: 1 GB  # data-loss",
      "  - d will be deleted, with its disks",
      "  ▶ e will be started",
      "        state: shutoff -> running",
      "  ■ f will be shut down (taken over: it was not managed before)",
      "",
      "Plan: 1 to create, 1 to update (1 reboot), 1 to replace, 1 to delete, 1 to start, 1 to stop.",
    ]);
  });

  it("colours only when asked, and lets no escape sequence of a manifest through", () => {
    const operations = [anOperation({ kind: "create", virdomain: "a\u001B[31m\u202Eb\nc" })];
    const plain = renderPlanText(aPlan({ operations }), { colour: false });
    expect(plain).not.toContain("\u001B");
    expect(plain).toContain("a⟨U+001B⟩[31m⟨U+202E⟩b⏎c will be created");
    expect(renderPlanText(aPlan({ operations }), { colour: true })).toContain("\u001B[32m  +\u001B[0m");
  });

  it("cuts long values to the width of the terminal and keeps the remark", () => {
    const operations = [
      anOperation({
        kind: "update",
        virdomain: "a",
        changes: [aChange("description", "x".repeat(200), "y", { disruption: "reboot" })],
      }),
    ];
    const line = renderPlanText(aPlan({ operations }), { colour: false, width: 40 })
      .split("\n")
      .find((text) => text.includes("description"));
    expect(line).toBe(`        description: ${"x".repeat(18)}…  # reboot`);
  });
});

describe("describePlan", () => {
  const operations = [
    anOperation({
      kind: "update",
      virdomain: "a",
      changes: [aChange("memory", "4 GiB", "8 GiB", { disruption: "reboot" })],
    }),
    anOperation({ kind: "delete", virdomain: "b" }),
  ];

  it("says what merging would do, and what it waits for", () => {
    expect(describePlan(aPlan())).toBe("No VM changes");
    expect(describePlan(aPlan({ operations }))).toBe("Plan: 1 to update (1 reboot), 1 to delete");
    const held = [{ cluster: "store-7", code: "cluster-updating", reason: "updating" }];
    const deletions = { ...aPlan().deletions, losing: ["store-101/b"], allowed: false };
    expect(describePlan(aPlan({ operations, held, deletions }))).toBe(
      "Plan: 1 to update (1 reboot), 1 to delete, 1 cluster held, deletions need approval",
    );
  });

  it("puts problems and conflicts before everything else", () => {
    const problems = [aProblem("manifests/web.yaml", 3, "wrong"), aProblem("manifests/web.yaml", 4, "wrong")];
    expect(describePlan(aPlan({ operations, problems }))).toBe("Plan failed: 2 problems in manifests/web.yaml");
    const conflict = {
      code: "name-taken",
      cluster: "lab",
      application: "web",
      virdomain: "web-1",
      message: "not ours",
    } as const;
    expect(describePlan(aPlan({ operations, conflicts: [conflict] }))).toBe(
      "Plan failed: 1 VM in conflict (web-1 on lab: not ours)",
    );
  });
});

describe("renderHistory", () => {
  it("says who approved losses", () => {
    const nowMs = Date.UTC(2026, 10, 22, 12);
    const entry = {
      revision: "a1b2c3d4e5f6",
      author: "Ada",
      subject: "One VM",
      startedAtMs: nowMs - 60_000,
      finishedAtMs: nowMs - 30_000,
      verdict: { state: "success", description: "Synced" },
      returnsTo: undefined,
      approval: { by: "grace", atMs: nowMs - 7_200_000, planId: "0c4be71d9a52", place: "pull request 7" },
      applications: ["web"],
      operations: [],
    };
    expect(renderHistory([entry], nowMs)).toMatch(/LOSSES APPROVED BY +IN +WHEN\na1b2c3d +grace +pull request 7 +2 h/);
  });

  it("shows one line for each sync", () => {
    const nowMs = Date.UTC(2026, 10, 22, 12);
    const entry = {
      revision: "a1b2c3d4e5f6",
      author: "Ada",
      subject: "Give web more memory",
      startedAtMs: nowMs - 3_600_000 - 192_000,
      finishedAtMs: nowMs - 3_600_000,
      verdict: { state: "success", description: "Synced" },
      returnsTo: undefined,
      applications: ["web", "db"],
      operations: ["done", "failed"].map((outcome) => ({ cluster: "store-101", virdomain: "web", outcome })),
    };
    expect(
      renderHistory([entry, { ...entry, revision: "9f8e7d6c", returnsTo: "a1b2c3d4" }], nowMs).split("\n"),
    ).toEqual([
      "COMMIT   WHEN        RESULT    TOOK    OPERATIONS  APPLICATIONS  AUTHOR  SUBJECT",
      "a1b2c3d  1 hour ago  success  3m12s  2 (1 failed)  web and db    Ada     Give web more memory",
      "9f8e7d6  1 hour ago  success  3m12s  2 (1 failed)  web and db    Ada     Give web more memory (returns to a1b2c3d)",
    ]);
    expect(renderHistory([], nowMs)).toBe("No syncs yet.");
    const guarded = (count: number) => ({
      ...entry,
      operations: Array.from({ length: count }, (_, index) => ({
        cluster: "store-101",
        virdomain: `web-${index}`,
        outcome: "done",
        snapshot: `8d7138a0-${index}`,
      })),
    });
    expect(
      renderHistory([entry, guarded(1)], nowMs)
        .split("\n")
        .slice(3),
    ).toEqual(["", "COMMIT   SNAPSHOT TAKEN BEFORE, OF  ID", "a1b2c3d  web-0 on store-101         8d7138a0-0"]);
    expect(
      renderHistory([guarded(30)], nowMs)
        .split("\n")
        .at(-1),
    ).toBe("… and 10 more, see --json");
  });
});
