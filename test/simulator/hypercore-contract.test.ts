import { describe, expect, it } from "vitest";
import { startHypercoreSimulator } from "../../src/simulator/hypercore/simulator.ts";
import { basic, open, TestClient, until, type Vm } from "./hypercore-support.ts";

const nowhere = "00000000-0000-4000-8000-000000000000";
const options = { attachGuestToolsISO: false };

describe("answers", () => {
  it("answers every GET with an array, of one object or of none", async () => {
    await using client = await open();
    const uuid = await client.done("POST", "VirDomain", { dom: { name: "a" }, options });
    expect((await client.api("GET", `VirDomain/${uuid}`)).json).toHaveLength(1);
    for (const kind of ["VirDomain", "VirDomainBlockDevice", "VirDomainNetDevice", "VirtualDisk", "ISO", "TaskTag"]) {
      expect((await client.api("GET", `${kind}/${nowhere}`)).json).toEqual([]);
    }
    for (const kind of ["VirDomainSnapshot", "Node", "Cluster"]) {
      expect((await client.api("GET", `${kind}/${nowhere}`)).json).toEqual([]);
    }
  });

  it("tolerates a trailing slash", async () => {
    await using client = await open();
    expect(await client.api("GET", "VirDomain/")).toMatchObject({ status: 200, json: [] });
  });

  it("answers an unknown path with a page of HTML", async () => {
    await using client = await open();
    const answer = await client.api("GET", "Nothing");
    expect(answer).toMatchObject({ status: 404, type: "text/html" });
    expect((await client.call("GET", "/elsewhere")).status).toBe(404);
  });

  it("refuses filters on lists", async () => {
    await using client = await open();
    const answer = await client.api("GET", `VirDomainBlockDevice?virDomainUUID=${nowhere}`);
    expect(answer.status).toBe(400);
    expect(answer.text).toContain("virDomainUUID");
  });

  it("says 500 about a change to something that does not exist, or 404 when told so", async () => {
    await using strict = await open();
    await using mild = await open({ missingObjectStatus: 404 });
    expect(await strict.api("DELETE", `VirDomain/${nowhere}`)).toMatchObject({
      status: 500,
      json: { error: "An internal error occurred" },
    });
    expect(await mild.api("DELETE", `VirDomain/${nowhere}`)).toMatchObject({ status: 404, type: "text/html" });
  });

  it("serves an OpenAPI document that names the bodies it checks", async () => {
    await using client = await open();
    const { json } = await client.api("GET", "openapi.json");
    expect(json).toMatchObject({ info: { version: "1.3.2" } });
    const { paths } = json as { paths: Record<string, Record<string, unknown>> };
    expect(JSON.stringify(paths["/VirDomain/{uuid}"]?.["patch"])).toContain("bootDevices");
    expect(JSON.stringify(paths["/VirDomain/{uuid}"]?.["patch"])).not.toContain("latestTaskTag");
  });
});

describe("bodies", () => {
  const refused: readonly (readonly [title: string, path: string, body: unknown, member: string])[] = [
    ["create without options", "VirDomain", { dom: { name: "a" } }, "options"],
    ["create without dom", "VirDomain", { options }, "dom"],
    ["an unknown option", "VirDomain", { dom: {}, options: { machineType: "bios" } }, "machineType"],
    [
      "a keyword that does not exist",
      "VirDomain",
      { dom: {}, options: { machineTypeKeyword: "efi" } },
      "machineTypeKeyword",
    ],
    ["an unknown member of dom", "VirDomain", { dom: { vcpus: 1 }, options }, "vcpus"],
    ["a read-only member of dom", "VirDomain", { dom: { uuid: nowhere }, options }, "uuid"],
    ["labels before 9.7", "VirDomain", { dom: { labels: {} }, options }, "labels"],
    ["memory that is not a number", "VirDomain", { dom: { mem: "4 GiB" }, options }, "mem"],
    ["a disk without capacity", "VirDomain", { dom: { blockDevs: [{ type: "NVRAM" }] }, options }, "capacity"],
    [
      "a disk with a description",
      "VirDomain",
      { dom: { blockDevs: [{ type: "NVRAM", capacity: 0, description: "x" }] }, options },
      "description",
    ],
    [
      "a disk that names its VM inside a create",
      "VirDomain",
      { dom: { blockDevs: [{ type: "NVRAM", capacity: 0, virDomainUUID: nowhere }] }, options },
      "virDomainUUID",
    ],
    ["a VLAN beyond 4094", "VirDomain", { dom: { netDevs: [{ type: "VIRTIO", vlan: 4095 }] }, options }, "vlan"],
    ["an action that is no list", "VirDomain/action", { virDomainUUID: nowhere, actionType: "START" }, "list"],
    [
      "an action that does not exist",
      "VirDomain/action",
      [{ virDomainUUID: nowhere, actionType: "FORCE_STOP" }],
      "actionType",
    ],
    ["a disk of no VM", "VirDomainBlockDevice", { type: "VIRTIO_DISK", capacity: 1 }, "virDomainUUID"],
    ["an ISO without its ending", "ISO", { name: "x.img", size: 1, readyForInsert: false }, "name"],
    ["an ISO without readyForInsert", "ISO", { name: "x.iso", size: 1 }, "readyForInsert"],
  ];

  it.each(refused)("refuses %s and names the member", async (_title, path, body, member) => {
    await using client = await open();
    const answer = await client.api("POST", path, body);
    expect(answer.status).toBe(400);
    expect((answer.json as { error: string }).error).toContain(member);
  });

  it.each(["uuid", "machineTypeKeyword", "blockDevs", "netDevs", "state", "created", "latestTaskTag", "labels"])(
    "refuses %s in a PATCH of a VM",
    async (member) => {
      await using client = await open();
      const uuid = await client.done("POST", "VirDomain", { dom: { name: "a" }, options });
      const answer = await client.api("PATCH", `VirDomain/${uuid}`, { [member]: "x" });
      expect(answer.status).toBe(400);
      expect(answer.text).toContain(member);
    },
  );

  it("takes an empty PATCH and changes nothing", async () => {
    await using client = await open();
    const uuid = await client.done("POST", "VirDomain", { dom: { name: "a", tags: "x,y" }, options });
    await client.done("PATCH", `VirDomain/${uuid}`, {});
    expect(await client.vm(uuid)).toMatchObject({ name: "a", tags: "x,y" });
  });

  it("drops unknown members of a template without a word", async () => {
    await using client = await open();
    const image = await client.image("x.img", Buffer.alloc(100_000));
    const uuid = await client.bootableVm();
    const body = { template: { virDomainUUID: uuid, type: "VIRTIO_DISK", capactiy: 2 ** 30 } };
    const disk = await client.done("POST", `VirtualDisk/${image}/attach`, body);
    const made = (await client.vm(uuid)).blockDevs.find((device) => device.uuid === disk);
    expect(made?.capacity).toBe(2 ** 20);
    expect((await client.api("POST", `VirtualDisk/${image}/attach`, { ...body, tempalte: {} })).status).toBe(400);
  });

  it("ignores read-only members of a create when told to", async () => {
    await using client = await open({ ignoreReadOnlyInCreate: true });
    const uuid = await client.done("POST", "VirDomain", { dom: { name: "a", uuid: nowhere }, options });
    expect(uuid).not.toBe(nowhere);
  });

  it("refuses boot devices of another VM", async () => {
    await using client = await open();
    const uuid = await client.bootableVm();
    expect((await client.api("PATCH", `VirDomain/${uuid}`, { bootDevices: [nowhere] })).status).toBe(400);
  });

  it("refuses text that is not JSON", async () => {
    await using client = await open();
    expect((await client.call("POST", "/rest/v1/VirDomain", Buffer.from("{"))).status).toBe(400);
  });
});

describe("version 9.7", () => {
  it("knows labels, replaces the whole map, and answers 400 as plain text", async () => {
    await using client = await open({ icosVersion: "9.7.4.1" });
    const uuid = await client.done("POST", "VirDomain", { dom: { name: "a" }, options });
    await client.done("PATCH", `VirDomain/${uuid}`, { labels: { one: { value: "MQ==" } } });
    await client.done("PATCH", `VirDomain/${uuid}`, { labels: { two: { value: "Mg==" } } });
    expect(await client.vm(uuid)).toMatchObject({ labels: { two: { value: "Mg==" } }, runnable: true });
    expect((await client.vm(uuid))["labels"]).not.toHaveProperty("one");
    const bad = await client.api("PATCH", `VirDomain/${uuid}`, { labels: { "a b": { value: "MQ==" } } });
    expect(bad).toMatchObject({ status: 400, type: "text/plain" });
  });

  it("does not run a VM that was declared not runnable", async () => {
    await using client = await open({ icosVersion: "9.7.4.1" });
    const uuid = await client.bootableVm();
    await client.done("PATCH", `VirDomain/${uuid}`, { runnable: false });
    await client.failing("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "START" }]);
  });
});

describe("credentials", () => {
  it("answers 401 to wrong ones and 503 to none", async () => {
    const simulator = await startHypercoreSimulator({ username: "gitops", password: "pa:ss" });
    await using right = new TestClient(simulator, basic("gitops", "pa:ss"));
    const wrong = new TestClient(simulator, basic("gitops", "pass"));
    const none = new TestClient(simulator, "");
    expect((await right.api("GET", "ping")).status).toBe(200);
    expect((await wrong.api("GET", "ping")).status).toBe(401);
    expect(await none.api("GET", "ping")).toMatchObject({ status: 503, json: { error: "EInvalidSession" } });
    expect((await none.api("GET", "openapi.json")).status).toBe(503);
  });

  it("opens a session that only its own node honours, until it is closed", async () => {
    const simulator = await startHypercoreSimulator({ nodes: 2, sessionLimit: 1 });
    await using client = new TestClient(simulator, "");
    const login = { username: "admin", password: "admin", useOIDC: false };
    const { json } = await client.api("POST", "login", login);
    const headers = { cookie: `sessionID=${(json as { sessionID: string }).sessionID}` };
    expect((await client.call("GET", "/rest/v1/ping", undefined, { headers })).status).toBe(200);
    expect((await client.call("GET", "/rest/v1/ping", undefined, { headers, node: 1 })).status).toBe(503);
    expect((await client.api("POST", "login", login)).status).toBe(403);
    expect((await client.call("POST", "/rest/v1/logout", undefined, { headers })).status).toBe(200);
    expect((await client.call("GET", "/rest/v1/ping", undefined, { headers })).status).toBe(503);
    expect((await client.api("POST", "login", { ...login, password: "x" })).status).toBe(401);
    expect((await client.api("POST", "login", { ...login, remember: true })).status).toBe(400);
  });
});

it("lists 10,000 VMs in one answer", async () => {
  await using client = await open({ taskMs: 0 });
  const dom = { name: "many", mem: 2 ** 30, numVCPU: 1, netDevs: [{ type: "VIRTIO" }] };
  for (let batch = 0; batch < 100; batch += 1) {
    await Promise.all(Array.from({ length: 100 }, () => client.change("POST", "VirDomain", { dom, options })));
  }
  const vms = await until(async () => {
    const all = (await client.api("GET", "VirDomain")).json as Vm[];
    return all.length === 10_000 && all.every((vm) => vm.netDevs.length === 1) ? all : undefined;
  }, 25_000);
  expect(new Set(vms.map((vm) => vm.uuid)).size).toBe(10_000);
  expect(new Set(vms.map((vm) => vm.netDevs[0]?.macAddress)).size).toBe(10_000);
});
