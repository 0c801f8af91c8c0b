import { describe, expect, it } from "vitest";
import { silentLog } from "../../../test/support/world.ts";
import type { AdvanceJob } from "../../ports/job-queue.ts";
import type { ClusterPass, ClusterResult, SyncRecord, SyncRollout } from "../../sync/sync-record.ts";
import type { Engine } from "../engine.ts";
import { askGate, leaveUnbegun, wakeRollout } from "./rollout-gate.ts";

const rollout: SyncRollout = {
  deployments: ["shops"],
  stages: [["canary"], ["a", "b"], ["c"]].map((clusters, index) => ({ canary: index === 0, clusters })),
  pauseMs: 1_000,
  stopOnFailure: true,
};
const clusters = ["canary", "a", "b", "c"];
const record = {
  id: "fleet-1",
  repository: "fleet",
  clusters,
  rollouts: [rollout],
  deletions: { allowed: true },
} as unknown as SyncRecord;

function pass(cluster: string, parts: Partial<ClusterPass> = {}): ClusterPass {
  const held = { code: "rollout-waiting", reason: "", sinceMs: 0, attempts: 0 };
  return { cluster, round: 0, operations: [], conflicts: [], held, failures: [], completed: [], ...parts };
}

function ended(cluster: string, failed = false): ClusterResult {
  const failure = { kind: "update", application: "shop", key: "k", virdomain: "web", group: "g", step: 0 } as const;
  const failures = failed ? [{ ...failure, code: "x", message: "out of memory", fault: "change" as const }] : [];
  return { cluster, rounds: 1, completed: [], failures, conflicts: [], blocked: [], refused: [], atMs: 0 };
}

/** A store with the passes and results it is given, and a queue that remembers. */
function scene(given: { passes?: readonly ClusterPass[]; results?: readonly ClusterResult[]; nowMs?: number } = {}) {
  const passes = new Map((given.passes ?? clusters.map((one) => pass(one))).map((one) => [one.cluster, one]));
  const results = new Map((given.results ?? []).map((one) => [one.cluster, one]));
  const woken: string[] = [];
  const read: string[] = [];
  const store: Partial<Engine["store"]> = {
    readClusterResults: () => Promise.resolve(results),
    readPass: (_id, cluster) => {
      read.push(cluster);
      return Promise.resolve(passes.get(cluster));
    },
    replacePass: (_id, next, expectedRound) => {
      const fits = passes.get(next.cluster)?.round === expectedRound;
      if (fits) passes.set(next.cluster, next);
      return Promise.resolve(fits);
    },
    recordClusterResult: (_id, result) => Promise.resolve(void results.set(result.cluster, result)),
  };
  const queue = { addAdvance: ({ cluster }: AdvanceJob) => Promise.resolve(void woken.push(cluster)) };
  const clock = { now: () => given.nowMs ?? 0 };
  return { engine: { store, queue, clock, log: silentLog } as unknown as Engine, passes, results, woken, read };
}

describe("a cluster that a failure keeps from beginning", () => {
  it("leaves round 0 before that is written down, so that no other process can begin it", async () => {
    const { engine, passes, results } = scene({ results: [ended("canary", true)] });
    await leaveUnbegun(engine, record, pass("a"), "canary");
    expect(passes.get("a")).toMatchObject({ round: 1, operations: [], held: { code: "rollout-stopped" } });
    expect(results.get("a")).toMatchObject({ completed: [], notStarted: { because: "canary" } });
  });

  it("is not called unbegun when another process began it meanwhile", async () => {
    const { engine, results } = scene({ passes: [pass("a", { round: 1, held: undefined })] });
    expect(await leaveUnbegun(engine, record, pass("a"), "canary")).toEqual({ kind: "again", inMs: 0 });
    expect(results.has("a")).toBe(false);
  });

  it("is written down by whoever finds it after a crash in between", async () => {
    const stopped = pass("a", { round: 1, held: { code: "rollout-stopped", reason: "", sinceMs: 0, attempts: 0 } });
    const { engine, results } = scene({ passes: [stopped], results: [ended("canary", true)] });
    expect(await askGate(engine, record, stopped, results)).toEqual({ kind: "stopped", because: "canary" });
    await leaveUnbegun(engine, record, stopped, "canary");
    expect(results.get("a")).toMatchObject({ notStarted: { because: "canary" } });
  });
});

describe("the gate", () => {
  it("is open for what has begun, whatever failed elsewhere, and for clusters of no rollout", async () => {
    const { engine, results } = scene({ results: [ended("canary", true)] });
    expect(await askGate(engine, record, pass("a", { round: 1, held: undefined }), results)).toEqual({ kind: "open" });
    expect(await askGate(engine, record, pass("elsewhere"), results)).toEqual({ kind: "open" });
  });

  it("reads no passes behind the stage that is awaited", async () => {
    const { engine, results, read } = scene();
    expect(await askGate(engine, record, pass("c"), results)).toMatchObject({ kind: "waiting", awaited: 1 });
    expect(read).toEqual(["canary"]);
  });
});

describe("the end of a cluster", () => {
  const cases: readonly (readonly [string, readonly ClusterResult[], string, readonly string[]])[] = [
    ["wakes the next stage", [ended("canary")], "canary", ["a", "b"]],
    ["wakes the others of its stage while those are not over", [ended("canary"), ended("a")], "a", ["b"]],
    ["wakes the stage after it", [ended("canary"), ended("a"), ended("b")], "b", ["c"]],
    ["wakes all after a failure", [ended("canary", true)], "canary", ["a", "b", "c"]],
    ["wakes nobody without a rollout", [], "elsewhere", []],
  ];
  it.each(cases)("%s", async (_what, results, cluster, expected) => {
    const { engine, woken } = scene({ results });
    await wakeRollout(engine, record, cluster, "ended");
    expect(woken).toEqual(expected);
  });
});
