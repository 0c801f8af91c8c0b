import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { startWatching, startWorking } from "../../src/app/roles.ts";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const open = useWorld();

const shop = (cpu: number, names: readonly string[] = ["web", "db"]): Record<string, string> => ({
  "manifests/shop.yaml": manifest(
    "shop",
    names.map((name) => ({ name, cpu })),
  ),
});

/** A VM that a commit took away. */
const aside = (name: string, commit: string) => ({
  name: `${name}.quarantined-${commit.slice(0, 7)}`,
  state: "SHUTOFF",
});

describe("merge to deploy", () => {
  it("creates what a commit describes, and tells the commit once", async () => {
    const w = await open();
    const commit = await w.push(
      { "manifests/shop.yaml": manifest("shop", [{ name: "web" }, { name: "db", disks: ["data"] }]) },
      "Add the shop",
    );
    const status = await w.final(commit);
    expect(status).toMatchObject({
      state: "success",
      description: expect.stringMatching(/^Synced: 2 operations on 1 cluster in /),
    });
    expect((await w.statuses(commit)).map(({ state }) => state)).toEqual(["pending", "success"]);
    expect(await w.vms()).toMatchObject([
      { name: "db", state: "RUNNING", disks: 2 },
      { name: "web", state: "RUNNING", disks: 1 },
    ]);
  });

  it("takes the example manifests as they stand", async () => {
    const w = await open();
    const files: Record<string, string> = {};
    for (const name of ["three-tier-webapp", "mixed-os-environment", "microservices-stack"]) {
      files[`manifests/${name}.yaml`] = await readFile(
        new URL(`../../config/examples/${name}.yaml`, import.meta.url),
        "utf8",
      );
    }
    expect(await w.final(await w.push(files, "Add three applications"))).toMatchObject({ state: "success" });
    const vms = await w.vms();
    expect(vms).toHaveLength(12);
    expect(vms.every((vm) => vm.state === "RUNNING")).toBe(true);
  });

  it("gives commits without manifests their success", async () => {
    const w = await open();
    expect(await w.final(await w.push({ "docs/notes.md": "words" }, "Write notes"))).toMatchObject({
      state: "success",
      description: "No VM changes",
    });
  });

  it("tells a commit nothing twice when a sync is asked for again and there is nothing to do", async () => {
    const w = await open();
    const commit = await w.push(shop(1, ["web"]), "Add the shop");
    const status = await w.final(commit);
    const { store } = w.product().engine;
    await store.requestSync("fleet");
    const entries = await waitFor(
      async () => {
        const history = await store.listHistory("fleet", 5);
        return history.length > 1 ? history : undefined;
      },
      { what: "the sync that was asked for" },
    );
    expect(entries[0]).toMatchObject({ revision: commit, verdict: { state: "success" }, commits: [] });
    await waitFor(async () => ((await store.listOutbox("fleet", 5)).length === 0 ? true : undefined), {
      what: "the outbox to be empty",
    });
    expect((await w.statuses(commit)).at(-1)).toEqual(status);
    expect((await w.statuses(commit)).map(({ state }) => state)).toEqual(["pending", "success"]);
  });

  it("settles every commit of a push of several", async () => {
    const w = await open();
    const first = await w.push({ "manifests/a.yaml": manifest("a", [{ name: "a" }]) }, "A");
    await w.final(first);
    const commits: string[] = [];
    for (const name of ["b", "c"])
      commits.push(await w.commit({ [`manifests/${name}.yaml`]: manifest(name, [{ name }]) }, name));
    await w.tree.push("main");
    const [b = "", c = ""] = commits;
    expect(await w.final(c)).toMatchObject({ state: "success" });
    expect(await w.final(b)).toMatchObject({ state: "success", description: `Superseded by ${c.slice(0, 7)}, synced` });
  });

  it("works on a bad file's neighbours and fails the commit with the place", async () => {
    const w = await open();
    const commit = await w.push(
      {
        ...shop(1, ["web"]),
        "manifests/bad.yaml": "type: Application\nversion: '1'\nmetadata: { name: bad }\nspec: { resorces: [] }\n",
      },
      "One good, one bad",
    );
    expect(await w.final(commit)).toMatchObject({ state: "failure", description: expect.stringMatching(/problem/) });
    expect(await w.vms()).toMatchObject([{ name: "web", state: "RUNNING" }]);
  });

  it("runs clusters side by side, and a dead one holds only itself", async () => {
    const w = await open({ clusters: ["north", "south"] });
    await w.control(w.clusterUrl("south"), "POST", "faults", [{ match: { path: "/rest/v1/.*" }, kind: "hang" }]);
    const commit = await w.push(shop(1, ["web"]), "Add the shop");
    await waitFor(async () => ((await w.vms("north"))[0]?.state === "RUNNING" ? true : undefined), {
      what: "the VM on north",
      timeoutMs: 60_000,
    });
    expect((await w.statuses(commit)).every(({ state }) => state === "pending")).toBe(true);
    await w.control(w.clusterUrl("south"), "DELETE", "faults");
    expect(await w.final(commit, "kraken-gitops/sync", 90_000)).toMatchObject({ state: "success" });
    expect(await w.vms("south")).toMatchObject([{ name: "web", state: "RUNNING" }]);
  }, 180_000);
});

describe("processes", () => {
  it("share the work when a worker has a folder of its own and has never seen the repository", async () => {
    const w = await open({ idle: true });
    const watcher = await w.engine();
    const elsewhere = await w.engine({
      ...w.config,
      dataDir: `${w.folder}/elsewhere`,
      redis: { ...w.config.redis, url: `unix://${w.config.dataDir}/redis/redis.sock` },
    });
    const working = await startWorking(elsewhere);
    const watching = startWatching(watcher);
    try {
      const six = ["a", "b", "c", "d", "e", "f"];
      expect(await w.final(await w.push(shop(1, six), "Six VMs"))).toMatchObject({ state: "success" });
      // Nothing may be begun here, so the worker's first sight of the commit is planning it again.
      expect(await w.final(await w.push(shop(1, ["a"]), "One VM"))).toMatchObject({ state: "failure" });
    } finally {
      await watching[Symbol.asyncDispose]();
      await working[Symbol.asyncDispose]();
    }
  });
});

describe("review", () => {
  it("plans a pull request in one comment, edited in place", async () => {
    const w = await open();
    await w.final(await w.push(shop(1), "Add the shop"));
    await w.tree.branch("more-cpu");
    await w.commit(shop(2), "Two CPUs");
    await w.tree.push("more-cpu");
    const pull = await w.forge.openPullRequest("Two CPUs", "more-cpu");
    const head = await w.tree.git("rev-parse", "HEAD");
    expect(await w.final(head, "kraken-gitops/plan")).toMatchObject({
      state: "success",
      description: expect.stringMatching(/2 to update \(2 reboots\)/),
    });
    const [first] = await commentsWith(w, pull, head);
    const next = await w.commit(shop(2, ["web"]), "No database");
    await w.tree.push("more-cpu");
    expect(await w.final(next, "kraken-gitops/plan")).toMatchObject({
      description: expect.stringMatching(/1 to quarantine/),
    });
    const second = await commentsWith(w, pull, next);
    expect(second).toHaveLength(1);
    expect(second[0]?.id).toBe(first?.id);
    expect(second[0]?.body).toMatch(/everything on its disks/);
  });

  it("changes nothing by planning", async () => {
    const w = await open();
    await w.tree.branch("idea");
    const head = await w.commit(shop(1), "An idea");
    await w.tree.push("idea");
    await w.forge.openPullRequest("An idea", "idea");
    await w.final(head, "kraken-gitops/plan");
    expect(await w.vms()).toEqual([]);
  });
});

describe("roll back", () => {
  it("converges on a revert and says where it is back", async () => {
    const w = await open();
    const good = await w.push(shop(1), "Add the shop");
    await w.final(good);
    await w.final(await w.push(shop(4), "Four CPUs"));
    expect(await w.final(await w.revert())).toMatchObject({
      state: "success",
      description: expect.stringContaining(`back at ${good.slice(0, 7)}`),
    });
  });

  it("sets aside within the budget when the manifest goes", async () => {
    const w = await open();
    await w.final(await w.push(shop(1), "Add the shop"));
    const commit = await w.push(shop(1, ["web"]), "No database");
    expect(await w.final(commit)).toMatchObject({ state: "success" });
    expect(await w.vms()).toMatchObject([aside("db", commit), { name: "web", state: "RUNNING" }]);
  });

  it("deletes nothing over the budget until a commit approves exactly that", async () => {
    const w = await open();
    const names = ["a", "b", "c", "d", "e", "f"];
    await w.final(await w.push(shop(1, names), "Six VMs"));
    const status = await w.final(await w.push(shop(1, ["a"]), "One VM"));
    expect(status).toMatchObject({
      state: "failure",
      description: expect.stringMatching(/Waiting for approval: 5 VMs .*Kraken-Approve: [0-9a-f]{12}$/),
    });
    expect(await w.vms()).toHaveLength(6);
    const approval = /Kraken-Approve: [0-9a-f]{12}$/.exec(status.description)?.[0] ?? "";
    await w.tree.git("commit", "--allow-empty", "-m", `Let them go\n\n${approval}`);
    await w.tree.push("main");
    const commit = await w.tree.git("rev-parse", "HEAD");
    expect(await w.final(commit)).toMatchObject({ state: "success" });
    const gone = names.slice(1).map((name) => aside(name, commit));
    expect(await w.vms()).toMatchObject([{ name: "a", state: "RUNNING" }, ...gone]);
  });

  it.each([
    ["the folder is emptied", { "manifests/shop.yaml": undefined }],
    ["the file becomes unreadable", { "manifests/shop.yaml": "{ [" }],
  ])("deletes nothing when %s", async (_title, files) => {
    const w = await open();
    await w.final(await w.push(shop(1), "Add the shop"));
    const status = await w.final(await w.push(files, "Oops"));
    expect(status.state).toBe("failure");
    expect(await w.vms()).toHaveLength(2);
  });
});

describe("newest wins", () => {
  it("ends three quick commits as superseded and synced, none pending", async () => {
    // A guest that boots loses the request to shut down, which is then sent again a good while later.
    const w = await open({ simulator: { taskMs: 150, guestBootMs: 0 } });
    const names = ["a", "b", "c", "d", "e", "f"];
    const first = await w.push(shop(1, names), "Six VMs");
    await waitFor(async () => ((await w.vms()).length > 0 ? true : undefined), { what: "the first VM" });
    const second = await w.push(shop(2, names), "Two CPUs");
    await waitFor(async () => ((await w.statuses(second)).length > 0 ? true : undefined), {
      what: "the second commit's status",
    });
    const third = await w.push(shop(1, [...names, "g"]), "A seventh VM");
    expect(await w.final(third, "kraken-gitops/sync", 60_000)).toMatchObject({
      state: "success",
      description: expect.stringMatching(/^Synced/),
    });
    const by = `Superseded by ${third.slice(0, 7)}, synced`;
    expect(await w.final(second)).toMatchObject({ state: "success", description: by });
    expect(await w.final(first)).toMatchObject({ state: "success", description: by });
    const vms = await w.vms();
    expect(vms.map((vm) => vm.name)).toEqual([...names, "g"]);
    for (const commit of [first, second, third])
      expect((await w.statuses(commit)).filter(({ state }) => state !== "pending")).toHaveLength(1);
  }, 180_000);
});

async function commentsWith(w: World, pull: number, head: string) {
  return waitFor(
    async () => {
      const comments = await w.forge.comments(pull);
      return comments.some((comment) => comment.body.includes(head.slice(0, 7))) ? comments : undefined;
    },
    { what: `the comment for ${head.slice(0, 7)}` },
  );
}
