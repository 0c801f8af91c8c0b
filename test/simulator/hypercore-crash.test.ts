import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { appendFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { HypercoreSimulatorOptions } from "../../src/simulator/hypercore/simulator.ts";
import { type Task, TestClient, until, type Vm } from "./hypercore-support.ts";

const script = fileURLToPath(new URL("hypercore-process.ts", import.meta.url));
const options = { attachGuestToolsISO: false };
let folder = "";
let children: ChildProcess[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hypercore-crash-"));
  children = [];
});

afterEach(() => {
  for (const child of children) if (child.exitCode === null) child.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

interface Running {
  readonly client: TestClient;
  readonly child: ChildProcess;
}

async function start(extra: HypercoreSimulatorOptions = {}): Promise<Running> {
  const settings = { stateFile: join(folder, "state.jsonl"), taskMs: 8, seed: 3, ...extra };
  const child = spawn(process.execPath, ["--import", "tsx", script, JSON.stringify(settings)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  children.push(child);
  const [line] = (await once(createInterface(child.stdout), "line")) as [string];
  const { ready, addresses } = JSON.parse(line) as { ready: boolean; addresses: string[] };
  expect(ready).toBe(true);
  return { child, client: new TestClient({ addresses, close: () => Promise.resolve() }) };
}

async function kill({ child, client }: Running, signal: NodeJS.Signals): Promise<number | null> {
  child.kill(signal);
  const [code] = (await once(child, "exit")) as [number | null];
  await client[Symbol.asyncDispose]();
  return code;
}

describe("a killed cluster", () => {
  it("has lost no change that it answered", async () => {
    const first = await start();
    const uuid = await first.client.runningVm({ name: "kept", tags: "a,b", netDevs: [{ type: "VIRTIO", vlan: 9 }] });
    const image = await first.client.image("a.img", Buffer.alloc(100_000));
    const gone = await first.client.image("b.img", Buffer.alloc(100_000));
    const before = await first.client.vm(uuid);
    await first.client.api("DELETE", `VirtualDisk/${gone}`);
    await kill(first, "SIGKILL");

    const second = await start();
    expect(await second.client.vm(uuid)).toEqual(before);
    expect((await second.client.api("GET", "VirtualDisk")).json).toMatchObject([{ uuid: image, name: "a.img" }]);
    const template = { virDomainUUID: uuid, type: "VIRTIO_DISK", slot: 5 };
    await second.client.done("POST", `VirtualDisk/${image}/attach`, { template });
    expect((await second.client.vm(uuid)).blockDevs.map(({ slot }) => slot)).toEqual([0, 5]);
  });

  it("goes on with an ACPI shutdown that was under way", async () => {
    const first = await start({ guestShutdownMs: 600 });
    const uuid = await first.client.runningVm();
    await first.client.act(uuid, "SHUTDOWN");
    await kill(first, "SIGKILL");
    const second = await start({ guestShutdownMs: 60 });
    await second.client.waitState(uuid, "SHUTOFF");
  });

  it.each([
    ["complete", "COMPLETE", 1],
    ["fail", "ERROR", 0],
    ["uninitialized", "UNINITIALIZED", 0],
  ] as const)("settles tasks under way: %s", async (afterCrash, state, vms) => {
    const first = await start({ taskMs: 60_000 });
    const { taskTag } = await first.client.change("POST", "VirDomain", { dom: { name: "x" }, options });
    await kill(first, "SIGKILL");
    const { client } = await start({ afterCrash });
    expect(await client.waitTask(taskTag)).toMatchObject({ state });
    expect((await client.api("GET", "VirDomain")).json).toHaveLength(vms);
  });

  it("has by default done some of them and not others, whole ones only", async () => {
    const first = await start({ taskMs: 2000 });
    const dom = { name: "x", netDevs: [{ type: "VIRTIO" }] };
    const started = await Promise.all(
      Array.from({ length: 40 }, () => first.client.change("POST", "VirDomain", { dom, options })),
    );
    await until(async () => ((await first.client.api("GET", "VirDomain")).text === "[]" ? undefined : true));
    await kill(first, "SIGKILL");
    const { client } = await start();
    const vms = (await client.api("GET", "VirDomain")).json as Vm[];
    expect(vms.length).toBeGreaterThan(5);
    expect(vms.length).toBeLessThan(35);
    expect(vms.every((vm) => vm.netDevs.length === 1)).toBe(true);
    const tasks: Task[] = await Promise.all(started.map(({ taskTag }) => client.waitTask(taskTag)));
    expect(new Set(tasks.map(({ state }) => state))).toEqual(new Set(["COMPLETE", "ERROR", "UNINITIALIZED"]));
    const made = await client.done("POST", "VirDomain", { dom, options });
    expect(started.map(({ createdUUID }) => createdUUID)).not.toContain(made);
  });

  it("forgets a line that was torn by the kill", async () => {
    const first = await start();
    const uuid = await first.client.done("POST", "VirDomain", { dom: { name: "whole" }, options });
    await kill(first, "SIGKILL");
    appendFileSync(join(folder, "state.jsonl"), '[["virdomain","torn');
    const { client } = await start();
    expect((await client.vm(uuid)).name).toBe("whole");
    expect((await client.api("GET", "VirDomain")).json).toHaveLength(1);
  });
});

it("stops on SIGTERM without an error and keeps no password in its state", async () => {
  const running = await start({ password: "planted-secret" });
  expect(await kill(running, "SIGTERM")).toBe(0);
  expect(readFileSync(join(folder, "state.jsonl"), "utf8")).not.toContain("planted-secret");
});
