import { describe, expect, it } from "vitest";
import { parseManifest } from "../manifest/parse.ts";
import { buildDesiredState } from "./build-desired-state.ts";
import type { DesiredState } from "./desired-state.ts";

const clusters = ["east-1", "east-2", "east-3", "hq"].map((name) => ({
  name,
  driver: "hypercore" as const,
  labels: {},
  variables: {},
  networks: undefined,
}));
const envelope = (type: string, name: string, spec: object): string =>
  JSON.stringify({ type, version: "1.0.0", metadata: { name }, spec });

function build(rollout: object | undefined): DesiredState {
  const documents = [
    envelope("Application", "shop", {
      resources: [{ type: "virdomain", name: "web", spec: { cpu: 1, memory: "1 GiB" } }],
    }),
    envelope("Application", "other", {
      resources: [{ type: "virdomain", name: "app", spec: { cpu: 1, memory: "1 GiB" } }],
    }),
    envelope("ClusterGroup", "stores", { clusters: ["east-*"] }),
    envelope("ClusterGroup", "first", { clusters: ["east-2", "hq"] }),
    envelope("ClusterGroup", "east-1", { clusters: ["east-3"] }),
    envelope("Deployment", "shops", { applications: ["shop"], clusterGroups: ["stores"], rollout }),
    envelope("Deployment", "others", { applications: ["other"], clusterGroups: ["stores"] }),
  ];
  return buildDesiredState({
    repository: "fleet",
    files: [parseManifest("fleet.yaml", documents.join("\n---\n"))],
    clusters,
    defaultClusters: [],
  });
}

describe("the rollout of a deployment", () => {
  it.each([
    ["a cluster", { canary: "east-2" }, { canaries: ["east-2"], batch: undefined, pauseMs: 0, stopOnFailure: true }],
    ["a list of clusters", { canary: ["east-3", "east-2"] }, { canaries: ["east-3", "east-2"] }],
    ["a group, as far as it is the deployment's", { canary: "first" }, { canaries: ["east-2"] }],
    ["a group before a cluster of its name", { canary: "east-1" }, { canaries: ["east-3"] }],
    ["nobody", {}, { canaries: [] }],
    ["batches by number", { batch: 2, pause: "10m" }, { batch: 2, pauseMs: 600_000 }],
    ["batches by percentage, rounded up", { batch: "34%" }, { batch: 2 }],
    ["one cluster at least", { batch: "1%" }, { batch: 1 }],
    ["going on after failures", { stopOnFailure: false }, { stopOnFailure: false }],
  ])("reads %s", (_what, rollout, expected) => {
    const { rollouts, problems } = build(rollout);
    expect(problems).toEqual([]);
    expect([...(rollouts ?? [])]).toMatchObject([["shops", expected]]);
  });

  it("is none where nothing is said", () => {
    expect(build(undefined).rollouts).toEqual(new Map());
  });

  it.each([["east-9"], ["hq"]])(
    "with a canary that is none of its clusters (%s) keeps its applications as they are",
    (canary) => {
      const { problems, targets, brokenApplications } = build({ canary: ["east-1", canary] });
      expect(problems).toMatchObject([{ code: "canary-unmatched", severity: "error", path: "spec.rollout.canary" }]);
      expect(problems[0]?.message).toContain(`"${canary}"`);
      expect([...brokenApplications]).toEqual(["shop"]);
      expect([...targets.keys()]).toEqual(["east-1/other", "east-2/other", "east-3/other"]);
    },
  );
});
