import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, open, readFile, rm, truncate } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openRedis } from "../../src/adapters/redis/connection.ts";
import { openJobQueue } from "../../src/adapters/redis/job-queue.ts";
import { type PrivateRedis, ensurePrivateRedis } from "../../src/adapters/redis/private-server.ts";
import { socketPathOf } from "../../src/adapters/redis/socket-path.ts";
import { openStateStore } from "../../src/adapters/redis/state-store.ts";
import type { StateStore } from "../../src/ports/state-store.ts";
import { kill, startScript } from "../support/child-process.ts";
import { silentLog } from "../support/redis-server.ts";

const ownerScript = fileURLToPath(new URL("../support/private-redis-owner.ts", import.meta.url));
const log = silentLog;
let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), "kraken private-"));
});
afterEach(() => rm(dataDir, { recursive: true, force: true }));

/** A store on the private server of the data folder, which this process owns unless another has it. */
async function openStore(folder = dataDir): Promise<StateStore & AsyncDisposable> {
  const connection = await openRedis({ url: undefined, password: undefined, caFile: undefined }, folder, log);
  const store = await openStateStore({ connection, instance: "private" });
  return {
    ...store,
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await connection[Symbol.asyncDispose]();
    },
  };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function pidOf(server: PrivateRedis): number {
  const pid = server.pid();
  if (pid === undefined) throw new Error("no server");
  return pid;
}

async function startOwner(): Promise<{ readonly end: () => Promise<void>; readonly serverPid: number }> {
  const { child, output } = await startScript(ownerScript, [dataDir], /pid \d+/);
  return { end: () => kill(child), serverPid: Number(/pid (\d+)/.exec(output)?.[1]) };
}

describe("private redis", () => {
  it("ends when it is disposed and keeps its data for the next time", async () => {
    {
      await using store = await openStore();
      await store.savePlan("p", "kept");
    }
    await using server = await ensurePrivateRedis(dataDir, { log });
    expect(isAlive(pidOf(server))).toBe(true);
    await using store = await openStore();
    expect(await store.readPlan("p")).toBe("kept");
  });

  it("is not reachable over the network and by no other user", async () => {
    await using _ = await ensurePrivateRedis(dataDir, { log });
    const settings = await readFile(path.join(dataDir, "redis", "redis.conf"), "utf8");
    expect(settings).toMatch(/^port 0$/m);
    expect(settings).toMatch(/^unixsocketperm 700$/m);
  });

  it("starts again on the same data when it is killed, and the store and the queue go on", async () => {
    await using server = await ensurePrivateRedis(dataDir, { log });
    await using store = await openStore();
    const connection = await openRedis({ url: undefined, password: undefined, caFile: undefined }, dataDir, log);
    await using queue = await openJobQueue({ connection, instance: "private", log });
    const done = { kind: "done" } as const;
    let deliveries = 0;
    const deliver = (): Promise<typeof done> => {
      deliveries += 1;
      return Promise.resolve(done);
    };
    const idle = (): Promise<typeof done> => Promise.resolve(done);
    await using _ = await queue.work(
      { advance: idle, operation: idle, deliver },
      { concurrency: { advance: 1, operations: 1, delivery: 1 }, graceMs: 100 },
    );
    await store.savePlan("p", "kept");
    const first = pidOf(server);
    process.kill(first, "SIGKILL");
    await expect.poll(() => store.readPlan("p"), { timeout: 10_000 }).toBe("kept");
    await expect.poll(() => server.pid() ?? first).not.toBe(first);
    await queue.addDelivery({ schemaVersion: 1, repository: "fleet" }, randomUUID());
    await expect.poll(() => deliveries, { timeout: 10_000 }).toBe(1);
  });

  it("ends with its owner, also when that is killed, and nothing written is lost", async () => {
    const owner = await startOwner();
    {
      await using store = await openStore();
      await store.savePlan("p", "kept");
    }
    expect(isAlive(owner.serverPid)).toBe(true);
    await owner.end();
    await expect.poll(() => isAlive(owner.serverPid), { timeout: 10_000 }).toBe(false);
    await using store = await openStore();
    expect(await store.readPlan("p")).toBe("kept");
  });

  it("is shared by processes of one data folder and taken over when its owner is killed", async () => {
    const owner = await startOwner();
    await using server = await ensurePrivateRedis(dataDir, { log });
    await using store = await openStore();
    expect(pidOf(server)).toBe(owner.serverPid);
    await store.savePlan("p", "kept");
    await owner.end();
    await expect.poll(() => server.pid() ?? owner.serverPid, { timeout: 15_000 }).not.toBe(owner.serverPid);
    expect(isAlive(pidOf(server))).toBe(true);
    await expect.poll(() => store.readPlan("p").catch(() => "away"), { timeout: 10_000 }).toBe("kept");
  });

  it("is one server however many start it at once", async () => {
    const servers = await Promise.all([1, 2, 3, 4].map(() => ensurePrivateRedis(dataDir, { log })));
    expect(new Set(servers.map(pidOf)).size).toBe(1);
    await Promise.all(servers.map((server) => server[Symbol.asyncDispose]()));
  });

  it("starts although its file was cut off in the middle of a write", async () => {
    {
      await using store = await openStore();
      await store.savePlan("p", "kept");
      await store.savePlan("q", "cut off");
    }
    const file = path.join(dataDir, "redis", "appendonlydir", "appendonly.aof.1.incr.aof");
    const handle = await open(file);
    const { size } = await handle.stat();
    await handle.close();
    await truncate(file, size - 5);
    await using store = await openStore();
    expect(await store.readPlan("p")).toBe("kept");
  });

  it("serves a data folder whose path is too long for a socket", async () => {
    const deep = path.join(dataDir, "x".repeat(60), "y".repeat(60));
    await mkdir(deep, { recursive: true });
    const socket = await socketPathOf(path.join(deep, "redis"));
    expect(socket.length).toBeLessThan(104);
    try {
      await using store = await openStore(deep);
      await store.ping();
    } finally {
      await rm(path.dirname(socket), { recursive: true });
    }
  });

  it("says how to install a server when there is none", async () => {
    const search = process.env["PATH"];
    process.env["PATH"] = "/nothing-here";
    try {
      await expect(ensurePrivateRedis(dataDir, { log })).rejects.toMatchObject({ code: "redis-missing" });
    } finally {
      process.env["PATH"] = search;
    }
  });
});
