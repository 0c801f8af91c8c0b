import { describe, expect, it } from "vitest";
import { wakeSyncs } from "../../src/app/holds.ts";
import type { PauseScope } from "../../src/ports/state-store.ts";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const open = useWorld();
const stores = ["store-1", "store-2", "store-3", "store-4", "store-5"] as const;
const others = stores.filter((cluster) => cluster !== "store-3");

/** One VM on every store, with what the rollout says; a database whose image is not there, when asked for. */
function fleet(
  rollout: string,
  { cpu = 1, db }: { cpu?: number; db?: "broken" | "sound" } = {},
): Record<string, string> {
  const vms = [{ name: "web", cpu }, ...(db === undefined ? [] : [{ name: "db" }])];
  const text = manifest("shop", vms);
  const image = "ubuntu-22.04-web.img";
  const broken = text
    .replace(
      "  resources:",
      `    - { name: gone, type: virtual_disk, format: raw, url: "https://storage.googleapis.com/demo-bucket/no-such.img" }\n  resources:`,
    )
    .replace(/(name: db[\s\S]*?source: )ubuntu/, "$1gone");
  expect(text).toContain(image);
  const deployment = [
    `type: ClusterGroup\nversion: "1.0.0"\nmetadata: { name: stores }\nspec: { clusters: [store-*] }`,
    `type: ClusterGroup\nversion: "1.0.0"\nmetadata: { name: canaries }\nspec: { clusters: [store-3] }`,
    `type: Deployment\nversion: "1.0.0"\nmetadata: { name: shops }\nspec:\n  applications: [shop]\n  clusterGroups: [stores]\n  rollout: ${rollout}`,
  ].join("\n---\n");
  return { "manifests/shop.yaml": db === "broken" ? broken : text, "manifests/fleet.yaml": `${deployment}\n` };
}

/** Times of the calls that change a cluster, since they were forgotten last. */
async function writes(w: World, cluster: string): Promise<number[]> {
  const report = (await w.control(w.clusterUrl(cluster), "GET", "calls")) as {
    readonly counts: Readonly<Record<string, number>>;
    readonly last: readonly { readonly at: number; readonly method: string; readonly path: string }[];
  };
  return report.last.filter(({ method }) => method !== "GET").map(({ at }) => at);
}

async function forgetCalls(w: World): Promise<void> {
  for (const cluster of stores) await w.control(w.clusterUrl(cluster), "DELETE", "calls");
}

async function says(w: World, commit: string, pattern: RegExp): Promise<void> {
  await waitFor(
    async () => ((await w.statuses(commit)).some(({ description }) => pattern.test(description)) ? true : undefined),
    { what: `status ${pattern}`, describe: async () => JSON.stringify(await w.statuses(commit)) },
  );
}

const web = async (w: World, cluster: string): Promise<(number | undefined)[]> => w.cpus(cluster);
const storeOf = (w: World) => w.product().engine.store;
const currentSync = async (w: World): Promise<string> => (await storeOf(w).readBranch("fleet")).currentSync ?? "";

async function resultTimes(w: World): Promise<ReadonlyMap<string, number>> {
  const results = await storeOf(w).readClusterResults(await currentSync(w));
  return new Map([...results].map(([cluster, { atMs }]) => [cluster, atMs]));
}

/** When the canary had its result. */
function canaryEnds(w: World): Promise<number> {
  return waitFor(async () => (await resultTimes(w)).get("store-3"), { what: "the end of the canary" });
}

/** That every cluster of a stage began its changes after every one before had ended, and the pause. */
async function expectStages(w: World, stages: readonly (readonly string[])[], pauseMs: number): Promise<void> {
  const ended = await resultTimes(w);
  for (const [index, stage] of stages.entries()) {
    const before = stages.slice(0, index).flat();
    const notBefore = Math.max(0, ...before.map((cluster) => ended.get(cluster) ?? Number.NaN)) + pauseMs;
    for (const cluster of stage) {
      const [first] = await writes(w, cluster);
      expect(first, `${cluster} was changed`).toBeDefined();
      if (index > 0) expect(first, `${cluster} in stage ${index + 1}`).toBeGreaterThanOrEqual(notBefore);
    }
  }
}

const stages = [["store-3"], ["store-1", "store-2"], ["store-4", "store-5"]] as const;

describe("a rollout", () => {
  it("goes to the canary first, then in batches, with pauses", async () => {
    const w = await open({ clusters: stores });
    const commit = await w.push(fleet("{ canary: canaries, batch: 2, pause: 1500ms }"), "Open the shops");
    await says(w, commit, /^Rolling out: stage 1 of 3, 0 of 5 clusters done$/);
    expect(await w.final(commit)).toMatchObject({
      state: "success",
      description: expect.stringMatching(/^Synced: 5 operations on 5 clusters/),
    });
    await expectStages(w, stages, 1_500);
    expect((await w.statuses(commit)).filter(({ state }) => state !== "pending")).toHaveLength(1);
  }, 120_000);

  it("stops at the failure of its canary: the others stay as they were until a commit that works", async () => {
    const w = await open({ clusters: stores });
    const rollout = "{ canary: canaries, batch: 50% }";
    expect(await w.final(await w.push(fleet(rollout), "Open the shops"))).toMatchObject({ state: "success" });
    await forgetCalls(w);
    const bad = await w.push(fleet(rollout, { cpu: 2, db: "broken" }), "A database");
    const final = await w.final(bad);
    expect(final).toMatchObject({ state: "failure" });
    expect(final.description).toMatch(/^Failed: store-3 \(db: .*\); rollout stopped, 4 of 5 clusters not started$/);
    expect(final.description.length).toBeLessThanOrEqual(140);
    expect(await web(w, "store-3")).toContain(2);
    for (const cluster of others) {
      expect(await writes(w, cluster)).toEqual([]);
      expect(await web(w, cluster)).toEqual([1]);
    }
    const [entry] = await storeOf(w).listHistory("fleet", 1);
    expect(entry?.notStarted).toEqual(others);
    const good = await w.push(fleet(rollout, { cpu: 2, db: "sound" }), "The right image");
    expect(await w.final(good)).toMatchObject({ state: "success" });
    for (const cluster of stores) expect(await web(w, cluster)).toEqual(expect.arrayContaining([2, 1]));
    await expectStages(w, [["store-3"], ["store-1", "store-2", "store-4"], ["store-5"]], 0);
  }, 180_000);

  it("goes on with the same stages after a restart in the middle", async () => {
    const w = await open({ clusters: stores });
    const commit = await w.push(fleet("{ canary: canaries, batch: 2, pause: 8s }"), "Open the shops");
    await canaryEnds(w);
    const id = await currentSync(w);
    const before = (await storeOf(w).readSync(id))?.record.rollouts;
    await w.product()[Symbol.asyncDispose]();
    for (const cluster of others) expect(await writes(w, cluster)).toEqual([]);
    await w.run();
    expect(await w.final(commit)).toMatchObject({ state: "success" });
    expect(await currentSync(w)).toBe(id);
    expect((await storeOf(w).readSync(id))?.record.rollouts).toEqual(before);
    expect(before?.map((rollout) => rollout.stages.map(({ clusters }) => clusters))).toEqual([stages]);
    await expectStages(w, stages, 8_000);
  }, 180_000);

  it("that is reverted in the middle leaves the others alone, and says how far it is until then", async () => {
    const w = await open({ clusters: stores });
    const rollout = "{ canary: canaries, batch: 2, pause: 1h }";
    expect(await w.final(await w.push(fleet("{}"), "Open the shops"))).toMatchObject({ state: "success" });
    await forgetCalls(w);
    const change = await w.push(fleet(rollout, { cpu: 2 }), "Larger VMs, slowly");
    await says(w, change, /^Rolling out: stage 2 of 3, 1 of 5 clusters done; next at .*\d\d:\d\d UTC$/);
    expect(await web(w, "store-3")).toEqual([2]);
    const revert = await w.push(fleet(rollout, { cpu: 1 }), "Revert");
    expect(await w.final(revert)).toMatchObject({ state: "success" });
    expect(await web(w, "store-3")).toEqual([1]);
    for (const cluster of others) expect(await writes(w, cluster)).toEqual([]);
    expect(await w.final(change)).toMatchObject({ description: expect.stringMatching(/^Superseded by/) });
  }, 180_000);

  it("keeps its pause when a commit arrives that has nothing to do with it", async () => {
    const w = await open({ clusters: stores });
    const rollout = fleet("{ canary: canaries, pause: 5s }");
    await w.push(rollout, "Open the shops");
    const canaryEnded = await canaryEnds(w);
    const next = await w.push({ "README.md": "Shops" }, "Say what this is");
    expect(await w.final(next)).toMatchObject({ state: "success" });
    for (const cluster of others)
      expect((await writes(w, cluster))[0], cluster).toBeGreaterThanOrEqual(canaryEnded + 5_000);
  }, 120_000);
});

describe("a cluster that is away during a rollout", () => {
  const running = async (w: World, cluster: string): Promise<number> => (await w.vms(cluster)).length;

  it("in a batch does not stall the ones after it; as a canary it does", async () => {
    const w = await open({ clusters: stores, idle: true });
    for (const cluster of ["store-1", "store-3"])
      await w.control(w.clusterUrl(cluster), "POST", "nodes", { state: "down" });
    await w.run();
    const commit = await w.push(fleet("{ canary: canaries, batch: 2 }"), "Open the shops");
    await says(w, commit, /^Held: store-3 \(/);
    for (const cluster of others) expect(await writes(w, cluster)).toEqual([]);
    await w.control(w.clusterUrl("store-3"), "POST", "nodes", { state: "up" });
    for (const cluster of ["store-2", "store-4", "store-5"])
      await waitFor(async () => ((await running(w, cluster)) === 1 ? true : undefined), { what: `a VM on ${cluster}` });
    expect((await w.statuses(commit)).at(-1)).toMatchObject({ state: "pending" });
    await w.control(w.clusterUrl("store-1"), "POST", "nodes", { state: "up" });
    expect(await w.final(commit, undefined, 90_000)).toMatchObject({ state: "success" });
    expect(await running(w, "store-1")).toBe(1);
  }, 240_000);

  it("because somebody paused it is passed over, and finished when it is resumed", async () => {
    const w = await open({ clusters: stores });
    const scope: PauseScope = { kind: "cluster", cluster: "store-2" };
    const { engine } = w.product();
    await engine.store.setPause({ scope, reason: "moving racks", by: "ada", atMs: Date.now(), untilMs: undefined });
    const commit = await w.push(fleet("{ canary: canaries, batch: 2 }"), "Open the shops");
    for (const cluster of ["store-1", "store-4", "store-5"])
      await waitFor(async () => ((await running(w, cluster)) === 1 ? true : undefined), { what: `a VM on ${cluster}` });
    expect(await writes(w, "store-2")).toEqual([]);
    expect((await w.statuses(commit)).at(-1)).toMatchObject({ state: "pending" });
    await engine.store.removePause(scope);
    await wakeSyncs(engine);
    expect(await w.final(commit)).toMatchObject({ state: "success" });
    expect(await running(w, "store-2")).toBe(1);
  }, 180_000);
});
