import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { open, type TestClient, until } from "./hypercore-support.ts";

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "hypercore-test-"));
  folders.push(folder);
  return folder;
}

async function versionOn(client: TestClient, node: number): Promise<unknown> {
  const { json } = await client.call("GET", "/rest/v1/Cluster", undefined, { node, signal: AbortSignal.timeout(200) });
  return (json as { icosVersion: string }[])[0]?.icosVersion;
}

function updateStatus(client: TestClient, node = 0): ReturnType<TestClient["call"]> {
  return client.call("GET", "/update/update_status.json", undefined, {
    node,
    headers: { authorization: "none" },
    signal: AbortSignal.timeout(200),
  });
}

describe("nodes", () => {
  it("share one state, each on an address of its own", async () => {
    await using client = await open({ nodes: 3, clusterName: "store-1" });
    expect(new Set(client.simulator.addresses).size).toBe(3);
    const uuid = await client.bootableVm();
    const elsewhere = await client.call("GET", `/rest/v1/VirDomain/${uuid}`, undefined, { node: 2 });
    expect(elsewhere.json).toMatchObject([{ uuid }]);
    expect((await client.api("GET", "Cluster")).json).toMatchObject([
      { clusterName: "store-1", icosVersion: "9.6.27.225000" },
    ]);
    const nodes = (await client.api("GET", "Node")).json as { lanIP: string; networkStatus: string }[];
    expect(nodes).toHaveLength(3);
    expect(nodes[0]).toMatchObject({ lanIP: "127.0.0.1", networkStatus: "ONLINE" });
  });

  it("show their ports when told to", async () => {
    await using client = await open({ lanIpWithPort: true });
    const [node] = (await client.api("GET", "Node")).json as { lanIP: string }[];
    expect(`http://${node?.lanIP}`).toBe(client.simulator.addresses[0]);
  });

  it("count the memory of what runs on them", async () => {
    await using client = await open({ nodeMemoryBytes: 2 ** 34 });
    await client.runningVm({ mem: 2 ** 31 });
    expect((await client.api("GET", "Node")).json).toMatchObject([{ memSize: 2 ** 34, totalMemUsageBytes: 2 ** 31 }]);
  });

  it("go down, hang or answer 502 one by one, and still show ONLINE", async () => {
    await using client = await open({ nodes: 3 });
    await client.control("POST", "nodes", { node: 0, state: "down" });
    await client.control("POST", "nodes", { node: 1, state: "bad-gateway" });
    await expect(client.api("GET", "ping")).rejects.toThrow();
    const gateway = await client.call("GET", "/rest/v1/ping", undefined, { node: 1 });
    expect(gateway).toMatchObject({ status: 502, type: "text/html" });
    const nodes = (await client.call("GET", "/rest/v1/Node", undefined, { node: 2 })).json;
    expect((nodes as { networkStatus: string }[])[0]?.networkStatus).toBe("ONLINE");
    await client.control("POST", "nodes", { node: 0, state: "hang" });
    await expect(
      client.call("GET", "/rest/v1/ping", undefined, { signal: AbortSignal.timeout(100) }),
    ).rejects.toMatchObject({ name: "TimeoutError" });
    await client.control("POST", "nodes", { state: "up" });
    expect((await client.api("GET", "ping")).status).toBe(200);
  });
});

describe("updates", () => {
  it("show 404 before the first one, without asking for credentials", async () => {
    await using client = await open();
    expect(await updateStatus(client)).toMatchObject({ status: 404, type: "text/html" });
  });

  it.each([
    ["preparing", { prepareStatus: { state: "EXECUTING" } }, undefined],
    ["applying", { prepareStatus: { state: "COMPLETE" } }, "EXECUTING"],
    ["complete", { prepareStatus: { state: "COMPLETE" } }, "COMPLETE"],
  ])("tell that they are %s", async (phase, expected, masterState) => {
    await using client = await open();
    await client.control("POST", "update", { phase });
    const { json } = await until(async () => {
      const answer = await updateStatus(client);
      return answer.status === 200 ? answer : undefined;
    });
    expect(json).toMatchObject(expected);
    expect((json as { updateStatus: { masterState?: string } }).updateStatus.masterState).toBe(masterState);
  });

  it("take the nodes away one after another and bring them back with the new version", async () => {
    await using client = await open({ nodes: 2 });
    await client.control("POST", "update", { version: "9.7.4.1", prepareMs: 1, nodeMs: 400 });
    await until(async () => {
      const version = await versionOn(client, 0).catch(() => undefined);
      return version === "9.7.4.1" ? version : undefined;
    });
    const status = await until(async () => {
      const answer = await updateStatus(client).catch(() => undefined);
      const { updateStatus: update } = (answer?.json ?? {}) as { updateStatus?: { masterState?: string } };
      return update?.masterState === "COMPLETE" ? update : undefined;
    });
    expect(status).toEqual({ masterState: "COMPLETE" });
    expect(await versionOn(client, 1)).toBe("9.7.4.1");
  });
});

describe("TLS", () => {
  it("shows a certificate per node that the CA file vouches for", async () => {
    const stateFile = join(newFolder(), "state.jsonl");
    await using client = await open({ tls: true, nodes: 2, stateFile });
    expect(client.simulator.certificateFile).toBe(`${stateFile}.pem`);
    expect(statSync(`${stateFile}.pem.key`).mode & 0o077).toBe(0);
    expect((await client.api("GET", "ping")).status).toBe(200);
    expect((await client.call("GET", "/rest/v1/ping", undefined, { node: 1 })).status).toBe(200);
    await expect(fetch(`${client.simulator.addresses[0]}/rest/v1/ping`)).rejects.toThrow();
  });

  it("keeps its certificates over a restart", async () => {
    const stateFile = join(newFolder(), "state.jsonl");
    const first = await open({ tls: true, stateFile });
    await using early = first;
    const mtime = statSync(`${stateFile}.pem`).mtimeMs;
    await first.simulator.close();
    await using late = await open({ tls: true, stateFile });
    expect((await late.api("GET", "ping")).status).toBe(200);
    expect(statSync(`${stateFile}.pem`).mtimeMs).toBe(mtime);
    void early;
  });
});

it("says so when its port is taken, and lets go of the state file", async () => {
  await using first = await open();
  const port = Number(new URL(first.simulator.addresses[0] ?? "").port);
  await expect(open({ port })).rejects.toThrow("EADDRINUSE");
});

it("makes the same identities again from the same seed", async () => {
  await using one = await open({ seed: 42 });
  await using two = await open({ seed: 42 });
  expect(await one.bootableVm()).toBe(await two.bootableVm());
});
