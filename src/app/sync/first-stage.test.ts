import { describe, expect, it } from "vitest";
import { aPlan } from "../../../test/support/build-plan.ts";
import type { RolloutPlan } from "../../plan/stage-rollouts.ts";
import type { StateStore } from "../../ports/state-store.ts";
import type { ClusterResult, SyncRecord, SyncRollout, SyncState } from "../../sync/sync-record.ts";
import { stagedRollouts } from "./first-stage.ts";

const plan = (stages: readonly (readonly string[])[], parts: Partial<RolloutPlan> = {}): RolloutPlan => ({
  deployments: ["shops"],
  stages: stages.map((clusters, index) => ({ canary: index === 0, clusters })),
  pauseMs: 1_000,
  stopOnFailure: true,
  ...parts,
});

function storeWith(
  rollouts: readonly SyncRollout[],
  ended: Readonly<Record<string, number>>,
  state: SyncState["kind"] = "superseded",
): { readonly store: StateStore } {
  const results = Object.entries(ended).map(
    ([cluster, atMs]) => [cluster, { cluster, atMs } as ClusterResult] as const,
  );
  const store: Partial<StateStore> = {
    readSync: (id) =>
      Promise.resolve({ record: { id, rollouts } as unknown as SyncRecord, state: { kind: state } as SyncState }),
    readClusterResults: () => Promise.resolve(new Map(results)),
  };
  return { store: store as StateStore };
}

const before = plan([["canary"], ["a", "b"]]);

describe("the rollouts a sync begins with", () => {
  it("are those of its plan, without those of one stage", async () => {
    const rollouts = [plan([["a"]]), plan([["b"], ["c"]])];
    expect(await stagedRollouts(storeWith([], {}), undefined, aPlan({ rollouts }))).toEqual({
      rollouts: [rollouts[1]],
    });
    expect(await stagedRollouts(storeWith([], {}), undefined, aPlan())).toEqual({});
  });

  it("keep the pause of the sync they take the place of, even where one stage is left", async () => {
    const rest = plan([["a", "b"]]);
    const { rollouts } = await stagedRollouts(
      storeWith([before], { canary: 5_000 }),
      "old",
      aPlan({ rollouts: [rest] }),
    );
    expect(rollouts).toEqual([{ ...rest, notBeforeMs: 6_000 }]);
    const again = storeWith(rollouts ?? [], {});
    expect(await stagedRollouts(again, "old", aPlan({ rollouts: [rest] }))).toEqual({ rollouts });
  });

  it.each([
    ["what is through is changed anew", storeWith([before], { canary: 5_000 }), plan([["canary"], ["a", "b"]])],
    ["nothing had ended", storeWith([before], {}), before],
    ["it is another deployment", storeWith([before], { canary: 5 }), plan([["x"], ["y"]], { deployments: ["others"] })],
    ["the sync before came to its end", storeWith([before], { canary: 5 }, "finished"), plan([["a"], ["b"]])],
  ])("wait for nothing when %s", async (_why, engine, rollout) => {
    expect(await stagedRollouts(engine, "old", aPlan({ rollouts: [rollout] }))).toEqual({ rollouts: [rollout] });
  });
});
