import { describe, expect, it } from "vitest";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const open = useWorld();

const shop = (names: readonly string[], cpu = 1): Record<string, string> => ({
  "manifests/shop.yaml": manifest(
    "shop",
    names.map((name) => ({ name, cpu, disks: ["data"] })),
  ),
});

/** Ids of VMs by name and of their disks, as the cluster has them. */
async function inventory(w: World): Promise<ReadonlyMap<string, readonly string[]>> {
  const vms = (await w.hypercore("GET", "VirDomain")) as {
    name: string;
    uuid: string;
    blockDevs: { uuid: string }[];
  }[];
  return new Map(
    vms.map(({ name, uuid, blockDevs }) => [name, [uuid, ...blockDevs.map((disk) => disk.uuid)]] as const),
  );
}

async function setNodes(w: World, state: "up" | "down"): Promise<void> {
  await w.control(w.clusterUrl(), "POST", "nodes", { state });
}

async function isHeld(w: World, commit: string): Promise<void> {
  await waitFor(
    async () => ((await w.statuses(commit)).at(-1)?.description.startsWith("Held: lab (") === true ? true : undefined),
    { what: "the hold's status", describe: async () => JSON.stringify(await w.statuses(commit)) },
  );
}

describe("a revert", () => {
  it("of a revert, and of that one: always the same VM with the same disks", async () => {
    const w = await open();
    const good = await w.push(shop(["web", "db"]), "Add the shop");
    await w.final(good);
    const before = await inventory(w);
    const gone = await w.push(shop(["web"]), "No database");
    await w.final(gone);
    expect(await w.final(await w.revert())).toMatchObject({
      state: "success",
      description: expect.stringContaining(`back at ${good.slice(0, 7)}`),
    });
    expect(await inventory(w)).toEqual(before);
    const again = await w.revert();
    expect(await w.final(again)).toMatchObject({
      state: "success",
      description: expect.stringContaining(`back at ${gone.slice(0, 7)}`),
    });
    expect((await inventory(w)).get(`db.quarantined-${again.slice(0, 7)}`)).toEqual(before.get("db"));
    expect(await w.final(await w.revert())).toMatchObject({ state: "success" });
    expect(await inventory(w)).toEqual(before);
  });

  it("that comes while the cluster is away leaves nothing of the commit it takes back", async () => {
    const w = await open();
    await w.final(await w.push(shop(["web", "db"]), "Add the shop"));
    const before = await inventory(w);
    await setNodes(w, "down");
    const bad = await w.push(shop(["web"], 4), "No database, more CPUs");
    await isHeld(w, bad);
    const reverted = await w.revert();
    await isHeld(w, reverted);
    await setNodes(w, "up");
    expect(await w.final(reverted)).toMatchObject({ state: "success" });
    expect(await w.final(bad)).toMatchObject({
      state: "success",
      description: expect.stringContaining(`Superseded by ${reverted.slice(0, 7)}`),
    });
    expect(await inventory(w)).toEqual(before);
    expect(await w.cpus()).toEqual([1, 1]);
  });

  it("that comes while the cluster is away after half of the commit was done puts that half back", async () => {
    const w = await open({ simulator: { taskMs: 100 } });
    const names = ["a", "b", "c", "d", "e", "f"];
    await w.final(await w.push(shop(names), "Add the shop"));
    const before = await inventory(w);
    await w.push(shop(names, 2), "More CPUs");
    await waitFor(async () => ((await w.cpus()).includes(2) ? true : undefined), { what: "the first changed VM" });
    await setNodes(w, "down");
    const reverted = await w.revert();
    await isHeld(w, reverted);
    await setNodes(w, "up");
    expect(await w.final(reverted, undefined, 90_000)).toMatchObject({ state: "success" });
    expect(await inventory(w)).toEqual(before);
    expect(await w.cpus()).toEqual(names.map(() => 1));
  }, 180_000);
});
