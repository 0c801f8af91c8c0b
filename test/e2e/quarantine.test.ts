import { describe, expect, it } from "vitest";
import { purgeQuarantined } from "../../src/app/upkeep/purge-quarantined.ts";
import type { StateStore } from "../../src/ports/state-store.ts";
import { freeContext } from "../support/desired-vm.ts";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const open = useWorld();
const dayMs = 86_400_000;

const shop = (names: readonly string[], cpu = 1): Record<string, string> => ({
  "manifests/shop.yaml": manifest(
    "shop",
    names.map((name) => ({ name, cpu, disks: ["data"] })),
  ),
});

interface WireVm {
  readonly uuid: string;
  readonly name: string;
  readonly state: string;
  readonly blockDevs: readonly { readonly uuid: string }[];
}

async function wire(w: World): Promise<readonly WireVm[]> {
  const found = (await w.hypercore("GET", "VirDomain")) as WireVm[];
  return found
    .map(({ uuid, name, state, blockDevs }) => ({
      uuid,
      name,
      state,
      blockDevs: blockDevs.map(({ uuid: id }) => ({ uuid: id })),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** As the hourly look does it, so many days from now. */
async function purge(w: World, days: number, knows: Partial<StateStore> = {}): Promise<readonly string[]> {
  const { engine } = w.product();
  const clock = { ...engine.clock, now: () => Date.now() + days * dayMs };
  const later = { ...engine, clock, store: { ...engine.store, ...knows } };
  const purged = await purgeQuarantined(later, await engine.hypervisor("lab"), freeContext());
  return purged.map(({ name }) => name);
}

describe("a VM whose manifest goes", () => {
  it("is set aside with its disks, comes back by a revert as the same VM, and the statuses and comments say so", async () => {
    const w = await open();
    await w.final(await w.push(shop(["web", "db"]), "Add the shop"));
    const before = await wire(w);

    await w.tree.branch("less");
    await w.commit(shop(["web"]), "No database");
    await w.tree.push("less");
    const pull = await w.forge.openPullRequest("No database", "less");
    expect(await commentOf(w, pull)).toMatch(
      /1 VM will go into quarantine.*\n.*`db` on `lab`: .*kept for 7 days \(until 20/,
    );
    await w.tree.git("switch", "main");

    const gone = await w.push(shop(["web"]), "No database");
    expect(await w.final(gone)).toMatchObject({
      state: "success",
      description: expect.stringMatching(/^Synced: 1 operation on 1 cluster in .*, 1 VM in quarantine$/),
    });
    const [db, web] = before;
    expect(await wire(w)).toEqual([{ ...db, name: `db.quarantined-${gone.slice(0, 7)}`, state: "SHUTOFF" }, web]);

    await w.tree.branch("back");
    await w.tree.git("revert", "--no-edit", "HEAD");
    await w.tree.push("back");
    const second = await w.forge.openPullRequest("The database again", "back");
    const comment = await commentOf(w, second);
    expect(comment).toMatch(/1 VM comes back from quarantine with its disks/);
    expect(comment).toMatch(/Plan: 1 to bring back/);
    await w.tree.git("switch", "main");

    expect(await w.final(await w.revert())).toMatchObject({
      state: "success",
      description: expect.stringMatching(/1 VM back from quarantine with data/),
    });
    expect(await wire(w)).toEqual(before);
  });

  it("comes back changed where its manifest did, and its disks are the same", async () => {
    const w = await open();
    await w.final(await w.push(shop(["web", "db"]), "Add the shop"));
    const [db] = await wire(w);
    await w.final(await w.push(shop(["web"]), "No database"));
    expect(await w.final(await w.push(shop(["web", "db"], 2), "A larger database"))).toMatchObject({
      state: "success",
    });
    expect((await wire(w))[0]).toEqual(db);
    expect(await w.cpus()).toEqual([2, 2]);
  });

  it("comes back when the revert arrives while it is being shut down", async () => {
    const w = await open({ simulator: { taskMs: 100, ignoreShutdown: "^db$" } });
    await w.final(await w.push(shop(["web", "db"]), "Add the shop"));
    const before = await wire(w);
    const gone = await w.push(shop(["web"]), "No database");
    await waitFor(async () => ((await marks(w)).some((tag) => tag.startsWith("kg-quarantine:")) ? true : undefined), {
      what: "the quarantine to begin",
    });
    const reverted = await w.revert();
    expect(await w.final(reverted)).toMatchObject({ state: "success" });
    expect(await w.final(gone)).toMatchObject({ description: expect.stringMatching(/^Superseded by/) });
    expect(await wire(w)).toEqual(before);
    expect(await marks(w)).not.toContainEqual(expect.stringMatching(/^kg-quarantine/));
  });
});

describe("a quarantine", () => {
  it("lasts until its time is over, and ends only where nobody asks for the VM any more", async () => {
    const w = await open();
    await w.final(await w.push(shop(["web", "db"]), "Add the shop"));
    const gone = await w.push(shop(["web"]), "No database");
    await w.final(gone);
    const name = `db.quarantined-${gone.slice(0, 7)}`;
    expect(await purge(w, 0)).toEqual([]);
    expect(await purge(w, 6.99)).toEqual([]);
    expect(await purge(w, -1)).toEqual([]);
    expect(await wire(w)).toHaveLength(2);
    expect(await purge(w, 7.01)).toEqual([name]);
    expect(await wire(w)).toMatchObject([{ name: "web", state: "RUNNING" }]);
    expect(await purge(w, 7.01)).toEqual([]);
  });

  it("keeps a VM that somebody switched on to look into it", async () => {
    const w = await open();
    await w.final(await w.push(shop(["web", "db"]), "Add the shop"));
    await w.final(await w.push(shop(["web"]), "No database"));
    const [db] = await wire(w);
    await w.hypercore("POST", "VirDomain/action", [{ virDomainUUID: db?.uuid, actionType: "START" }]);
    await waitFor(async () => ((await wire(w))[0]?.state === "RUNNING" ? true : undefined), { what: "the VM to run" });
    expect(await purge(w, 30)).toEqual([]);
    const { store } = w.product().engine;
    const syncs = (await store.listHistory("fleet", 10)).length;
    await store.requestSync("fleet");
    await waitFor(async () => ((await store.listHistory("fleet", 10)).length > syncs ? true : undefined), {
      what: "a sync of everything",
    });
    expect((await wire(w))[0]).toMatchObject({ uuid: db?.uuid, name: db?.name, state: "RUNNING" });
  });

  it("keeps everything while the remote does not answer, or a manifest cannot be read", async () => {
    const w = await open();
    await w.final(await w.push(shop(["web", "db"]), "Add the shop"));
    await w.final(await w.push(shop(["web"]), "No database"));
    await w.final(await w.push({ "manifests/other.yaml": "{ [" }, "Oops"));
    expect(await purge(w, 30)).toEqual([]);
    await w.final(await w.push({ "manifests/other.yaml": undefined }, "Better"));
    const silent = { ok: false, code: "git-unreachable", atMs: Date.now(), message: "no answer" } as const;
    expect(await purge(w, 30, { readCondition: () => Promise.resolve(silent) })).toEqual([]);
    expect(await wire(w)).toHaveLength(2);
    expect(await purge(w, 30)).toHaveLength(1);
  });

  it("does not begin for a VM whose deployment deletes at once", async () => {
    const w = await open();
    const groups = `type: ClusterGroup\nversion: "1.0.0"\nmetadata: { name: all }\nspec: { clusters: [lab] }\n`;
    const spec = "{ applications: [shop], clusterGroups: [all], policy: { quarantine: off } }";
    const deployment = `${groups}---\ntype: Deployment\nversion: "1.0.0"\nmetadata: { name: shop }\nspec: ${spec}\n`;
    await w.final(await w.push({ ...shop(["web", "db"]), "manifests/fleet.yaml": deployment }, "Add the shop"));
    expect(await w.final(await w.push(shop(["web"]), "No database"))).toMatchObject({ state: "success" });
    expect(await wire(w)).toMatchObject([{ name: "web" }]);
  });
});

async function marks(w: World): Promise<readonly string[]> {
  const found = (await w.hypercore("GET", "VirDomain")) as {
    tags: string;
    labels?: Record<string, { value: string }>;
  }[];
  return found.flatMap(({ tags, labels = {} }) => [
    ...tags.split(","),
    ...Object.values(labels)
      .map(({ value }) => Buffer.from(value, "base64").toString("utf8"))
      .join("")
      .split(","),
  ]);
}

async function commentOf(w: World, pull: number): Promise<string> {
  return waitFor(async () => (await w.forge.comments(pull))[0]?.body, { what: "the plan comment" });
}
