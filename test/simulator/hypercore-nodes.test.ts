import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { hostOfNode, resolveSettings } from "../../src/simulator/hypercore/options.ts";
import { open, type TestClient } from "./hypercore-support.ts";

interface Node {
  readonly lanIP: string;
  readonly capacity: number;
  readonly drives: readonly {
    readonly uuid: string;
    readonly slot: number;
    readonly capacityBytes: number;
    readonly usedBytes: number;
    readonly isHealthy: boolean;
  }[];
}

const folders: string[] = [];

afterEach(() => {
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function nodesOf(client: TestClient): Promise<readonly Node[]> {
  return (await client.api("GET", "Node")).json as Node[];
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}

describe("nodes with addresses of their own", () => {
  it("share one port, so that lanIP is enough to reach each of them", async () => {
    await using client = await open({ nodes: 3, distinctHosts: true });
    const [first = ""] = client.simulator.addresses;
    const { port } = new URL(first);
    const lanIPs = (await nodesOf(client)).map(({ lanIP }) => lanIP);
    expect(lanIPs).toEqual(["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    expect(client.simulator.addresses).toEqual(lanIPs.map((lanIP) => `http://${lanIP}:${port}`));
    const uuid = await client.bootableVm();
    const seen = await client.call("GET", `/rest/v1/VirDomain/${uuid}`, undefined, { node: 2 });
    expect(seen.json).toMatchObject([{ uuid }]);
    expect((await client.call("GET", "/_simulator/calls", undefined, { node: 1 })).status).toBe(200);
  });

  it("show certificates that name their addresses, also when they had others before", async () => {
    const folder = mkdtempSync(join(tmpdir(), "hypercore-test-"));
    folders.push(folder);
    const tls = { tls: true, nodes: 2, certificateFile: join(folder, "nodes.pem") };
    await (await open(tls))[Symbol.asyncDispose]();
    await using client = await open({ ...tls, distinctHosts: true });
    expect((await client.call("GET", "/rest/v1/ping", undefined, { node: 1 })).status).toBe(200);
  });

  it("are counted up from the given address, and never beyond the loopback network", () => {
    const settings = resolveSettings({ distinctHosts: true, host: "127.0.1.250" });
    expect(hostOfNode(settings, 3)).toBe("127.0.1.253");
    expect(() => hostOfNode(settings, 5)).toThrow("127.0.0.0/8");
    expect(() => hostOfNode({ ...settings, host: "10.0.0.1" }, 1)).toThrow("127.0.0.0/8");
  });
});

describe("the storage of nodes", () => {
  it("is not told unless asked for, as the documents promise none of it", async () => {
    await using client = await open({ storageBytes: 2 ** 40 });
    expect((await nodesOf(client))[0]).not.toHaveProperty("drives");
    expect((await nodesOf(client))[0]).not.toHaveProperty("capacity");
  });

  it("adds up to the cluster's, drive by drive, used as much as VMs and images take", async () => {
    const storageBytes = 2 ** 40 + 7;
    await using client = await open({ nodes: 3, drives: true, storageBytes });
    await client.bootableVm();
    const nodes = await nodesOf(client);
    expect(sum(nodes.map(({ capacity }) => capacity))).toBe(storageBytes);
    const drives = nodes.flatMap((node) => node.drives);
    expect(sum(drives.map(({ capacityBytes }) => capacityBytes))).toBe(storageBytes);
    expect(sum(drives.map(({ usedBytes }) => usedBytes))).toBe(2 ** 30);
    expect(new Set(drives.map(({ uuid }) => uuid)).size).toBe(12);
    expect(nodes[2]?.drives).toMatchObject([
      { slot: 0, type: "SSD", isHealthy: true },
      { slot: 1, type: "HDD" },
      { slot: 2, type: "HDD" },
      { slot: 3, type: "HDD" },
    ]);
    await client.control("POST", "cluster", { storageFull: true });
    const full = (await nodesOf(client)).flatMap((node) => node.drives);
    expect(sum(full.map(({ usedBytes }) => usedBytes))).toBe(storageBytes);
  });
});
