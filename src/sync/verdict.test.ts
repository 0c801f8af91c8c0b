import { describe, expect, it } from "vitest";
import type { ClusterResult, OperationFailure, SyncRecord } from "./sync-record.ts";
import { judgeSync } from "./verdict.ts";

const record: SyncRecord = {
  schemaVersion: 1,
  id: "fleet-1",
  repository: "fleet",
  branch: "main",
  revision: "a".repeat(40),
  treeId: undefined,
  baseRevision: undefined,
  planId: "p",
  commits: ["a".repeat(40)],
  author: "Alice",
  subject: "Change",
  startedAtMs: 0,
  returnsTo: undefined,
  problems: [],
  clusters: ["lab"],
  targets: {},
  enforced: [],
  predecessors: [],
  deletions: { allowed: true, reason: undefined, cause: undefined, losses: [], approvalId: "", budget: 3, losing: [] },
};
const done = { kind: "create" as const, application: "shop", virdomain: "web", durationMs: 1 };
const result: ClusterResult = {
  cluster: "lab",
  rounds: 1,
  completed: [done, done],
  failures: [],
  conflicts: [],
  blocked: [],
  refused: [],
  atMs: 1,
};
const failure: OperationFailure = {
  kind: "create",
  application: "shop",
  key: "fleet/shop/db",
  virdomain: "db",
  group: "shop",
  step: 0,
  code: "cluster-full",
  message: "out of space",
  fault: "platform",
};
const judge = (changes: Partial<SyncRecord>, ...results: ClusterResult[]) =>
  judgeSync({ ...record, ...changes }, results, 192_000);

describe("judgeSync", () => {
  it("counts what was done, where, and how long it took", () => {
    expect(judge({}, result, { ...result, cluster: "two" })).toMatchObject({
      state: "success",
      description: "Synced: 4 operations on 2 clusters in 3m12s",
    });
  });
  it("is a success when there was nothing to do", () => {
    expect(judge({})).toMatchObject({ state: "success", description: "No VM changes" });
  });
  it("says where a rollback is back at", () => {
    expect(judge({ returnsTo: { revision: "9f8e7d6".padEnd(40, "0"), syncedAtMs: 0 } }, result).description).toContain(
      "back at 9f8e7d6",
    );
  });
  it("is an error when only the platform is at fault", () => {
    expect(judge({}, { ...result, failures: [failure] })).toMatchObject({
      state: "error",
      description: "Failed: 1 of 3 (db on lab: out of space)",
    });
  });
  it("is a failure when the change is at fault, also in part", () => {
    expect(judge({}, { ...result, failures: [failure, { ...failure, fault: "change" }] }).state).toBe("failure");
    const conflict = {
      code: "name-taken" as const,
      cluster: "lab",
      application: "shop",
      virdomain: "web",
      message: "a VM named web exists",
    };
    expect(judge({}, { ...result, conflicts: [conflict] }).state).toBe("failure");
    const problem = {
      severity: "error" as const,
      code: "unknown-key",
      position: { file: "a.yaml", line: 1, column: 1 },
      path: "",
      message: "bad",
    };
    expect(judge({ problems: [problem] }, result).state).toBe("failure");
    expect(judge({ problems: [{ ...problem, severity: "warning" }] }, result).state).toBe("success");
  });
  it("asks for an approval when the deletion rules said no", () => {
    const deletions = {
      allowed: false,
      reason: "too many",
      cause: "budget" as const,
      losses: [],
      approvalId: "ab12cd34ef56",
      budget: 3,
      losing: ["lab/a", "lab/b", "lab/c", "lab/d"],
    };
    expect(judge({ deletions }, result)).toMatchObject({
      state: "failure",
      description: expect.stringContaining("Kraken-Approve: ab12cd34ef56"),
    });
  });
  it("is no success when losses were left out that the plan did not know", () => {
    expect(judge({}, { ...result, refused: ["web"] })).toMatchObject({
      state: "failure",
      description: expect.stringContaining("lab/web would lose data"),
    });
  });
  it("says where a rollout stopped, and how many clusters it left alone", () => {
    const unbegun = { ...result, completed: [], notStarted: { because: "canary" } };
    const left = ["a", "b", "c"].map((cluster) => ({ ...unbegun, cluster }));
    const canary = { ...result, cluster: "canary", failures: [failure] };
    expect(judge({}, ...left, canary)).toMatchObject({
      state: "error",
      description: "Failed: canary (db: out of space); rollout stopped, 3 of 4 clusters not started",
      notStarted: 3,
      clusters: 1,
    });
    const bad = { ...canary, failures: [{ ...failure, fault: "change" as const }] };
    expect(judge({}, ...left, bad).state).toBe("failure");
    expect(judge({}, unbegun, { ...result, cluster: "canary", refused: ["web"] })).toMatchObject({
      state: "failure",
      description: "Failed: canary (web would lose data); rollout stopped, 1 of 2 clusters not started",
    });
  });
});
