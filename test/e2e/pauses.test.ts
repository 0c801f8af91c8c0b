import { describe, expect, it } from "vitest";
import { wakeSyncs } from "../../src/app/holds.ts";
import type { Pause, PauseScope } from "../../src/ports/state-store.ts";
import type { SyncWindow } from "../../src/sync/windows.ts";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const open = useWorld();

const shop = (names: readonly string[], cpu = 1): Record<string, string> => ({
  "manifests/shop.yaml": manifest(
    "shop",
    names.map((name) => ({ name, cpu })),
  ),
});
const till = { "manifests/till.yaml": manifest("till", [{ name: "till" }]) };

async function pause(w: World, scope: PauseScope, more: Partial<Pause> = {}): Promise<void> {
  const { engine } = w.product();
  const usual = { reason: "moving racks", by: "ada", atMs: engine.clock.now(), untilMs: undefined };
  await engine.store.setPause({ scope, ...usual, ...more });
  await wakeSyncs(engine);
}

async function resume(w: World, scope: PauseScope): Promise<void> {
  const { engine } = w.product();
  expect(await engine.store.removePause(scope)).toBe(true);
  await wakeSyncs(engine);
}

async function says(w: World, commit: string, pattern: RegExp): Promise<void> {
  await waitFor(
    async () => {
      const newest = (await w.statuses(commit)).at(-1);
      return newest?.state === "pending" && pattern.test(newest.description) ? true : undefined;
    },
    { what: `status ${pattern}`, describe: async () => JSON.stringify(await w.statuses(commit)) },
  );
}

async function finals(w: World, commit: string): Promise<number> {
  return (await w.statuses(commit)).filter(({ state }) => state !== "pending").length;
}

const names = async (w: World, cluster?: string): Promise<string[]> => (await w.vms(cluster)).map(({ name }) => name);

describe("a pause", () => {
  it("of a cluster in the middle of a fleet holds it alone, and what is under way there finishes", async () => {
    const w = await open({ clusters: ["north", "south"], simulator: { taskMs: 150 } });
    const north = { kind: "cluster", cluster: "north" } as const;
    const six = ["a", "b", "c", "d", "e", "f"];
    const commit = await w.push(shop(six), "Six VMs");
    await waitFor(async () => ((await names(w, "north")).length > 0 ? true : undefined), { what: "a VM on north" });
    await pause(w, north);
    await waitFor(
      async () => ((await w.vms("south")).filter(({ state }) => state === "RUNNING").length === 6 ? true : undefined),
      {
        what: "the VMs on south",
        timeoutMs: 60_000,
      },
    );
    await says(w, commit, /^Held: north paused by ada: moving racks$/);
    const { store } = w.product().engine;
    const id = (await store.readBranch("fleet")).currentSync ?? "";
    await waitFor(async () => ((await store.countUnderWay(id)) === 0 ? true : undefined), { what: "a quiet north" });
    const begun = await w.vms("north");
    expect(begun.length).toBeLessThan(6);
    expect(begun.every(({ state }) => state === "RUNNING")).toBe(true);
    await resume(w, north);
    expect(await w.final(commit)).toMatchObject({ state: "success" });
    expect(await names(w, "north")).toEqual(six);
    expect(await finals(w, commit)).toBe(1);
  }, 120_000);

  it("of the repository keeps commits pending, and the newest wins when it ends", async () => {
    const w = await open();
    const scope = { kind: "repository", repository: "fleet" } as const;
    await pause(w, scope);
    const first = await w.push(shop(["web"]), "Add the shop");
    await says(w, first, /^Held: paused by ada: moving racks$/);
    const second = await w.push(shop(["web", "db"]), "Add a database");
    await says(w, second, /^Held: paused by ada/);
    await says(w, first, /^Superseded by/);
    expect(await names(w)).toEqual([]);
    await resume(w, scope);
    expect(await w.final(second)).toMatchObject({ state: "success" });
    expect(await w.final(first)).toMatchObject({ description: `Superseded by ${second.slice(0, 7)}, synced` });
    expect(await names(w)).toEqual(["db", "web"]);
    expect([await finals(w, first), await finals(w, second)]).toEqual([1, 1]);
  });

  it("ends by itself, while pull requests are planned", async () => {
    const w = await open();
    await pause(w, { kind: "instance" }, { untilMs: Date.now() + 600_000 });
    const commit = await w.push(shop(["web"]), "Add the shop");
    await says(w, commit, /^Held: paused by ada until \d{4}-\d\d-\d\d \d\d:\d\d UTC: moving racks$/);
    await w.tree.branch("idea");
    const head = await w.commit(till, "A till");
    await w.tree.push("idea");
    await w.forge.openPullRequest("A till", "idea");
    expect(await w.final(head, "kraken-gitops/plan")).toMatchObject({ state: "success" });
    expect(await names(w)).toEqual([]);
    await pause(w, { kind: "instance" }, { untilMs: Date.now() + 1_500 });
    expect(await w.final(commit)).toMatchObject({ state: "success" });
  });

  it("of an application and of a VM lets the others go on", async () => {
    const w = await open();
    const vm = { kind: "virdomain", cluster: "lab", virdomain: "web" } as const;
    const application = { kind: "application", application: "till" } as const;
    await pause(w, vm);
    await pause(w, application);
    const commit = await w.push({ ...shop(["web", "db"]), ...till }, "Add both");
    await waitFor(async () => ((await names(w)).includes("db") ? true : undefined), { what: "the database" });
    await says(w, commit, /^Held: (web on lab|application till) paused by ada/);
    expect(await names(w)).toEqual(["db"]);
    await resume(w, application);
    await waitFor(async () => ((await names(w)).includes("till") ? true : undefined), { what: "the till" });
    await says(w, commit, /^Held: web on lab paused by ada/);
    await resume(w, vm);
    expect(await w.final(commit)).toMatchObject({ state: "success" });
    expect(await names(w)).toEqual(["db", "till", "web"]);
    expect(await finals(w, commit)).toBe(1);
  });
});

describe("a sync window", () => {
  it("holds commits until it opens", async () => {
    const opensMs = (Math.floor((Date.now() + 8_000) / 60_000) + 1) * 60_000;
    const from = new Date(opensMs).getUTCHours() * 60 + new Date(opensMs).getUTCMinutes();
    const days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"] as const;
    const window: SyncWindow = { days, from, to: (from + 60) % 1_440, timeZone: "UTC", deny: false };
    const w = await open({
      config: (config) => ({
        ...config,
        repositories: config.repositories.map((repository) => ({ ...repository, windows: [window] })),
      }),
    });
    const commit = await w.push(shop(["web"]), "Add the shop");
    await says(w, commit, /^Held: sync window opens \d\d:\d\d UTC$/);
    expect(await w.final(commit, undefined, 90_000)).toMatchObject({ state: "success" });
    const [vm] = (await w.product().engine.store.listHistory("fleet", 1)) ?? [];
    expect(vm?.finishedAtMs).toBeGreaterThanOrEqual(opensMs);
    expect(vm?.finishedAtMs).toBeLessThan(opensMs + 10_000);
  }, 120_000);
});
