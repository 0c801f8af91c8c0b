import { describe, expect, it } from "vitest";
import { open, until } from "./hypercore-support.ts";

const uefi = { attachGuestToolsISO: false, machineTypeKeyword: "uefi" };

function start(uuid: string): readonly [method: "POST", path: string, body: unknown] {
  return ["POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "START" }]];
}

describe("START", () => {
  it("ends before the VM is RUNNING, and fills in node, disposition and preferred node", async () => {
    await using client = await open({ taskMsByKind: { "start-settle": 400 } });
    const uuid = await client.bootableVm();
    await client.done(...start(uuid));
    expect(await client.vm(uuid)).toMatchObject({ state: "SHUTOFF", uiState: "STARTING" });
    const vm = await client.waitState(uuid, "RUNNING");
    expect(vm).toMatchObject({ desiredDisposition: "RUNNING", uiState: "RUNNING" });
    expect(vm["nodeUUID"]).not.toBe("");
    expect(vm["affinityStrategy"]).toMatchObject({ preferredNodeUUID: vm["nodeUUID"] });
  });

  it("is accepted on a running VM and does nothing", async () => {
    await using client = await open();
    const uuid = await client.runningVm();
    await client.done(...start(uuid));
    expect((await client.vm(uuid)).state).toBe("RUNNING");
  });

  it("fails without NVRAM on uefi, and works with it", async () => {
    await using client = await open();
    const dom = { name: "u", mem: 2 ** 30, numVCPU: 1 };
    const uuid = await client.done("POST", "VirDomain", { dom, options: uefi });
    const task = await client.failing(...start(uuid));
    expect(task).toMatchObject({ formattedMessage: "Unable to start %@: no NVRAM", messageParameters: ["u"] });
    await client.done("POST", "VirDomainBlockDevice", { virDomainUUID: uuid, type: "NVRAM", capacity: 0 });
    await client.done(...start(uuid));
    await client.waitState(uuid, "RUNNING");
  });

  it("fails without VTPM on tpm", async () => {
    await using client = await open();
    const dom = { name: "t", mem: 2 ** 30, numVCPU: 1, blockDevs: [{ type: "NVRAM", capacity: 0 }] };
    const uuid = await client.done("POST", "VirDomain", { dom, options: { machineTypeKeyword: "tpm" } });
    expect((await client.failing(...start(uuid))).formattedMessage).toContain("VTPM");
  });

  it("fails without a CPU", async () => {
    await using client = await open();
    const uuid = await client.bootableVm({ numVCPU: 0 });
    expect((await client.failing(...start(uuid))).formattedMessage).toContain("CPU");
    expect(await client.vm(uuid)).toMatchObject({ state: "SHUTOFF", uiState: "SHUTOFF" });
  });

  it("fails when no node has the memory, and spreads over nodes before that", async () => {
    await using client = await open({ nodes: 2, nodeMemoryBytes: 2 ** 30 });
    const first = await client.runningVm({ mem: 2 ** 30 });
    const second = await client.runningVm({ mem: 2 ** 30 });
    expect((await client.vm(first))["nodeUUID"]).not.toBe((await client.vm(second))["nodeUUID"]);
    const third = await client.bootableVm({ mem: 2 ** 30 });
    expect((await client.failing(...start(third))).formattedMessage).toContain("memory");
  });
});

describe("SHUTDOWN", () => {
  it("has no task, notes the wish at once, and goes through SHUTDOWN to SHUTOFF", async () => {
    await using client = await open({ guestShutdownMs: 400 });
    const uuid = await client.runningVm();
    expect((await client.act(uuid, "SHUTDOWN")).json).toEqual({ taskTag: "", createdUUID: "" });
    expect(await client.vm(uuid)).toMatchObject({ state: "RUNNING", desiredDisposition: "SHUTOFF" });
    await client.waitState(uuid, "SHUTDOWN");
    const vm = await client.waitState(uuid, "SHUTOFF");
    expect(vm).toMatchObject({ nodeUUID: "", guestAgentState: "UNAVAILABLE" });
  });

  it("is lost on a guest that is still booting", async () => {
    await using client = await open({ guestBootMs: 60_000 });
    const uuid = await client.bootableVm();
    await client.done(...start(uuid));
    await client.waitState(uuid, "RUNNING");
    await client.act(uuid, "SHUTDOWN");
    const { json } = await client.control("GET", "state");
    const { guests } = json as { guests: Record<string, { pending?: unknown }> };
    expect(guests[uuid]?.pending).toBeUndefined();
    expect(await client.vm(uuid)).toMatchObject({ state: "RUNNING", desiredDisposition: "SHUTOFF" });
  });

  it.each([
    ["a tag", { tags: "web,sim-ignore-acpi" }],
    ["its name", { name: "deaf-1" }],
  ])("is ignored by a VM chosen by %s, which STOP ends", async (_how, dom) => {
    await using client = await open({ ignoreShutdown: "^deaf" });
    const uuid = await client.runningVm(dom);
    await client.act(uuid, "SHUTDOWN");
    const { json } = await client.control("GET", "state");
    expect((json as { guests: Record<string, object> }).guests[uuid]).not.toHaveProperty("pending");
    await client.done("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "STOP" }]);
    expect((await client.vm(uuid)).state).toBe("SHUTOFF");
  });

  it("is ignored after a word of the control API", async () => {
    await using client = await open();
    const uuid = await client.runningVm();
    expect((await client.control("POST", "virdomains", { name: "^web$", ignoresShutdown: true })).json).toEqual([uuid]);
    await client.act(uuid, "SHUTDOWN");
    await client.control("POST", "virdomains", { name: "^web$", ignoresShutdown: false });
    expect((await client.vm(uuid)).state).toBe("RUNNING");
    await client.act(uuid, "SHUTDOWN");
    await client.waitState(uuid, "SHUTOFF");
  });
});

describe("states", () => {
  it.each(["SHUTDOWN", "REBOOT", "RESET", "PAUSE", "NMI"])("refuses %s on a VM that is off", async (action) => {
    await using client = await open();
    const uuid = await client.bootableVm();
    expect(await client.act(uuid, action)).toMatchObject({
      status: 500,
      json: { error: "An internal error occurred" },
    });
  });

  it("accepts STOP on a VM that is off", async () => {
    await using client = await open();
    const uuid = await client.bootableVm();
    await client.done("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "STOP" }]);
  });

  it("pauses, and starts again from there", async () => {
    await using client = await open();
    const uuid = await client.runningVm();
    await client.done("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "PAUSE" }]);
    expect(await client.vm(uuid)).toMatchObject({ state: "PAUSED", desiredDisposition: "PAUSED" });
    expect((await client.act(uuid, "SHUTDOWN")).status).toBe(500);
    await client.done(...start(uuid));
    expect((await client.vm(uuid)).state).toBe("RUNNING");
  });

  it("ends a STOP that meets a finishing guest in ERROR, with the VM off", async () => {
    await using client = await open({ guestShutdownMs: 300, taskMsByKind: { "stop-race": 600 } });
    const uuid = await client.runningVm();
    await client.act(uuid, "SHUTDOWN");
    await client.failing("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "STOP" }]);
    expect((await client.vm(uuid)).state).toBe("SHUTOFF");
  });

  it("starts a VM that has crashed", async () => {
    await using client = await open();
    const uuid = await client.runningVm();
    await client.control("POST", "virdomains", { name: "^web$", power: "CRASHED" });
    expect((await client.vm(uuid)).state).toBe("CRASHED");
    await client.done(...start(uuid));
    await client.waitState(uuid, "RUNNING");
  });

  it("moves a running VM to another node, and refuses the old migrate call", async () => {
    await using client = await open({ nodes: 2 });
    const uuid = await client.runningVm();
    const nodes = (await client.api("GET", "Node")).json as { uuid: string }[];
    const other = nodes.find((node) => node.uuid !== undefined && node.uuid !== nodes[0]?.uuid)?.uuid;
    const action = { virDomainUUID: uuid, actionType: "LIVEMIGRATE", nodeUUID: other };
    await client.done("POST", "VirDomain/action", [action]);
    expect(await client.vm(uuid)).toMatchObject({ nodeUUID: other, uiState: "RUNNING" });
    expect((await client.act(uuid, "LIVEMIGRATE")).status).toBe(400);
    expect((await client.api("POST", "VirDomain/migrate", {})).status).toBe(500);
  });

  it("refuses to delete a running VM, or fails the task when told so", async () => {
    await using refusing = await open();
    const uuid = await refusing.runningVm();
    expect((await refusing.api("DELETE", `VirDomain/${uuid}`)).status).toBe(500);
    await using failing = await open({ deleteRunning: "fail-task" });
    const other = await failing.runningVm();
    await failing.failing("DELETE", `VirDomain/${other}`);
    expect((await failing.vm(other)).state).toBe("RUNNING");
  });

  it.each([{ mem: 2 ** 31 }, { numVCPU: 4 }, { bootDevices: [] }, { machineType: "scale-7.2" }])(
    "refuses %o while the VM runs, unless lenient",
    async (changes) => {
      await using strict = await open();
      const uuid = await strict.runningVm();
      expect((await strict.api("PATCH", `VirDomain/${uuid}`, changes)).status).toBe(500);
      await using lenient = await open({ lenientWhileRunning: true });
      await lenient.done("PATCH", `VirDomain/${await lenient.runningVm()}`, changes);
    },
  );

  it("takes name, description and tags while the VM runs", async () => {
    await using client = await open();
    const uuid = await client.runningVm();
    await client.done("PATCH", `VirDomain/${uuid}`, { name: "n", description: "d", tags: "t" });
    expect(await client.vm(uuid)).toMatchObject({ name: "n", description: "d", tags: "t", state: "RUNNING" });
  });

  it("shows agent and addresses once the guest is up, and never without boot devices", async () => {
    await using client = await open({ guestAddress: "127.0.0.1" });
    const uuid = await client.runningVm({ netDevs: [{ type: "VIRTIO" }, { type: "VIRTIO", connected: false }] });
    const { netDevs } = await client.vm(uuid);
    expect(netDevs.map((nic) => nic.ipv4Addresses)).toEqual([["127.0.0.1"], []]);
    const empty = await client.done("POST", "VirDomain", {
      dom: { name: "empty", mem: 2 ** 30, numVCPU: 1 },
      options: { attachGuestToolsISO: false },
    });
    await client.done(...start(empty));
    await client.waitState(empty, "RUNNING");
    await client.act(empty, "SHUTDOWN");
    expect(await client.vm(empty)).toMatchObject({ state: "RUNNING", guestAgentState: "UNAVAILABLE" });
  });
});

it("changes one thing at a time per VM, its devices included, and others beside it", async () => {
  await using client = await open({ taskMsByKind: { "vm-patch": 500 } });
  const uuid = await client.bootableVm({ netDevs: [{ type: "VIRTIO" }] });
  const other = await client.bootableVm();
  const { blockDevs, netDevs } = await client.vm(uuid);
  const { taskTag } = await client.change("PATCH", `VirDomain/${uuid}`, { description: "first" });
  const busy = { status: 500, json: { error: "An internal error occurred" } };
  expect(await client.api("PATCH", `VirDomain/${uuid}`, { description: "second" })).toMatchObject(busy);
  expect(await client.act(uuid, "START")).toMatchObject(busy);
  expect(await client.api("DELETE", `VirDomainBlockDevice/${blockDevs[0]?.uuid}`)).toMatchObject(busy);
  expect(await client.api("PATCH", `VirDomainNetDevice/${netDevs[0]?.uuid}`, { vlan: 2 })).toMatchObject(busy);
  expect(await client.api("POST", `VirDomain/${uuid}/clone`, { template: {} })).toMatchObject(busy);
  expect((await client.vm(uuid))["latestTaskTag"]).toMatchObject({ taskTag });
  await client.done("PATCH", `VirDomain/${other}`, { description: "beside" });
  expect((await client.waitTask(taskTag)).state).toBe("COMPLETE");
  expect((await client.vm(uuid))["description"]).toBe("first");
});

it("shows a VM under construction before its devices are there", async () => {
  await using client = await open({ taskMsByKind: { "vm-create": 600 } });
  const { taskTag, createdUUID } = await client.change("POST", "VirDomain", {
    dom: { name: "young", tags: "mine", netDevs: [{ type: "VIRTIO" }] },
    options: { attachGuestToolsISO: false },
  });
  const [young] = await until(async () => {
    const found = (await client.api("GET", `VirDomain/${createdUUID}`)).json as { netDevs: unknown[] }[];
    return found.length === 1 ? found : undefined;
  });
  expect(young).toMatchObject({ tags: "mine", netDevs: [], latestTaskTag: { taskTag, state: "RUNNING" } });
  await client.waitTask(taskTag);
  expect((await client.vm(createdUUID)).netDevs).toHaveLength(1);
});
