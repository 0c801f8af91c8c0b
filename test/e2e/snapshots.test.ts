import { describe, expect, it } from "vitest";
import { cleanClusters } from "../../src/app/upkeep/clean-clusters.ts";
import { renderHistory } from "../../src/report/history.ts";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const open = useWorld();
const until = async (what: string, holds: () => Promise<boolean>): Promise<true> =>
  waitFor(async () => ((await holds()) ? true : undefined), { what });
const dayMs = 86_400_000;

interface RawSnapshot {
  readonly uuid: string;
  readonly domainUUID: string;
  readonly label: string;
  readonly replication: boolean;
  readonly localRetainUntilTimestamp: number;
}

const snapshots = async (w: World): Promise<RawSnapshot[]> =>
  (await w.hypercore("GET", "VirDomainSnapshot")) as RawSnapshot[];
const shop = (memory: string): Record<string, string> => ({
  "manifests/shop.yaml": manifest("shop", [{ name: "web", memory }, { name: "db" }]),
});
const newest = async (w: World) => (await w.product().engine.store.listHistory("fleet", 1))[0];
const deployment = (policy: string): string =>
  [
    'type: ClusterGroup\nversion: "1.0.0"\nmetadata: { name: all }\nspec: { clusters: [lab] }\n',
    'type: Deployment\nversion: "1.0.0"\nmetadata: { name: shop }\n',
  ].join("---\n") + `spec: { applications: [shop], clusterGroups: [all], policy: ${policy} }\n`;

describe("a change that shuts a VM down", () => {
  it("takes one snapshot, which the history knows and which is removed once its time is over", async () => {
    const w = await open();
    await w.final(await w.push(shop("1 GiB"), "Small"));
    expect(await snapshots(w)).toEqual([]);
    const beforeMs = Date.now();
    const commit = await w.push(shop("2 GiB"), "Large");
    expect(await w.final(commit)).toMatchObject({ state: "success" });

    const [snapshot, ...others] = await snapshots(w);
    expect(others).toEqual([]);
    expect(snapshot).toMatchObject({
      domainUUID: (await w.uuids()).get("web"),
      label: expect.stringMatching(`^kraken-gitops/edge ${commit.slice(0, 12)} before reboot [0-9a-f]{8}$`),
      replication: false,
    });
    const keptMs = (snapshot?.localRetainUntilTimestamp ?? 0) * 1000 - beforeMs;
    expect(keptMs).toBeGreaterThan(7 * dayMs - 1_000);
    expect(keptMs).toBeLessThan(7 * dayMs + 60_000);

    const entry = await newest(w);
    expect(entry?.operations).toMatchObject([{ virdomain: "web", outcome: "done", snapshot: snapshot?.uuid }]);
    expect(renderHistory(entry === undefined ? [] : [entry], Date.now())).toMatch(
      new RegExp(`web on lab +${snapshot?.uuid}`),
    );

    const { engine } = w.product();
    const lookAhead = (days: number) => ({
      ...engine,
      clock: { ...engine.clock, now: () => Date.now() + days * dayMs },
      // Leases are Redis' own time: each look is an hour's.
      store: {
        ...engine.store,
        acquireLease: (name: string, ms: number) => engine.store.acquireLease(`${days}/${name}`, ms),
      },
    });
    await cleanClusters(lookAhead(6), AbortSignal.timeout(10_000));
    expect(await snapshots(w)).toHaveLength(1);
    await cleanClusters(lookAhead(8), AbortSignal.timeout(10_000));
    expect(await snapshots(w)).toEqual([]);
    expect((await w.vms()).map(({ name, state }) => `${name} ${state}`)).toEqual(["db RUNNING", "web RUNNING"]);
  }, 180_000);

  it("takes another one when the same commit is applied again to what drifted", async () => {
    const w = await open({ simulator: { lenientWhileRunning: true } });
    await w.final(await w.push(shop("1 GiB"), "Small"));
    await w.final(await w.push(shop("2 GiB"), "Large"));
    const memoryGiB = async (): Promise<number> =>
      ((await w.vms()).find(({ name }) => name === "web")?.memoryBytes ?? 0) / 1024 ** 3;
    await w.hypercore("PATCH", `VirDomain/${(await w.uuids()).get("web")}`, { mem: 3 * 1024 ** 3 });
    await until("the drift", async () => (await memoryGiB()) === 3);
    await w.product().engine.store.requestSync("fleet");
    await until("a second snapshot", async () => (await snapshots(w)).length === 2);
    await until("the memory to be put right", async () => (await memoryGiB()) === 2);
    expect(new Set((await snapshots(w)).map(({ label }) => label)).size).toBe(2);
  }, 180_000);

  it("is not made when the cluster has no room for a snapshot, and the commit says so", async () => {
    const w = await open();
    await w.final(await w.push(shop("1 GiB"), "Small"));
    const fault = {
      match: { method: "POST", path: "VirDomainSnapshot" },
      kind: "fail-task",
      message: "Not enough free space",
    };
    await w.control(w.clusterUrl(), "POST", "faults", [fault]);
    expect(await w.final(await w.push(shop("2 GiB"), "Large"))).toMatchObject({
      state: "error",
      description: expect.stringContaining("take a snapshot of web"),
    });
    expect((await w.vms()).find(({ name }) => name === "web")).toMatchObject({
      state: "RUNNING",
      memoryBytes: 1024 ** 3,
    });
  }, 180_000);

  it("takes none where the deployment wants none", async () => {
    const w = await open();
    const fleet = { "manifests/fleet.yaml": deployment("{ snapshots: { before: [] } }") };
    await w.final(await w.push({ ...shop("1 GiB"), ...fleet }, "Small"));
    expect(await w.final(await w.push(shop("2 GiB"), "Large"))).toMatchObject({ state: "success" });
    expect(await snapshots(w)).toEqual([]);
    expect((await newest(w))?.operations[0]).not.toHaveProperty("snapshot");
  }, 180_000);
});

describe("a plan", () => {
  it("announces the snapshot, and takes none", async () => {
    const w = await open();
    await w.final(await w.push(shop("1 GiB"), "Small"));
    await w.tree.branch("large");
    await w.commit(shop("2 GiB"), "Large");
    await w.tree.push("large");
    const pull = await w.forge.openPullRequest("Large", "large");
    await until("the comment", async () => (await w.forge.comments(pull)).length > 0);
    expect((await w.forge.comments(pull))[0]?.body).toContain("- 1 VM: a snapshot is taken before, kept 7 days.");
    expect(await snapshots(w)).toEqual([]);
  }, 180_000);
});
