import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type RolloutFacts, rolloutProgress, stageGate } from "./rollout.ts";
import type { ClusterPass, ClusterResult, SyncRollout } from "./sync-record.ts";

const pauseMs = 1_000;
const rollout: SyncRollout = {
  deployments: ["shops"],
  stages: [
    { canary: true, clusters: ["canary"] },
    { canary: false, clusters: ["a", "b"] },
    { canary: false, clusters: ["c"] },
  ],
  pauseMs,
  stopOnFailure: true,
};

type State = "good" | "failed" | "conflict" | "refused" | Pick<ClusterPass, "round" | "held">;
const working: State = { round: 1, held: undefined };
const waiting: State = held("rollout-waiting");
function held(code: string, round = 0): State {
  return { round, held: { code, reason: code, sinceMs: 0, attempts: 1 } };
}

function result(cluster: string, state: "good" | "failed" | "conflict" | "refused", atMs: number): ClusterResult {
  const trouble = { application: "shop", virdomain: "web", message: "out of memory" };
  const failure = { ...trouble, kind: "update", key: "k", group: "g", step: 0, code: "x", fault: "change" } as const;
  return {
    cluster,
    rounds: 1,
    completed: [],
    failures: state === "failed" ? [failure] : [],
    conflicts: state === "conflict" ? [{ ...trouble, code: "does-not-fit", cluster }] : [],
    blocked: [],
    refused: state === "refused" ? ["web"] : [],
    atMs,
  };
}

function facts(states: Readonly<Record<string, State>>, atMs = 0, lossesDecided = true): RolloutFacts {
  const results = new Map<string, ClusterResult>();
  const passes = new Map<string, Pick<ClusterPass, "round" | "held">>();
  for (const [cluster, state] of Object.entries(states)) {
    if (typeof state === "string") results.set(cluster, result(cluster, state, atMs));
    else passes.set(cluster, state);
  }
  return { results, passes, lossesDecided };
}

describe("the gate of a stage", () => {
  const before = { a: waiting, b: waiting, c: waiting };
  const cases: readonly (readonly [string, string, Readonly<Record<string, State>>, number, object])[] = [
    ["lets the canary begin", "canary", { canary: working, ...before }, 0, { kind: "open" }],
    [
      "waits for a canary at work",
      "a",
      { canary: working, ...before },
      9_999,
      { kind: "waiting", stage: 2, awaited: 1, canary: true, untilMs: undefined },
    ],
    [
      "waits for a canary that is away",
      "a",
      { canary: held("cluster-unreachable"), ...before },
      9_999,
      { kind: "waiting", awaited: 1 },
    ],
    [
      "waits for a canary that is paused",
      "a",
      { canary: held("paused"), ...before },
      9_999,
      { kind: "waiting", awaited: 1 },
    ],
    [
      "keeps the pause",
      "a",
      { canary: "good", ...before },
      999,
      { kind: "waiting", stage: 2, awaited: 1, untilMs: 1_000 },
    ],
    ["opens after the pause", "b", { canary: "good", ...before }, 1_000, { kind: "open" }],
    [
      "keeps the stages apart",
      "c",
      { canary: "good", ...before },
      9_999,
      { kind: "waiting", stage: 3, awaited: 2, canary: false },
    ],
    [
      "waits for all of a batch",
      "c",
      { canary: "good", a: "good", b: working, c: waiting },
      9_999,
      { kind: "waiting", awaited: 2 },
    ],
    [
      "passes over one that is away since before",
      "c",
      { canary: "good", a: "good", b: held("cluster-unreachable"), c: waiting },
      1_000,
      { kind: "open" },
    ],
    [
      "passes over one that is paused",
      "c",
      { canary: "good", a: "good", b: held("paused", 2), c: waiting },
      1_000,
      { kind: "open" },
    ],
    [
      "passes over a closed window",
      "c",
      { canary: "good", a: "good", b: held("window-closed"), c: waiting },
      1_000,
      { kind: "open" },
    ],
    [
      "waits for one that went away in its change",
      "c",
      { canary: "good", a: "good", b: held("cluster-unreachable", 1), c: waiting },
      9_999,
      { kind: "waiting", awaited: 2 },
    ],
    [
      "does not count one that only waits as away",
      "c",
      { canary: "good", a: "good", b: waiting, c: waiting },
      9_999,
      { kind: "waiting", awaited: 2 },
    ],
    ["stops at a failed canary", "c", { canary: "failed", ...before }, 9_999, { kind: "stopped", because: "canary" }],
    ["stops at a conflict", "a", { canary: "conflict", ...before }, 9_999, { kind: "stopped", because: "canary" }],
    [
      "stops at a loss nobody foresaw",
      "a",
      { canary: "refused", ...before },
      9_999,
      { kind: "stopped", because: "canary" },
    ],
    [
      "stops within a stage",
      "b",
      { canary: "good", a: "failed", b: held("cluster-unreachable"), c: waiting },
      9_999,
      { kind: "stopped", because: "a" },
    ],
  ];
  it.each(cases)("%s", (_what, cluster, states, nowMs, expected) =>
    expect(stageGate(rollout, cluster, facts(states), nowMs)).toMatchObject(expected),
  );

  it("goes on past VMs that wait for an approval", () => {
    const undecided = facts({ canary: "refused", ...before }, 0, false);
    expect(stageGate(rollout, "a", undecided, 5_000)).toEqual({ kind: "open" });
  });

  it("goes on after a failure where the deployment says so", () => {
    const bold = { ...rollout, stopOnFailure: false };
    expect(stageGate(bold, "a", facts({ canary: "failed", ...before }), 500)).toMatchObject({ untilMs: 1_000 });
    expect(stageGate(bold, "a", facts({ canary: "failed", ...before }), 1_000)).toEqual({ kind: "open" });
  });

  it("lets the first stage wait for a pause that began before", () => {
    const later = { ...rollout, notBeforeMs: 700 };
    const fresh = facts({ canary: waiting, ...before });
    expect(stageGate(later, "canary", fresh, 699)).toMatchObject({ kind: "waiting", stage: 1, untilMs: 700 });
    expect(stageGate(later, "canary", fresh, 700)).toEqual({ kind: "open" });
  });
});

const clusters = rollout.stages.flatMap((stage) => stage.clusters);
const state: fc.Arbitrary<State> = fc.constantFrom(
  "good",
  "failed",
  working,
  waiting,
  held("cluster-unreachable"),
  held("cluster-unreachable", 1),
  held("paused"),
);
const world = fc.record({ canary: state, a: state, b: state, c: state });

describe("whatever the clusters do", () => {
  it("a gate is open only when each canary ended well, each cluster before is over, and the pause has passed", () => {
    fc.assert(
      fc.property(world, fc.integer({ min: 0, max: 3_000 }), fc.constantFrom(...clusters), (states, nowMs, cluster) => {
        const gate = stageGate(rollout, cluster, facts(states, 500), nowMs);
        const stage = rollout.stages.findIndex((one) => one.clusters.includes(cluster));
        if (gate.kind !== "open") return;
        expect(Object.values(states)).not.toContain("failed");
        if (stage === 0) return;
        expect(states.canary).toBe("good");
        expect(nowMs).toBeGreaterThanOrEqual(500 + pauseMs);
        const earlier = rollout.stages.slice(0, stage).flatMap((one) => one.clusters);
        for (const one of earlier) expect([working, waiting]).not.toContain(states[one as keyof typeof states]);
      }),
    );
  });

  it("a stop is final: no later end and no later time opens a gate again", () => {
    fc.assert(
      fc.property(world, world, fc.nat(9_999), (states, later, nowMs) => {
        const stopped = clusters.filter(
          (cluster) => stageGate(rollout, cluster, facts(states), nowMs).kind === "stopped",
        );
        const kept = Object.entries(states).filter(([, one]) => typeof one === "string");
        const next = facts({ ...later, ...Object.fromEntries(kept) });
        for (const cluster of stopped) expect(stageGate(rollout, cluster, next, nowMs + 60_000).kind).toBe("stopped");
      }),
    );
  });

  it("once all that is before has ended well, every gate opens in the end", () => {
    const all = facts({ canary: "good", a: "good", b: "good", c: waiting }, 400);
    expect(stageGate(rollout, "c", all, 1_400)).toEqual({ kind: "open" });
  });
});

describe("how far a rollout is", () => {
  const cases: readonly (readonly [string, Readonly<Record<string, State>>, number, object | undefined])[] = [
    ["at work", { canary: working, a: waiting, b: waiting, c: waiting }, 0, { stage: 1, done: 0, nextAtMs: undefined }],
    ["in a pause", { canary: "good", a: waiting, b: waiting, c: waiting }, 10, { stage: 2, done: 1, nextAtMs: 1_000 }],
    [
      "in a batch",
      { canary: "good", a: "good", b: working, c: waiting },
      10,
      { stage: 2, done: 2, nextAtMs: undefined },
    ],
    [
      "past one that is away",
      { canary: "good", a: "good", b: held("cluster-unreachable"), c: working },
      10,
      { stage: 3, done: 2 },
    ],
    [
      "with one that is away left",
      { canary: "good", a: "good", b: held("cluster-unreachable"), c: "good" },
      10,
      { stage: 2, done: 3 },
    ],
    ["at its end", { canary: "good", a: "good", b: "good", c: "good" }, 10, undefined],
  ];
  it.each(cases)("%s", (_what, states, nowMs, expected) => {
    const progress = rolloutProgress(rollout, facts(states), nowMs);
    if (expected === undefined) expect(progress).toBeUndefined();
    else expect(progress).toMatchObject({ stages: 3, clusters: 4, ...expected });
  });
});
