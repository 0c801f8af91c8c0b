import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Operation, OperationKind, Plan } from "../../src/plan/plan.ts";
import { type PlanCommentInput, planMarker, renderPlanComment } from "../../src/report/markdown.ts";
import { aChange, anOperation, aPlan, aProblem } from "../support/build-plan.ts";
import { checkMarkdown, tableWidths } from "../support/markdown-structure.ts";
import { commentInput, examples } from "./examples.ts";

const hostilePieces = [
  "```",
  "````diff",
  "`",
  "``x``",
  "~~~",
  "<details>",
  "</details>",
  "</summary>",
  "</code>",
  "<script>alert(1)</script>",
  "<!--",
  "-->",
  "<img src=x onerror=alert(1)>",
  "@everyone",
  "@org/team",
  "#123",
  "GH-7",
  "https://github.com/a/b/issues/1",
  "www.example.com",
  "|",
  "\\|",
  "\\",
  "\n",
  "\r\n",
  "\n\n# Title\n",
  "\n> [!CAUTION]\n",
  "\u202E",
  "\u2066",
  "\u200F",
  "\u0000",
  "\u001B[31m",
  "\uD800",
  "[link](javascript:alert(1))",
  "![x](http://evil)",
  "](http://x)",
  "**",
  "__",
  "$$x$$",
  "&lt;",
  "&#60;",
  "- ",
  "1. ",
  "web",
  " ",
  "store-1",
  "",
];
const hostile = fc.array(fc.constantFrom(...hostilePieces), { maxLength: 6 }).map((pieces) => pieces.join(""));
const kinds: readonly OperationKind[] = ["create", "update", "replace", "delete", "start", "stop"];

const change = fc.record({
  path: hostile,
  from: fc.option(hostile, { nil: undefined }),
  to: fc.option(hostile, { nil: undefined }),
  disruption: fc.constantFrom("live" as const, "reboot" as const, "rebuild" as const, "data-loss" as const),
  origin: fc.constantFrom("git" as const, "drift" as const),
});
const operation: fc.Arbitrary<Operation> = fc
  .record({
    kind: fc.constantFrom(...kinds),
    virdomain: hostile,
    cluster: fc.oneof(hostile, fc.constantFrom("store-1", "store-2")),
    application: hostile,
    changes: fc.array(change, { maxLength: 3 }),
    disk: hostile,
    notice: hostile,
  })
  .map(({ kind, virdomain, cluster, application, changes, disk, notice }) =>
    anOperation({
      kind,
      virdomain,
      cluster,
      application,
      changes: changes.map(({ path, from, to, disruption, origin }) => aChange(path, from, to, { disruption, origin })),
      disks: [{ name: disk, capacityBytes: 1_000 }],
      notices: [{ code: "foreign-disk", path: "", message: notice }],
    }),
  );
const problem = fc
  .tuple(hostile, hostile, hostile, hostile, fc.constantFrom("error" as const, "warning" as const))
  .map(([file, path, message, hint, severity]) => aProblem(file, 3, message, { path, hint, severity }));
const plan: fc.Arbitrary<Plan> = fc
  .record({
    operations: fc.array(operation, { maxLength: 25 }),
    problems: fc.array(problem, { maxLength: 5 }),
    held: fc.array(fc.record({ cluster: hostile, code: fc.constant("x"), reason: hostile }), { maxLength: 3 }),
    conflict: hostile,
    reason: hostile,
  })
  .map(({ operations, problems, held, conflict, reason }) =>
    aPlan({
      operations,
      problems,
      held,
      conflicts: [
        { code: "name-taken", cluster: conflict, application: conflict, virdomain: conflict, message: conflict },
      ],
      deletions: {
        losing: ["x"],
        budget: 0,
        allowed: false,
        reason,
        cause: "budget",
        losses: [],
        approvalId: "ab12",
        approved: false,
      },
    }),
  );

function render(of: Plan, extras: Partial<PlanCommentInput> = {}): string {
  return renderPlanComment(commentInput(of, extras));
}

describe("renderPlanComment", () => {
  it("stays whole and within its limit whatever the manifests say", () => {
    fc.assert(
      fc.property(plan, hostile, fc.constantFrom(4_000, 8_000, 60_000), (given, branch, limitChars) => {
        const text = render(given, {
          baseBranch: branch,
          limitChars,
          linkToFile: (file, line) => `https://forge.example/${file}#L${line}`,
          returnsTo: { revision: "9f8e7d6", syncedAtMs: 0 },
        });
        expect(checkMarkdown(text)).toEqual([]);
        expect(new Set(tableWidths(text)).size).toBeLessThanOrEqual(1);
        expect(text.length).toBeLessThanOrEqual(limitChars);
      }),
      { numRuns: 400 },
    );
  });

  it("stays whole when the files in conflict are hostile", () => {
    fc.assert(
      fc.property(fc.array(hostile, { minLength: 1, maxLength: 50 }), (conflictFiles) => {
        const text = render(aPlan(), { conflictFiles, limitChars: 4_000 });
        expect(checkMarkdown(text)).toEqual([]);
        expect(text.length).toBeLessThanOrEqual(4_000);
      }),
    );
  });

  it("fits 500 changed VMs on one cluster into 60,000 characters and says what it left out", () => {
    const text = render(aPlan({ operations: manyVirdomains(500, 1) }));
    expect(text.length).toBeLessThanOrEqual(60_000);
    expect(text.length).toBeGreaterThan(40_000);
    expect(checkMarkdown(text)).toEqual([]);
    expect(text).toMatch(
      /\*\*Cut to fit:\*\* \d+ entries did not fit into this comment\. The whole plan: `kraken-gitops plan/,
    );
    expect(text).toMatch(/# … and \d+ more VMs/);
    expect(text).toContain("merge of head `a1b2c3d` into `main` at `9f8e7d6`");
  });

  it("fits 500 VMs that differ on every one of 100 clusters", () => {
    const text = render(aPlan({ operations: manyVirdomains(5, 100) }));
    expect(text.length).toBeLessThanOrEqual(60_000);
    expect(checkMarkdown(text)).toEqual([]);
  });

  it("cuts nothing and announces nothing while everything fits", () => {
    expect(render(aPlan({ operations: manyVirdomains(20, 1) }))).not.toContain("Cut to fit");
  });

  it("keeps the order of its sections", () => {
    const text = render(
      aPlan({
        operations: [
          anOperation({
            kind: "delete",
            virdomain: "a",
            cluster: "one",
            disks: [{ name: "d", capacityBytes: 1_000_000_000 }],
          }),
          anOperation({
            kind: "update",
            virdomain: "b",
            cluster: "two",
            changes: [aChange("cpu", "1", "2", { origin: "drift" })],
          }),
        ],
        problems: [aProblem("x.yaml", 1, "wrong")],
      }),
    );
    const places = [
      "<!-- kraken-gitops:plan:edge:fleet -->",
      "### ",
      "[!CAUTION]",
      "Drift on 1 VM will be overwritten",
      "When this is merged",
      "| Application |",
      "**Differences**",
      "**Drift that was there before**",
      "**1 problem**",
      "\n---\n",
    ].map((part) => text.indexOf(part));
    expect(places).not.toContain(-1);
    expect(places).toEqual([...places].sort((a, b) => a - b));
  });

  const given = { by: "ada`<b>", atMs: Date.UTC(2026, 10, 22, 9, 12), planId: "0c4be71d9a52", place: "pull request 7" };
  const over = examples.find(({ name }) => name === "deletions-over-budget")?.plan ?? aPlan();

  it("says when an approval no longer holds", () => {
    const text = renderPlanComment(commentInput(over, { lapsedApproval: given }));
    expect(text).toContain(
      "The approval of plan `0c4be71d9a52` by ``ada`<b>`` on 2026-11-22 09:12 UTC no longer holds: what would be lost is not what it was then",
    );
    const within = { ...over, deletions: { ...over.deletions, allowed: true, reason: undefined, cause: undefined } };
    const calm = renderPlanComment(commentInput(within, { lapsedApproval: given }));
    expect(calm).toContain("> [!NOTE]\n> **An earlier approval no longer holds**");
    expect(checkMarkdown(calm)).toEqual([]);
  });

  it("names no approval for what was planned without the clusters", () => {
    const fork = { number: 8, fork: true, draft: false };
    const offline = renderPlanComment(commentInput({ ...over, offline: true }, { pullRequest: fork }));
    expect(offline).not.toContain(over.deletions.approvalId);
    expect(offline).toContain("`/kraken plan`");
    const full = renderPlanComment(commentInput(over, { pullRequest: fork }));
    expect(full).toContain("Commit `a1b2c3d` was planned in full because somebody with write access asked for it");
    expect(full).toContain(`\`/kraken approve ${over.deletions.approvalId}\``);
  });

  it("shows a cloud-init change as a difference in its fence", () => {
    const difference = "@@ -1,2 +1,2 @@\n #cloud-config\n-password: (masked)\n+password: (masked, changed)";
    const operations = [
      anOperation({
        kind: "replace",
        virdomain: "db",
        changes: [
          aChange("cloud_init_data.user_data", undefined, difference, { kind: "cloud-init", disruption: "rebuild" }),
        ],
      }),
    ];
    expect(render(aPlan({ operations }))).toContain("+         password: (masked, changed)\n");
  });
});

describe("planMarker", () => {
  it("cannot be broken by the names in it", () => {
    expect(planMarker("edge", "acme/fleet")).toBe("<!-- kraken-gitops:plan:edge:acme/fleet -->");
    fc.assert(
      fc.property(hostile, hostile, (instance, repository) => {
        expect(planMarker(instance, repository)).toMatch(/^<!-- kraken-gitops:plan:[^<>\s]*:[^<>\s]* -->$/);
      }),
    );
  });
});

function manyVirdomains(perCluster: number, clusters: number): readonly Operation[] {
  return Array.from({ length: clusters }, (_, cluster) =>
    Array.from({ length: perCluster }, (_unused, index) =>
      anOperation({
        kind: "update",
        virdomain: `app-server-with-a-long-name-${index}`,
        cluster: `store-${cluster + 1}`,
        disruption: "reboot",
        changes: [
          aChange("memory", "4 GiB", `${cluster + 5} GiB`, { disruption: "reboot" }),
          aChange("description", `number ${index}`, `the number ${index} in a longer sentence about this machine`),
        ],
      }),
    ),
  ).flat();
}
