import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { describe, expect, it } from "vitest";
import type { Config, SecretReference } from "../../src/config/config.ts";
import { openRecorded, plantedSecret } from "../support/recorded-log.ts";
import { startTestRedis } from "../support/redis-server.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const shop = (cpu: number, memory = "1 GiB"): Record<string, string> => ({
  "manifests/shop.yaml": manifest("shop", [{ name: "web", cpu, memory }]),
});

async function expectOneFinal(w: World, commit: string): Promise<void> {
  const states = (await w.statuses(commit)).map(({ state }) => state);
  expect(states.filter((state) => state !== "pending")).toHaveLength(1);
}

/** Asks for a sync as `kraken-gitops sync` does, and waits for its verdict. */
async function syncAgain(w: World): Promise<{ readonly state: string; readonly description: string }> {
  const { store } = w.product().engine;
  const before = (await store.listHistory("fleet", 1))[0]?.syncId;
  await store.requestSync("fleet");
  const entry = await waitFor(
    async () => {
      const [newest] = await store.listHistory("fleet", 1);
      return newest?.syncId === before ? undefined : newest;
    },
    { what: "the sync that was asked for" },
  );
  return entry.verdict;
}

const running = [{ name: "web", state: "RUNNING" }];

describe("a cluster that is away", () => {
  it("holds its commit with the reason, and finishes it when it is back", async () => {
    await using stage = await openRecorded();
    const { w } = stage;
    await w.control(w.clusterUrl(), "POST", "nodes", { state: "down" });
    const commit = await w.push(shop(1), "Add the shop");
    await waitFor(
      async () =>
        (await w.statuses(commit)).some(({ description }) => description.startsWith("Held: lab (")) ? true : undefined,
      { what: "the hold's status", describe: async () => JSON.stringify(await w.statuses(commit)) },
    );
    await w.control(w.clusterUrl(), "POST", "nodes", { state: "up" });
    expect(await w.final(commit)).toMatchObject({ state: "success" });
    await expectOneFinal(w, commit);
    expect(await w.vms()).toMatchObject(running);
  });

  it("in the middle of its operations loses none", async () => {
    await using stage = await openRecorded({ simulator: { taskMs: 100 } });
    const { w, log } = stage;
    const names = ["a", "b", "c", "d"];
    const commit = await w.push(
      {
        "manifests/shop.yaml": manifest(
          "shop",
          names.map((name) => ({ name })),
        ),
      },
      "Four VMs",
    );
    await waitFor(async () => ((await w.vms()).length > 0 ? true : undefined), { what: "the first VM" });
    await w.control(w.clusterUrl(), "POST", "nodes", { state: "down" });
    await log.says(/operation failed, will be tried again|operation waits|cluster cannot be read, held/);
    await w.control(w.clusterUrl(), "POST", "nodes", { state: "up" });
    expect(await w.final(commit, undefined, 60_000)).toMatchObject({ state: "success" });
    await expectOneFinal(w, commit);
    expect((await w.vms()).map((vm) => `${vm.name} ${vm.state}`)).toEqual(names.map((name) => `${name} RUNNING`));
  }, 180_000);

  it("is not waited for when it refuses the password; a new password and a sync put it right", async () => {
    await using stage = await openRecorded({
      config: (config) => withPassword(config, plantedSecret(config, "password", "planted-old-password")),
    });
    const { w, log } = stage;
    const commit = await w.push(shop(1), "Add the shop");
    expect(await w.final(commit)).toMatchObject({
      state: "error",
      description: expect.stringMatching(/cluster lab refuses user "admin": check the user name and the password/),
    });
    await expectOneFinal(w, commit);
    await writeFile(join(w.folder, "password"), "admin");
    expect(await syncAgain(w)).toMatchObject({ state: "success" });
    expect(await w.vms()).toMatchObject(running);
    expect(log.text()).not.toContain("planted-old-password");
  });
});

describe("a cluster that cannot do it", () => {
  it("says that no node has the memory left to start a VM, and starts it when it asks for less", async () => {
    await using stage = await openRecorded({ simulator: { nodeMemoryBytes: 4 * 2 ** 30 } });
    const { w } = stage;
    const withDb = (memory: string) => ({
      "manifests/shop.yaml": manifest("shop", [
        { name: "db", memory: "3 GiB" },
        { name: "web", memory },
      ]),
    });
    expect(
      await w.final(
        await w.push(
          { "manifests/shop.yaml": manifest("shop", [{ name: "db", memory: "3 GiB" }]) },
          "Add the database",
        ),
      ),
    ).toMatchObject({ state: "success" });
    expect(await w.final(await w.push(withDb("2 GiB"), "Add the shop"))).toMatchObject({
      state: "error",
      description: expect.stringMatching(/^Failed: 1 of 1 \(web on lab: .*memory/i),
    });
    expect(await w.final(await w.push(withDb("1 GiB"), "Less memory"))).toMatchObject({ state: "success" });
    expect(await w.vms()).toMatchObject([{ name: "db", state: "RUNNING" }, ...running]);
  });

  it("fails one task: the retry heals it without a word on the commit", async () => {
    await using stage = await openRecorded();
    const { w, log } = stage;
    const fault = {
      kind: "fail-task",
      times: 1,
      match: { method: "POST", path: "/VirDomain$" },
      message: "Node is tired",
    };
    await w.control(w.clusterUrl(), "POST", "faults", fault);
    const commit = await w.push(shop(1), "Add the shop");
    expect(await w.final(commit)).toMatchObject({ state: "success" });
    await expectOneFinal(w, commit);
    expect(await w.vms()).toMatchObject(running);
    expect(log.text()).toMatch(/Node is tired/);
  });

  it("has nowhere to get an image from: the commit names the image", async () => {
    await using stage = await openRecorded();
    const { w } = stage;
    const text = shop(1)["manifests/shop.yaml"]?.replace("ubuntu-22.04-web.img", "no-such-image.img");
    const commit = await w.push({ "manifests/shop.yaml": text }, "Add the shop");
    const final = await w.final(commit);
    expect(final).toMatchObject({
      state: "failure",
      description: expect.stringMatching(/web on lab: .*no-such-image\.img/),
    });
    expect(final.description).not.toContain("ENOENT");
    expect(await w.final(await w.push(shop(1), "The right image"))).toMatchObject({ state: "success" });
    expect(await w.vms()).toMatchObject(running);
  });

  it("has a guest that ignores ACPI: it is switched off after the grace that the deployment gives", async () => {
    await using stage = await openRecorded({ simulator: { ignoreShutdown: "web" } });
    const { w } = stage;
    const deployment = [
      "type: Deployment",
      'version: "1.0.0"',
      "metadata: { name: shop }",
      "spec: { applications: [shop], clusterGroups: [all], policy: { shutdownGrace: 1s } }",
      "---",
      "type: ClusterGroup",
      'version: "1.0.0"',
      "metadata: { name: all }",
      "spec: { clusters: [lab] }",
      "",
    ].join("\n");
    expect(
      await w.final(await w.push({ ...shop(1), "manifests/fleet.yaml": deployment }, "Add the shop")),
    ).toMatchObject({
      state: "success",
    });
    expect(await w.final(await w.push(shop(2), "Two CPUs"))).toMatchObject({ state: "success" });
    expect(await w.cpus()).toEqual([2]);
    expect(await w.vms()).toMatchObject(running);
  });
});

describe.concurrent("a cluster that cannot do it for long", () => {
  it("says that its storage is full, and goes on when there is room", async () => {
    await using stage = await openRecorded();
    const { w } = stage;
    await w.control(w.clusterUrl(), "POST", "cluster", { storageFull: true });
    const commit = await w.push(shop(1), "Add the shop");
    expect(await w.final(commit)).toMatchObject({
      state: "error",
      description: expect.stringMatching(/^Failed: 1 of 1 \(web on lab: .*(full|space|storage)/i),
    });
    await expectOneFinal(w, commit);
    await w.control(w.clusterUrl(), "POST", "cluster", { storageFull: false });
    expect(await syncAgain(w)).toMatchObject({ state: "success" });
    expect(await w.vms()).toMatchObject(running);
  }, 180_000);

  it("fails the tasks of one VM always: its own words reach the commit, and the others are done", async () => {
    await using stage = await openRecorded();
    const { w } = stage;
    const add = (names: readonly string[]) =>
      w.push(
        {
          "manifests/shop.yaml": manifest(
            "shop",
            names.map((name) => ({ name })),
          ),
        },
        "VMs",
      );
    await w.final(await add(["web"]));
    const uuid = (await w.uuids()).get("web") ?? "";
    const broken = {
      kind: "fail-task",
      match: { method: "PATCH", path: `/VirDomain/${uuid}$` },
      message: "Drive 3 is on fire",
    };
    await w.control(w.clusterUrl(), "POST", "faults", [
      broken,
      { ...broken, match: { ...broken.match, method: "POST" } },
    ]);
    const commit = await w.push(
      { "manifests/shop.yaml": manifest("shop", [{ name: "web", cpu: 2 }, { name: "db" }]) },
      "Two CPUs and a database",
    );
    const final = await w.final(commit, undefined, 90_000);
    expect(final.state).toBe("error");
    expect(final.description).toMatch(/^Failed: 1 of 2 \(web on lab: .*Drive 3 is on fire/);
    await expectOneFinal(w, commit);
    expect((await w.vms()).map((vm) => vm.name)).toEqual(["db", "web"]);
    await w.control(w.clusterUrl(), "DELETE", "faults");
    expect(await syncAgain(w)).toMatchObject({ state: "success" });
  }, 180_000);
});

describe("Redis", () => {
  it("that goes away in the middle and comes back loses nothing", async () => {
    await using redis = await startTestRedis();
    await using stage = await openRecorded({
      simulator: { taskMs: 100 },
      config: (config) => ({ ...config, redis: redis.config }),
    });
    const { w, log } = stage;
    const names = ["a", "b", "c", "d"];
    const commit = await w.push(
      {
        "manifests/shop.yaml": manifest(
          "shop",
          names.map((name) => ({ name })),
        ),
      },
      "Four VMs",
    );
    await waitFor(async () => ((await w.vms()).length > 0 ? true : undefined), { what: "the first VM" });
    await redis.stop();
    await log.says(/"level":40.*redis is away, connecting again/);
    await redis.start();
    expect(await w.final(commit, undefined, 60_000)).toMatchObject({ state: "success" });
    await expectOneFinal(w, commit);
    expect((await w.vms()).map((vm) => `${vm.name} ${vm.state}`)).toEqual(names.map((name) => `${name} RUNNING`));
    await log.says(/redis is back/);
  }, 180_000);
});

describe("secrets", () => {
  it("appear nowhere: not in logs, Redis, statuses or comments, whatever goes wrong", async () => {
    await using redis = await startTestRedis();
    await using stage = await openRecorded({ config: (config) => ({ ...config, redis: redis.config }) });
    const { w, log } = stage;
    const planted = "PLANTED-in-user-data";
    const text = (password: string): string =>
      (shop(1)["manifests/shop.yaml"] ?? "").replace(
        "        storage_devices:",
        [
          "        cloud_init_data:",
          "          user_data: |",
          "            #cloud-config",
          `            password: ${password}`,
          `            chpasswd: { list: "root:${password}" }`,
          "        storage_devices:",
        ].join("\n"),
      );
    const first = await w.push({ "manifests/shop.yaml": text(planted) }, "Add the shop");
    expect(await w.final(first)).toMatchObject({ state: "success" });
    await w.tree.branch("rotate");
    const head = await w.commit({ "manifests/shop.yaml": text(`${planted}-2`) }, "Rotate the password");
    await w.tree.push("rotate");
    const pull = await w.forge.openPullRequest("Rotate the password", "rotate");
    await w.final(head, "kraken-gitops/plan");
    await w.tree.git("switch", "--quiet", "main");
    await w.control(w.forgeUrl, "POST", "faults", {
      kind: "status",
      status: 401,
      times: 2,
      match: { method: "POST", path: "/statuses/" },
    });
    await w.control(w.clusterUrl(), "POST", "faults", { kind: "unauthorized", times: 1, match: { method: "GET" } });
    const last = await w.push(
      { "manifests/shop.yaml": text(`${planted}-3`), "manifests/bad.yaml": `password: ${planted}\n` },
      "More",
    );
    await w.final(last);
    const told = [
      ...(await Promise.all([first, head, last].map((commit) => w.forge.statuses(commit)))).flat(),
      ...(await w.forge.comments(pull)),
    ];
    const everything = [log.text(), JSON.stringify(told), await dump(redis.url)];
    expect(everything[2]).toMatch(/Rotate|shop/);
    for (const text of everything)
      for (const secret of [planted, "bot-token", Buffer.from("admin:admin").toString("base64")])
        expect(text.includes(secret), `${secret} in ${around(text, secret)}`).toBe(false);
  }, 180_000);
});

function around(text: string, secret: string): string {
  const at = text.indexOf(secret);
  return text.slice(Math.max(0, at - 200), at + 100);
}

/** Every key and every value in Redis, whatever its type. */
async function dump(url: string): Promise<string> {
  const redis = new Redis({ path: new URL(url).pathname });
  try {
    const lines: string[] = [];
    for (const key of await redis.keys("*")) lines.push(key, JSON.stringify(await readKey(redis, key)));
    return lines.join("\n");
  } finally {
    redis.disconnect();
  }
}

async function readKey(redis: Redis, key: string): Promise<unknown> {
  switch (await redis.type(key)) {
    case "string":
      return redis.get(key);
    case "hash":
      return redis.hgetall(key);
    case "list":
      return redis.lrange(key, 0, -1);
    case "set":
      return redis.smembers(key);
    case "zset":
      return redis.zrange(key, "0", "-1");
    case "stream":
      return redis.xrange(key, "-", "+");
    default:
      return undefined;
  }
}

function withPassword(config: Config, password: SecretReference): Config {
  const clusters = config.clusters.map((cluster) =>
    cluster.hypercore === undefined ? cluster : { ...cluster, hypercore: { ...cluster.hypercore, password } },
  );
  return { ...config, clusters };
}
