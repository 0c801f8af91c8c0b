import { describe, expect, it } from "vitest";
import { listDrift } from "../../src/app/inspect/list-drift.ts";
import type { Config } from "../../src/config/config.ts";
import { type RecordedLog, recordLog } from "../support/recorded-log.ts";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const open = useWorld();

const shop = (cpu = 1): Record<string, string> => ({
  "manifests/shop.yaml": manifest("shop", [
    { name: "web", cpu },
    { name: "db", cpu },
  ]),
});

/** A deployment with this policy, of the shop to the only cluster. */
const deployed = (policy: string): Record<string, string> => ({
  "manifests/fleet.yaml": [
    "type: Deployment",
    'version: "1.0.0"',
    "metadata: { name: shop }",
    `spec: { applications: [shop], clusterGroups: [all], policy: ${policy} }`,
    "---",
    "type: ClusterGroup",
    'version: "1.0.0"',
    "metadata: { name: all }",
    "spec: { clusters: [lab] }",
    "",
  ].join("\n"),
});

/** Rounds every third of a second, and no patience with VMs that change back. */
const quick =
  (drift: Partial<Config["drift"]> = {}) =>
  (config: Config): Config => ({
    ...config,
    drift: { intervalMs: 300, pauseMs: 1_500, corrections: 3, withinMs: 3_600_000, ...drift },
  });

interface Stage {
  readonly w: World;
  readonly log: RecordedLog;
  readonly commit: string;
}

async function stage(files: Readonly<Record<string, string>>, drift?: Partial<Config["drift"]>): Promise<Stage> {
  const log = recordLog();
  const w = await open({ config: quick(drift), log: log.log });
  const commit = await w.push(files, "Add the shop");
  expect(await w.final(commit)).toMatchObject({ state: "success" });
  return { w, log, commit };
}

/** A person changes a VM by hand, in what needs no restart. */
async function describeByHand(w: World, name: string, description: string): Promise<void> {
  const uuid = (await w.uuids()).get(name) ?? "";
  const { taskTag } = (await w.hypercore("PATCH", `VirDomain/${uuid}`, { description })) as { taskTag: string };
  await waitFor(
    async () => {
      const tasks = (await w.hypercore("GET", `TaskTag/${taskTag}`)) as { state: string }[];
      return tasks.every(({ state }) => state === "COMPLETE") ? true : undefined;
    },
    { what: "the change by hand" },
  );
}

async function description(w: World, name: string): Promise<string | undefined> {
  const found = (await w.hypercore("GET", "VirDomain")) as { name: string; description: string }[];
  return found.find((vm) => vm.name === name)?.description;
}

/** A person switches a VM off. Answers its uuid. */
async function stopByHand(w: World, name: string): Promise<string> {
  const uuid = (await w.uuids()).get(name) ?? "";
  await w.hypercore("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "STOP" }]);
  await waitFor(
    async () => ((await w.vms()).some((vm) => vm.name === name && vm.state === "SHUTOFF") ? true : undefined),
    { what: `${name} to be off` },
  );
  return uuid;
}

async function pauseCluster(w: World): Promise<void> {
  const pause = { scope: cluster, reason: "", by: "ada", atMs: Date.now(), untilMs: undefined };
  await w.product().engine.store.setPause(pause);
}

const cluster = { kind: "cluster", cluster: "lab" } as const;

async function becomes(w: World, name: string, text: string): Promise<void> {
  await waitFor(async () => ((await description(w, name)) === text ? true : undefined), { what: `${name}: ${text}` });
}

/** Waits until no sync is under way. */
async function settled(w: World): Promise<void> {
  const { store } = w.product().engine;
  await waitFor(
    async () => {
      const { currentSync = "" } = await store.readBranch("fleet");
      return (await store.readSync(currentSync))?.state.kind === "finished" ? true : undefined;
    },
    { what: "the end of the sync" },
  );
}

interface Calls {
  readonly counts: Readonly<Record<string, number>>;
}

/** Calls of the cluster so far, by method and path; those of the simulator's own control are left out. */
async function calls(w: World): Promise<Readonly<Record<string, number>>> {
  const { counts } = (await w.control(w.clusterUrl(), "GET", "calls")) as Calls;
  return Object.fromEntries(Object.entries(counts).filter(([path]) => !path.includes("_simulator")));
}

const listCall = "GET /rest/v1/VirDomain";

/** Waits until so many rounds more have gone by on the cluster. */
async function rounds(w: World, count: number): Promise<void> {
  const before = (await calls(w))[listCall] ?? 0;
  await waitFor(async () => (((await calls(w))[listCall] ?? 0) >= before + count ? true : undefined), {
    what: `${count} rounds`,
    describe: async () => JSON.stringify(await calls(w)),
  });
}

async function drift(w: World) {
  return listDrift(w.product().engine, ["lab"], AbortSignal.timeout(30_000));
}

describe("a VM that was changed by hand", () => {
  it("is put right within a round, and the commit that had its success hears nothing", async () => {
    const { w, commit } = await stage(shop());
    const before = await w.statuses(commit);
    await describeByHand(w, "web", "mine");
    await becomes(w, "web", "web");
    const { store } = w.product().engine;
    const [entry] = await waitFor(
      async () => {
        const entries = await store.listHistory("fleet", 2);
        return entries.length === 2 ? entries : undefined;
      },
      { what: "the sync in the history" },
    );
    expect(entry).toMatchObject({ commits: [], operations: [{ kind: "update", virdomain: "web", outcome: "done" }] });
    expect(await w.statuses(commit)).toEqual(before);
    expect((await drift(w)).drifted).toEqual([]);
  });

  it("costs a sync of its own targets only", async () => {
    const till = { "manifests/till.yaml": manifest("till", [{ name: "till" }]) };
    const { w } = await stage({ ...shop(), ...till });
    await describeByHand(w, "web", "mine");
    await becomes(w, "web", "web");
    const { store } = w.product().engine;
    const synced = (await store.readBranch("fleet")).currentSync ?? "";
    expect(Object.keys((await store.readSync(synced))?.record.targets ?? {})).toEqual(["lab/shop"]);
  });

  it("stays as it is where policy reports drift, is listed and logged once, and a VM that is gone comes back", async () => {
    const { w, log } = await stage({ ...shop(), ...deployed("{ drift: report }") });
    await describeByHand(w, "web", "mine");
    await log.says(/"virdomains":\["web: description"\].*drift found, left as it is by policy/);
    await rounds(w, 3);
    expect(await description(w, "web")).toBe("mine");
    expect(log.text().match(/left as it is by policy/g)).toHaveLength(1);
    expect((await drift(w)).drifted).toMatchObject([
      { virdomain: "web", policy: "report", fields: [{ path: "description", git: "web", live: "mine" }] },
    ]);
    await w.deleteByHand(["db"]);
    await waitFor(async () => ((await w.uuids()).has("db") ? true : undefined), { what: "the database" });
    expect(await description(w, "web")).toBe("mine");
  });

  it("is given up when something changes it back again and again; told once, until somebody asks for a sync", async () => {
    const { w, log, commit } = await stage(shop());
    const told = async () => w.statuses(commit, "kraken-gitops/drift");
    for (let change = 1; (await told()).length === 0; change += 1) {
      await describeByHand(w, "web", `mine ${change}`);
      await waitFor(
        async () => ((await description(w, "web")) === "web" || (await told()).length > 0 ? true : undefined),
        { what: "a correction or its end" },
      );
      // What is changed while a sync runs is that sync's own trouble.
      await settled(w);
    }
    await rounds(w, 3);
    expect(await told()).toMatchObject([
      {
        state: "failure",
        description: "Drift: web on lab changes back again and again (description); gave up after 3 corrections",
      },
    ]);
    expect(log.text().match(/asking for a sync/g)).toHaveLength(3);
    expect((await w.statuses(commit)).map(({ state }) => state)).toEqual(["pending", "success"]);
    expect((await drift(w)).drifted).toMatchObject([
      { virdomain: "web", corrections: 3, gaveUpAtMs: expect.any(Number) },
    ]);
    await w.product().engine.store.requestSync("fleet");
    await becomes(w, "web", "web");
    await waitFor(async () => ((await told()).at(-1)?.state === "success" ? true : undefined), { what: "its end" });
  });

  it("waits while its cluster is paused", async () => {
    const { w, log } = await stage(shop());
    const { store } = w.product().engine;
    await pauseCluster(w);
    const skipped = (): number => log.text().match(/cluster is not compared now/g)?.length ?? 0;
    const before = skipped();
    await waitFor(() => (skipped() >= before + 1 ? true : undefined), { what: "a round that was skipped" });
    const { [listCall]: asked } = await calls(w);
    await describeByHand(w, "web", "mine");
    await waitFor(() => (skipped() >= before + 4 ? true : undefined), { what: "rounds that were skipped" });
    expect((await calls(w))[listCall]).toBe((asked ?? 0) + 1);
    expect(await description(w, "web")).toBe("mine");
    expect((await store.readDrift("fleet")).records.size).toBe(0);
    await store.removePause(cluster);
    await becomes(w, "web", "web");
  });
});

describe("a VM that a person shut down", () => {
  it("stays down where policy leaves its power to people, also through a change that needs it off", async () => {
    const { w } = await stage({ ...shop(), ...deployed("{ power: initial }") });
    await stopByHand(w, "web");
    await rounds(w, 3);
    expect((await drift(w)).drifted).toEqual([]);
    expect(await w.final(await w.push(shop(2), "Two CPUs"))).toMatchObject({ state: "success" });
    expect(await w.cpus()).toEqual([2, 2]);
    expect(await w.vms()).toMatchObject([
      { name: "db", state: "RUNNING" },
      { name: "web", state: "SHUTOFF" },
    ]);
    const { store } = w.product().engine;
    expect((await store.listOwedStarts()).size).toBe(0);
    // As a change leaves it that broke off while the VM was off for it.
    await store.oweStart("lab/fleet/shop/web");
    expect(await w.final(await w.push(shop(1), "One CPU"))).toMatchObject({ state: "success" });
    expect((await w.vms()).map(({ state }) => state)).toEqual(["RUNNING", "RUNNING"]);
    expect((await store.listOwedStarts()).size).toBe(0);
  });

  it("is started again where policy enforces its state", async () => {
    const { w } = await stage(shop());
    await pauseCluster(w);
    await stopByHand(w, "web");
    await w.product().engine.store.removePause(cluster);
    await waitFor(async () => ((await w.vms()).every(({ state }) => state === "RUNNING") ? true : undefined), {
      what: "both VMs to run",
    });
  });
});

describe("a round", () => {
  it("costs a quiet cluster one list call and nothing else", async () => {
    const { w } = await stage(shop());
    await rounds(w, 1);
    const before = await calls(w);
    await rounds(w, 4);
    const after = await calls(w);
    const grown = Object.keys(after).filter((path) => after[path] !== before[path]);
    expect(grown).toEqual([listCall]);
  });

  it("lists a VM that nobody manages, and never touches it", async () => {
    const { w } = await stage(shop());
    const web = (await w.uuids()).get("web") ?? "";
    const dom = { name: "printer", numVCPU: 1, mem: 2 ** 30, description: "of somebody else" };
    await w.hypercore("POST", "VirDomain", { dom, options: {} });
    await waitFor(async () => ((await w.uuids()).has("printer") ? true : undefined), { what: "the printer" });
    await describeByHand(w, "web", "mine");
    await becomes(w, "web", "web");
    expect(await description(w, "printer")).toBe("of somebody else");
    expect(await drift(w)).toMatchObject({
      drifted: [],
      unmanaged: [{ cluster: "lab", virdomain: "printer", why: "no mark" }],
    });
    expect((await w.uuids()).get("web")).toBe(web);
  });

  it("makes nothing on a cluster that lost all its VMs at once", async () => {
    const { w, log } = await stage(shop());
    await pauseCluster(w);
    await w.deleteByHand(["web", "db"]);
    await w.product().engine.store.removePause(cluster);
    await log.says(/cluster-emptied/);
    await rounds(w, 2);
    expect((await drift(w)).held).toMatchObject([{ cluster: "lab", code: "cluster-emptied" }]);
  });
});
