import { rm } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { afterEach, describe, expect, it } from "vitest";
import { socketPathOf } from "../../src/adapters/redis/socket-path.ts";
import { compareFleet, manifestsOf, type RawVm, type VmWish } from "../crash/fleet.ts";
import { waitFor } from "../support/wait-for.ts";
import { World, type WorldOptions } from "../support/world.ts";

let world: World | undefined;
afterEach(async () => {
  await world?.[Symbol.asyncDispose]();
  world = undefined;
});

async function open(options: WorldOptions = {}): Promise<World> {
  world = await World.open(options);
  return world;
}

function wish(name: string, change: Partial<VmWish> = {}): VmWish {
  const image = "ubuntu-22.04-web";
  return {
    application: "shop",
    name,
    machineType: "uefi",
    cpu: 1,
    memoryMiB: 1024,
    description: `the VM ${name}`,
    tags: ["tier-1"],
    state: "running",
    disks: [
      { name: "system", gibibytes: 2, image },
      { name: "data", gibibytes: 5, image: undefined },
    ],
    nics: [{ name: "front", vlan: 10 }],
    ...change,
  };
}

function push(w: World, wishes: readonly VmWish[], message: string): Promise<string> {
  return w.push(Object.fromEntries(manifestsOf({ wishes: wishes, moves: {}, broken: undefined })), message);
}

/** Everything Redis knows is gone, while everybody goes on working with it. */
async function forgetAll(w: World): Promise<void> {
  const redis = new Redis({ path: await socketPathOf(join(w.config.dataDir, "redis")) });
  await redis.flushall();
  redis.disconnect();
}

async function rawVms(w: World): Promise<RawVm[]> {
  const authorization = `Basic ${Buffer.from("admin:admin").toString("base64")}`;
  const answer = await fetch(`${w.clusterUrl()}/rest/v1/VirDomain`, { headers: { authorization } });
  return (await answer.json()) as RawVm[];
}

const uuidsOf = (vms: readonly RawVm[]): Record<string, string> =>
  Object.fromEntries(vms.map((vm) => [vm.name, vm.uuid]));

async function changingCalls(w: World): Promise<string[]> {
  const { counts } = (await w.control(w.clusterUrl(), "GET", "calls")) as { counts: Record<string, number> };
  return Object.entries(counts)
    .filter(([call]) => !call.startsWith("GET "))
    .map(([call, count]) => `${call} ${count}`);
}

describe("Redis lost between syncs", () => {
  it("touches nothing when nothing was committed since", async () => {
    const w = await open();
    await w.run();
    const tip = await push(w, [wish("web"), wish("db")], "Add the shop");
    await w.final(tip);
    const before = await changingCalls(w);
    await forgetAll(w);
    await waitFor(async () => ((await w.statuses(tip)).at(-1)?.description === "No VM changes" ? true : undefined), {
      what: "the look at everything anew",
    });
    expect(await changingCalls(w)).toEqual(before);
    expect(compareFleet([wish("web"), wish("db")], await rawVms(w))).toEqual([]);
  });

  it("adds, changes and removes as the next commit says, with VMs that stay staying the same", async () => {
    const w = await open();
    await using product = await w.run();
    await w.final(await push(w, [wish("web"), wish("db")], "Add the shop"));
    const before = uuidsOf(await rawVms(w));
    await product[Symbol.asyncDispose]();
    await rm(join(w.config.dataDir, "redis"), { recursive: true });
    const wishes = [wish("web", { cpu: 2, memoryMiB: 2048 }), wish("api")];
    const tip = await push(w, wishes, "No database, an API and a larger web server");
    await w.run();
    expect(await w.final(tip)).toMatchObject({ state: "success" });
    const vms = await rawVms(w);
    expect(compareFleet(wishes, vms)).toEqual([]);
    expect(uuidsOf(vms)["web"]).toBe(before["web"]);
  });
});

describe("Redis lost in the middle of a sync", () => {
  const names = ["a", "b", "c", "d", "e", "f"];

  it.each([0, 150, 400, 900])(
    "loses and doubles no VM, %i ms after the first one was born",
    async (laterMs) => {
      const w = await open({ simulator: { taskMs: 120 } });
      await w.run();
      const wishes = names.map((name) => wish(name));
      const tip = await push(w, wishes, "Six VMs");
      await waitFor(async () => ((await rawVms(w)).length > 0 ? true : undefined), { what: "the first VM" });
      const since = Date.now();
      await waitFor(() => (Date.now() - since >= laterMs ? true : undefined), { what: "the moment" });
      await forgetAll(w);
      expect(await w.final(tip, "kraken-gitops/sync", 60_000)).toMatchObject({ state: "success" });
      expect(compareFleet(wishes, await rawVms(w))).toEqual([]);
    },
    180_000,
  );

  it("gives commits that were left pending their final status", async () => {
    const w = await open({ simulator: { taskMs: 150 } });
    await w.run();
    const first = await push(
      w,
      names.map((name) => wish(name)),
      "Six VMs",
    );
    await waitFor(async () => ((await rawVms(w)).length > 0 ? true : undefined), { what: "the first VM" });
    const wishes = names.map((name) => wish(name, { cpu: 2 }));
    const second = await push(w, wishes, "Two CPUs");
    await waitFor(async () => ((await w.statuses(second)).length > 0 ? true : undefined), {
      what: "the second commit's status",
    });
    await forgetAll(w);
    expect(await w.final(second, "kraken-gitops/sync", 60_000)).toMatchObject({ state: "success" });
    expect(await w.final(first)).toMatchObject({
      state: "success",
      description: `Superseded by ${second.slice(0, 7)}, synced`,
    });
    for (const commit of [first, second])
      expect((await w.statuses(commit)).filter(({ state }) => state !== "pending")).toHaveLength(1);
    expect(compareFleet(wishes, await rawVms(w))).toEqual([]);
  }, 180_000);
});
