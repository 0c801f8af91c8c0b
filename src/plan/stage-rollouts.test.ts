import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { RolloutRules } from "../fleet/resolve-rollouts.ts";
import { type RolloutPlan, stageRollouts } from "./stage-rollouts.ts";

const rules = (parts: Partial<RolloutRules> = {}): RolloutRules => ({
  canaries: [],
  batch: undefined,
  pauseMs: 0,
  stopOnFailure: true,
  ...parts,
});
type Given = Readonly<Record<string, readonly [RolloutRules, readonly string[]]>>;

const stage = (given: Given): readonly RolloutPlan[] =>
  stageRollouts(
    new Map(Object.entries(given).map(([name, [rule]]) => [name, rule])),
    new Map(Object.entries(given).map(([name, [, clusters]]) => [name, new Set(clusters)])),
  );
const shape = (plans: readonly RolloutPlan[]): string[] =>
  plans.map(({ stages }) => stages.map(({ canary, clusters }) => `${canary ? "*" : ""}${clusters.join("")}`).join(" "));

describe("the stages of a rollout", () => {
  const cases: readonly (readonly [string, Given, readonly string[]])[] = [
    ["nothing to do", { d: [rules({ canaries: ["a"] }), []] }, []],
    ["everybody at once when nothing is said", { d: [rules(), ["b", "a"]] }, ["ab"]],
    ["canaries, then the rest", { d: [rules({ canaries: ["c", "b"] }), ["a", "b", "c", "d"]] }, ["*bc ad"]],
    ["batches by name", { d: [rules({ batch: 2 }), ["e", "d", "c", "b", "a"]] }, ["ab cd e"]],
    ["canary and batches", { d: [rules({ canaries: ["c"], batch: 1 }), ["a", "b", "c"]] }, ["*c a b"]],
    ["a canary without work takes no part", { d: [rules({ canaries: ["x"], batch: 1 }), ["a", "b"]] }, ["a b"]],
    [
      "deployments that share no cluster go by themselves",
      { d: [rules({ batch: 1 }), ["a", "b"]], e: [rules({ batch: 1 }), ["c", "d"]] },
      ["a b", "c d"],
    ],
    [
      "a canary of one is a canary for all that share clusters",
      { d: [rules({ canaries: ["a"] }), ["a", "b"]], e: [rules({ canaries: ["b"] }), ["b", "a", "c"]] },
      ["*ab c"],
    ],
    [
      "a shared cluster waits until each of its deployments has room",
      { d: [rules({ batch: 1 }), ["a", "c"]], e: [rules({ batch: 2 }), ["b", "c", "d"]] },
      ["abd c"],
    ],
    [
      "deployments are joined through a third one",
      { d: [rules({ batch: 9 }), ["a"]], e: [rules({ batch: 9 }), ["c"]], f: [rules({ batch: 1 }), ["a", "c"]] },
      ["a c"],
    ],
  ];
  it.each(cases)("%s", (_what, given, expected) => expect(shape(stage(given))).toEqual(expected));

  it("takes the longest pause of those that share clusters, and stops when one of them does", () => {
    const given = {
      d: [rules({ pauseMs: 5, stopOnFailure: false }), ["a"]],
      e: [rules({ pauseMs: 9 }), ["a"]],
      f: [rules({ pauseMs: 99, stopOnFailure: false }), ["b"]],
    } as const;
    expect(stage(given)).toMatchObject([
      { deployments: ["d", "e"], pauseMs: 9, stopOnFailure: true },
      { deployments: ["f"], pauseMs: 99, stopOnFailure: false },
    ]);
  });

  const name = fc.constantFrom<string[]>("a", "b", "c", "d", "e", "f", "g", "h", "i", "j");
  const track = fc.record({
    canaries: fc.uniqueArray(name, { maxLength: 3 }),
    batch: fc.option(fc.integer({ min: 1, max: 4 }), { nil: undefined }),
    clusters: fc.uniqueArray(name, { maxLength: 8 }),
  });
  it("hold every cluster once, canaries before the others, and no more of a deployment than it allows", () => {
    fc.assert(
      fc.property(fc.array(track, { maxLength: 5 }), (tracks) => {
        const given = Object.fromEntries(
          tracks.map(({ canaries, batch, clusters }, index) => [
            `d${index}`,
            [rules({ canaries, batch }), clusters] as const,
          ]),
        );
        const plans = stage(given);
        expect(stage(Object.fromEntries(Object.entries(given).toReversed()))).toEqual(plans);
        const placed = plans.flatMap(({ stages }) => stages.flatMap(({ clusters }) => clusters));
        expect(placed.toSorted()).toEqual([...new Set(tracks.flatMap(({ clusters }) => clusters))].sort());
        for (const { stages, deployments } of plans) {
          expect(stages.every(({ clusters }) => clusters.length > 0)).toBe(true);
          expect(stages.slice(1).some(({ canary }) => canary)).toBe(false);
          for (const deployment of deployments) {
            const [rule, clusters] = given[deployment] ?? [rules(), []];
            for (const { canary, clusters: together } of stages) {
              if (!canary) {
                expect(together.filter((one) => rule.canaries.includes(one))).toEqual([]);
                const own = together.filter((one) => clusters.includes(one)).length;
                expect(own).toBeLessThanOrEqual(rule.batch ?? Number.POSITIVE_INFINITY);
              }
            }
          }
        }
      }),
    );
  });
});
