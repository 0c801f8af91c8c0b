import { describe, expect, it } from "vitest";
import type { CallReport } from "../../src/simulator/hypercore/calls.ts";
import { open, type TestClient, until } from "./hypercore-support.ts";

const body = { dom: { name: "fault" }, options: { attachGuestToolsISO: false } };
const create = { method: "POST", path: "/VirDomain$" };

async function vmCount(client: TestClient): Promise<number> {
  return ((await client.api("GET", "VirDomain")).json as unknown[]).length;
}

describe("faults on the wire", () => {
  it("drop a call before it does anything", async () => {
    await using client = await open();
    await client.control("POST", "faults", { match: create, kind: "drop-before", times: 1 });
    await expect(client.api("POST", "VirDomain", body)).rejects.toThrow();
    await client.done("POST", "VirDomain", body);
    expect(await vmCount(client)).toBe(1);
  });

  it("drop the answer after the work was done", async () => {
    await using client = await open();
    await client.control("POST", "faults", { match: create, kind: "drop-after", times: 1 });
    await expect(client.api("POST", "VirDomain", body)).rejects.toThrow();
    await until(async () => ((await vmCount(client)) === 1 ? true : undefined));
  });

  it("break off an upload, whose record stays behind", async () => {
    await using client = await open();
    await client.control("POST", "faults", { match: { method: "PUT" }, kind: "drop-upload", times: 1 });
    const path = "VirtualDisk/upload?filename=a.img&filesize=3000000";
    await expect(client.api("PUT", path, Buffer.alloc(3_000_000))).rejects.toThrow();
    expect((await client.api("GET", "VirtualDisk")).json).toMatchObject([{ name: "uploading-a.img" }]);
    await client.done("PUT", path, Buffer.alloc(3_000_000));
    expect((await client.api("GET", "VirtualDisk")).json).toHaveLength(2);
  });

  it("cut an answer in its middle", async () => {
    await using client = await open();
    await client.control("POST", "faults", { match: { path: "/Node" }, kind: "truncate", times: 1 });
    await expect(client.api("GET", "Node")).rejects.toThrow();
    expect((await client.api("GET", "Node")).status).toBe(200);
  });

  it("hang for one call and are late for another", async () => {
    await using client = await open();
    await client.control("POST", "faults", [
      { match: { path: "/Node" }, kind: "hang" },
      { match: { path: "/Cluster" }, kind: "latency", ms: 60 },
    ]);
    const options = { signal: AbortSignal.timeout(100) };
    await expect(client.call("GET", "/rest/v1/Node", undefined, options)).rejects.toMatchObject({
      name: "TimeoutError",
    });
    const before = performance.now();
    expect((await client.api("GET", "Cluster")).status).toBe(200);
    expect(performance.now() - before).toBeGreaterThan(50);
  });

  it.each([
    ["error500", 500, "application/json"],
    ["html502", 502, "text/html"],
    ["unauthorized", 401, "application/json"],
    ["invalid-session", 503, "application/json"],
  ])("answer %s with %i", async (kind, status, type) => {
    await using client = await open();
    await client.control("POST", "faults", { match: create, kind });
    expect(await client.api("POST", "VirDomain", body)).toMatchObject({ status, type });
    expect((await client.api("GET", "VirDomain")).json).toEqual([]);
  });

  it("strike one node only, with a probability, until they are taken back", async () => {
    await using client = await open({ nodes: 2 });
    await client.control("POST", "faults", { match: { node: 1 }, kind: "refuse-connection" });
    expect((await client.api("GET", "ping")).status).toBe(200);
    await expect(client.call("GET", "/rest/v1/ping", undefined, { node: 1 })).rejects.toThrow();
    await client.control("DELETE", "faults");
    expect((await client.call("GET", "/rest/v1/ping", undefined, { node: 1 })).status).toBe(200);
    await client.control("POST", "faults", { kind: "error500", probability: 0.5 });
    const statuses = new Set<number>();
    for (let round = 0; round < 40; round += 1) statuses.add((await client.api("GET", "ping")).status);
    expect(statuses).toEqual(new Set([200, 500]));
    expect((await client.control("GET", "faults")).json).toMatchObject([{ kind: "error500", probability: 0.5 }]);
  });

  it("are refused when they make no sense", async () => {
    await using client = await open();
    expect((await client.control("POST", "faults", { kind: "earthquake" })).status).toBe(400);
    expect((await client.control("POST", "faults", "drop")).status).toBe(400);
    expect((await client.control("POST", "nothing", {})).status).toBe(404);
  });
});

describe("faults of tasks", () => {
  it("fail without effect", async () => {
    await using client = await open();
    await client.control("POST", "faults", { match: create, kind: "fail-task", times: 1, message: "No luck with %@" });
    const task = await client.failing("POST", "VirDomain", body);
    expect(task).toMatchObject({ formattedMessage: "No luck with %@", messageParameters: ["vm-create"] });
    expect(await vmCount(client)).toBe(0);
  });

  it("fail although the effect is there", async () => {
    await using client = await open();
    await client.control("POST", "faults", { match: create, kind: "fail-task-done", times: 1 });
    await client.failing("POST", "VirDomain", body);
    expect(await vmCount(client)).toBe(1);
  });

  it("forget the task", async () => {
    await using client = await open();
    await client.control("POST", "faults", { match: create, kind: "forget-task", times: 1 });
    const { taskTag } = await client.change("POST", "VirDomain", body);
    expect((await client.waitTask(taskTag)).state).toBe("UNINITIALIZED");
    expect(await vmCount(client)).toBe(1);
  });

  it("make one slow, which keeps its VM busy", async () => {
    await using client = await open();
    const uuid = await client.bootableVm();
    await client.control("POST", "faults", { match: { method: "PATCH" }, kind: "slow-task", times: 1, ms: 500 });
    const { taskTag } = await client.change("PATCH", `VirDomain/${uuid}`, { name: "slow" });
    const seen = await until(async () => {
      const [task] = (await client.api("GET", `TaskTag/${taskTag}`)).json as { state: string }[];
      return task?.state === "RUNNING" ? task : undefined;
    });
    expect(seen.state).toBe("RUNNING");
    expect((await client.api("PATCH", `VirDomain/${uuid}`, {})).status).toBe(500);
    expect((await client.waitTask(taskTag)).state).toBe("COMPLETE");
  });
});

describe("tasks", () => {
  it("that were never given out are unknown, and those given out long ago UNINITIALIZED", async () => {
    await using client = await open({ rememberedTasks: 2 });
    for (let round = 0; round < 4; round += 1) await client.done("POST", "VirDomain", body);
    expect((await client.api("GET", "TaskTag/1")).json).toMatchObject([{ taskTag: "1", state: "UNINITIALIZED" }]);
    expect((await client.api("GET", "TaskTag/4")).json).toMatchObject([{ state: "COMPLETE", progressPercent: 100 }]);
    expect((await client.api("GET", "TaskTag/999")).json).toEqual([]);
  });
});

it("counts calls by pattern and remembers the last ones without bodies", async () => {
  await using client = await open({ rememberedCalls: 5 });
  const uuid = await client.done("POST", "VirDomain", { ...body, dom: { description: "planted-secret" } });
  await client.control("DELETE", "calls");
  for (let round = 0; round < 12; round += 1) await client.api("GET", `VirDomain/${uuid}`);
  await client.done("PATCH", `VirDomain/${uuid}`, { description: "planted-secret" });
  const { json, text } = await client.control("GET", "calls");
  const report = json as { counts: Record<string, number>; last: { status: number }[]; peakTasks: number };
  expect(report.counts["GET /rest/v1/VirDomain/{uuid}"]).toBe(12);
  expect(report.counts["PATCH /rest/v1/VirDomain/{uuid}"]).toBe(1);
  expect(report.counts["GET /rest/v1/TaskTag/{tag}"]).toBeGreaterThan(0);
  expect(report.last).toHaveLength(5);
  expect(report.last.every(({ status }) => status === 200)).toBe(true);
  expect(report.peakTasks).toBe(1);
  expect(text).not.toContain("planted-secret");
});

it("tells changes that met a task from those a fault refused", async () => {
  await using client = await open({ taskMs: 400 });
  const uuid = await client.done("POST", "VirDomain", { ...body, dom: { netDevs: [{ type: "VIRTIO" }] } });
  const [vm] = (await client.api("GET", `VirDomain/${uuid}`)).json as { netDevs: { uuid: string }[] }[];
  await client.control("DELETE", "calls");
  await client.control("POST", "faults", { match: { method: "PATCH" }, kind: "error500", times: 1 });
  const change = async (): Promise<number> => (await client.api("PATCH", `VirDomain/${uuid}`, { name: "b" })).status;
  expect([await change(), await change(), await change()]).toEqual([500, 200, 500]);
  await client.api("DELETE", `VirDomainNetDevice/${vm?.netDevs[0]?.uuid}`);
  const report = (await client.control("GET", "calls")).json as CallReport;
  expect(report.troubled).toBe(1);
  const target = { object: "virdomain", sender: "basic", holder: "basic" };
  expect(report.busy).toMatchObject([
    { method: "PATCH", status: 500, busy: target },
    { method: "DELETE", status: 500, busy: target },
  ]);
});
