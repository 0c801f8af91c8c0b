import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const open = useWorld();

const shop = (names: readonly string[], more: { readonly cpu?: number; readonly disks?: readonly string[] } = {}) => ({
  "manifests/shop.yaml": manifest(
    "shop",
    names.map((name) => ({ name, ...more })),
  ),
});

/** Every VM with its disks is what it was: same ids, nothing new, nothing gone. */
async function expectUntouched(w: World, before: ReadonlyMap<string, string>): Promise<void> {
  expect(await w.uuids()).toEqual(before);
}

async function begin(names: readonly string[] = ["web", "db"]): Promise<{ w: World; before: Map<string, string> }> {
  const w = await open();
  await w.final(await w.push(shop(names, { disks: ["data"] }), "Add the shop"));
  return { w, before: new Map(await w.uuids()) };
}

describe("what looks like an order to delete, and is none", () => {
  it("an emptied repository: nothing is lost, and the commit says why", async () => {
    const { w, before } = await begin();
    await w.tree.git("rm", "-rq", ".");
    await w.tree.git("commit", "-q", "-m", "Empty it");
    await w.tree.push("main");
    expect(await w.final(await w.tree.git("rev-parse", "HEAD"))).toMatchObject({ state: "failure" });
    await expectUntouched(w, before);
  });

  it("a wrong branch in the configuration: nothing is lost", async () => {
    const { w, before } = await begin();
    await w.tree.git("checkout", "-q", "--orphan", "gh-pages");
    await w.tree.git("rm", "-rfq", ".");
    const page = await w.commit({ "manifests/other.yaml": manifest("other", [{ name: "other" }]) }, "Another thing");
    await w.tree.push("gh-pages");
    const { engine } = w.product();
    const config = engine.config();
    engine.reload({
      ...config,
      repositories: config.repositories.map((repository) => ({ ...repository, branch: "gh-pages" })),
    });
    expect(await w.final(page)).toMatchObject({
      state: "failure",
      description: expect.stringMatching(/^Waiting for approval: 2 VMs would lose data, branch rewritten/),
    });
    const after = await w.uuids();
    for (const [name, uuid] of before) expect(after.get(name)).toBe(uuid);
  });

  it("another repository under the same instance and name: its losses wait for a person", async () => {
    const { w, before } = await begin();
    await w.control(w.forgeUrl, "POST", "repos", { owner: "acme", name: "copy" });
    await w.tree.git("checkout", "-q", "--orphan", "elsewhere");
    await w.tree.git("rm", "-rfq", ".");
    const other = await w.commit(
      { "manifests/shop.yaml": manifest("shop", [{ name: "web", disks: ["data"] }]) },
      "Copy",
    );
    await w.tree.git("push", "-q", `${w.forgeUrl}/acme/copy.git`, "HEAD:main");
    await w.product()[Symbol.asyncDispose]();
    const engine = await w.engine({
      ...w.config,
      dataDir: join(w.folder, "twin"),
      repositories: w.config.repositories.map((repository) => ({
        ...repository,
        url: `${w.forgeUrl}/acme/copy.git`,
        forge: repository.forge.type === "github" ? { ...repository.forge, repository: "copy" } : repository.forge,
      })),
    });
    await w.start(engine);
    const verdict = await waitFor(async () => (await engine.store.listHistory("fleet", 1))[0]?.verdict, {
      what: "the verdict of the other repository",
    });
    expect(verdict).toMatchObject({
      state: "failure",
      description: expect.stringMatching(/1 VM would lose data, last changed by another repository/),
    });
    expect(other).toMatch(/^[0-9a-f]{40}$/);
    await expectUntouched(w, before);
  });

  it("a renamed file and reordered documents: nothing is done at all", async () => {
    const { w, before } = await begin();
    const text = manifest("shop", [
      { name: "db", disks: ["data"] },
      { name: "web", disks: ["data"] },
    ]);
    const moved = { "manifests/shop.yaml": undefined, "manifests/east/store.yaml": text };
    expect(await w.final(await w.push(moved, "Move it"))).toMatchObject({
      state: "success",
      description: "No VM changes",
    });
    await expectUntouched(w, before);
  });

  it("a Redis restored from an old copy: what it does not know is not made twice, and nothing is undone", async () => {
    const { w } = await begin(["web"]);
    await w.product()[Symbol.asyncDispose]();
    const redis = join(w.config.dataDir, "redis");
    await cp(redis, join(w.folder, "backup"), { recursive: true, filter: (source) => !source.endsWith(".sock") });
    await using later = await w.run();
    const tip = await w.push(shop(["web", "db"], { cpu: 2, disks: ["data"] }), "A database and larger VMs");
    await w.final(tip);
    const before = await w.uuids();
    await later[Symbol.asyncDispose]();
    await rm(redis, { recursive: true });
    await cp(join(w.folder, "backup"), redis, { recursive: true });
    const { engine } = await w.run();
    await waitFor(
      async () => {
        const [newest] = await engine.store.listHistory("fleet", 1);
        return newest?.revision === tip ? newest : undefined;
      },
      { what: "the tip to be synced once more" },
    );
    await expectUntouched(w, before);
    expect(await w.vms()).toHaveLength(2);
  });
});

describe("approvals", () => {
  it("of an older plan hold nothing: another set of losses needs another word", async () => {
    const names = ["a", "b", "c", "d", "e", "f"];
    const { w, before } = await begin(names);
    const first = await w.final(await w.push(shop(["a", "b"], { disks: ["data"] }), "Four less"));
    const approval = /Kraken-Approve: [0-9a-f]{12}$/.exec(first.description)?.[0] ?? "";
    expect(approval).not.toBe("");
    const more = await w.push(shop(["a"], { disks: ["data"] }), `Five less\n\n${approval}`);
    const second = await w.final(more);
    expect(second).toMatchObject({
      state: "failure",
      description: expect.stringMatching(/Waiting for approval: 5 VMs/),
    });
    expect(second.description).not.toContain(approval);
    await expectUntouched(w, before);
  });
});

describe("changes that ask for too much", () => {
  it("a smaller disk is reported and never made smaller", async () => {
    const { w, before } = await begin(["web"]);
    const text = manifest("shop", [{ name: "web", disks: ["data"] }]).replace("capacity: 5 GiB", "capacity: 3 GiB");
    const status = await w.final(await w.push({ "manifests/shop.yaml": text }, "A smaller disk"));
    expect(status.state).toBe("success");
    await expectUntouched(w, before);
    expect(await w.vms()).toMatchObject([{ name: "web", disks: 2 }]);
  });

  it("another machine type rebuilds the VM, and counts as a loss of data", async () => {
    const names = ["a", "b", "c", "d"];
    const { w, before } = await begin(names);
    const text = shop(names, { disks: ["data"] })["manifests/shop.yaml"].replaceAll(
      "machine_type: uefi",
      "machine_type: bios",
    );
    expect(await w.final(await w.push({ "manifests/shop.yaml": text }, "All to BIOS"))).toMatchObject({
      state: "failure",
      description: expect.stringMatching(/Waiting for approval: 4 VMs would lose data, budget 3/),
    });
    await expectUntouched(w, before);
  });

  it("another image replaces that disk only, under the same budget", async () => {
    const names = ["a", "b", "c", "d"];
    const { w, before } = await begin(names);
    const text = shop(names, { disks: ["data"] })["manifests/shop.yaml"].replace("ubuntu-22.04-web", "debian-12-db");
    expect(await w.final(await w.push({ "manifests/shop.yaml": text }, "Another image"))).toMatchObject({
      state: "failure",
      description: expect.stringMatching(/Waiting for approval: 4 VMs would lose data, budget 3/),
    });
    await expectUntouched(w, before);
  });
});

describe("a cluster that shows none of its VMs", () => {
  const heldText = /^Held: lab \(shows none of the 2 VMs that were there/;

  async function held(w: World, commit: string): Promise<void> {
    await waitFor(
      async () => ((await w.statuses(commit)).some(({ description }) => heldText.test(description)) ? true : undefined),
      { what: "the hold's status", describe: async () => JSON.stringify(await w.statuses(commit)) },
    );
  }

  it("is not believed: nothing is made anew, and it goes on when they are seen again", async () => {
    const { w, before } = await begin();
    await w.control(w.clusterUrl(), "DELETE", "calls");
    await w.control(w.clusterUrl(), "POST", "faults", {
      match: { method: "GET", path: "/VirDomain$" },
      kind: "empty-list",
    });
    const commit = await w.push(shop(["web", "db"], { cpu: 2, disks: ["data"] }), "More CPUs");
    await held(w, commit);
    await w.product().engine.store.requestSync("fleet");
    await held(w, await w.push(shop(["web", "db", "api"], { cpu: 2, disks: ["data"] }), "One more"));
    const { counts } = (await w.control(w.clusterUrl(), "GET", "calls")) as { counts: Record<string, number> };
    expect(Object.keys(counts).filter((call) => !call.startsWith("GET "))).toEqual([]);
    await w.control(w.clusterUrl(), "DELETE", "faults");
    expect(await w.final(await w.tree.git("rev-parse", "HEAD"))).toMatchObject({ state: "success" });
    const after = await w.uuids();
    expect([...after.keys()]).toEqual(["api", "db", "web"]);
    for (const [name, uuid] of before) expect(after.get(name)).toBe(uuid);
  });

  it("is believed when we deleted the last of them", async () => {
    const w = await open({ clusters: ["lab", "north"] });
    const { engine } = w.product();
    const fleet = (cluster: string) => ({
      "manifests/fleet.yaml": [
        `{ type: ClusterGroup, version: "1.0.0", metadata: { name: shops }, spec: { clusters: [${cluster}] } }`,
        "---",
        "type: Deployment",
        'version: "1.0.0"',
        "metadata: { name: shop }",
        "spec: { applications: [shop], clusterGroups: [shops], policy: { quarantine: off } }",
      ].join("\n"),
    });
    await w.final(await w.push({ ...shop(["web"]), ...fleet("lab") }, "Add the shop"));
    expect(await engine.store.listSighted("lab")).toHaveLength(1);
    expect(await w.final(await w.push(fleet("north"), "Move it"))).toMatchObject({ state: "success" });
    expect([(await w.uuids("lab")).size, (await w.uuids("north")).size]).toEqual([0, 1]);
    expect(await engine.store.listSighted("lab")).toEqual([]);
    expect(await w.final(await w.push(fleet("lab"), "Move it back"))).toMatchObject({ state: "success" });
    expect([(await w.uuids("lab")).size, (await w.uuids("north")).size]).toEqual([1, 0]);
  });
});
