import { describe, expect, it } from "vitest";
import { aPlan } from "../../test/support/build-plan.ts";
import { describeRollout, describeStages, describeWaiting } from "./rollout-text.ts";

const nowMs = Date.UTC(2026, 10, 28, 14, 21, 30);

describe("texts of a rollout", () => {
  const progress = { stage: 2, stages: 4, done: 3, clusters: 10, nextAtMs: undefined };
  it.each([
    [progress, "Rolling out: stage 2 of 4, 3 of 10 clusters done"],
    [
      { ...progress, nextAtMs: Date.UTC(2026, 10, 28, 14, 29, 1) },
      "Rolling out: stage 2 of 4, 3 of 10 clusters done; next at 14:30 UTC",
    ],
    [
      { ...progress, nextAtMs: Date.UTC(2026, 10, 29, 2) },
      "Rolling out: stage 2 of 4, 3 of 10 clusters done; next at 2026-11-29 02:00 UTC",
    ],
  ])("%j", (given, expected) => expect(describeRollout(given, nowMs)).toBe(expected));

  const gate = { kind: "waiting", stage: 3, awaited: 2, canary: false, untilMs: undefined } as const;
  it.each([
    [gate, "stage 3 of 4 waits for stage 2"],
    [{ ...gate, awaited: 1, canary: true }, "stage 3 of 4 waits for the canary"],
    [{ ...gate, untilMs: Date.UTC(2026, 10, 28, 14, 30) }, "stage 3 of 4 begins at 14:30 UTC"],
  ])("%j", (given, expected) => expect(describeWaiting(given, 4, nowMs)).toBe(expected));
});

describe("what a plan says of its rollouts", () => {
  const canary = { canary: true, clusters: ["lab"] };
  const batch = (...clusters: string[]) => ({ canary: false, clusters });
  it.each([
    [[canary, batch("a", "b"), batch("c", "d")], "canary lab, then 2 batches of 2 clusters"],
    [[canary, batch("a", "b"), batch("c")], "canary lab, then 2 batches of up to 2 clusters"],
    [[{ canary: true, clusters: ["a", "b"] }, batch("c", "d")], "canaries a and b, then c and d"],
    [[batch("a"), batch("b"), batch("c")], "3 batches of 1 cluster"],
  ])("%j", (stages, expected) => {
    const rollout = { deployments: ["shops"], stages, pauseMs: 600_000, stopOnFailure: true };
    expect(describeStages(aPlan({ rollouts: [rollout] }), (name) => name)).toEqual([
      `Deployment shops in ${stages.length} stages, 10 minutes apart: ${expected}. The first failure stops what has not begun.`,
    ]);
  });

  it("says nothing of one stage, and nothing of pauses and stops that are not", () => {
    const quiet = { deployments: ["a", "b"], pauseMs: 0, stopOnFailure: false };
    const one = { ...quiet, stages: [batch("x", "y")] };
    const two = { ...quiet, stages: [batch("x"), batch("y")] };
    expect(describeStages(aPlan({ rollouts: [one, two] }), (name) => name)).toEqual([
      "Deployments a and b in 2 stages: 2 batches of 1 cluster.",
    ]);
    expect(describeStages(aPlan(), (name) => name)).toEqual([]);
  });
});
