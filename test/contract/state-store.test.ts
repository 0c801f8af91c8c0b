import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openRedis } from "../../src/adapters/redis/connection.ts";
import { stateKeys } from "../../src/adapters/redis/keys.ts";
import { openStateStore } from "../../src/adapters/redis/state-store.ts";
import type { StateStore } from "../../src/ports/state-store.ts";
import { type TestRedis, silentLog, startTestRedis } from "../support/redis-server.ts";
import { waitFor } from "../support/wait-for.ts";
import { pollWishesContract } from "./poll-wishes.contract.ts";
import { emptyPass, stateStoreContract, syncRecord } from "./state-store.contract.ts";

let server: TestRedis;
beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

async function open(instance = "contract"): Promise<StateStore> {
  return openStateStore({ connection: await server.connect(), instance });
}

const wishes = {
  instance: "wishes",
  async open(): Promise<StateStore> {
    return openStateStore({ connection: await server.connect(), instance: wishes.instance, lookMs: 3_600_000 });
  },
  async listeners(): Promise<number> {
    const redis = (await server.connect()).producer();
    const [, count] = await redis.pubsub("NUMSUB", stateKeys(wishes.instance).hurryChannel);
    redis.disconnect();
    return Number(count);
  },
};

describe("redis state store", () => {
  stateStoreContract(open);
  pollWishesContract(wishes);

  it("finds a wish whose message was lost when it looks by itself", async () => {
    await using store = await openStateStore({ connection: await server.connect(), instance: "lost", lookMs: 20 });
    const redis = (await server.connect()).producer();
    const wait = store.waitForPoll("fleet", 3_600_000, new AbortController().signal);
    await redis.hincrby(stateKeys("lost").hurries, "fleet", 1);
    expect(await wait).toBe(true);
    redis.disconnect();
  });

  it("hears a wish after Redis was away, and waits it out without an error", async () => {
    await using store = await open();
    await using other = await open();
    const never = new AbortController().signal;
    const wait = store.waitForPoll("away", 30_000, never);
    const redis = (await server.connect()).producer();
    const listeners = async () => Number((await redis.pubsub("NUMSUB", stateKeys("contract").hurryChannel))[1]);
    await waitFor(async () => ((await listeners()) > 0 ? true : undefined), { what: "a listener" });
    redis.disconnect();
    await server.restart();
    await other.hurryPoll("away");
    expect(await wait).toBe(true);
  }, 40_000);

  it("keeps everything over a restart of Redis, and goes on by itself", async () => {
    await using store = await open();
    const record = syncRecord("restarted");
    await store.createSync(record, [emptyPass], []);
    await server.restart();
    expect(await store.readSync(record.id)).toEqual({ record, state: { kind: "running" } });
    expect(await store.supersedeSync(record.id, "newer", [])).toBe(true);
  });

  it("keeps instances apart", async () => {
    await using one = await open("one");
    await using other = await open("other");
    await one.requestSync("fleet");
    expect(await other.takeSyncRequest("fleet")).toBeUndefined();
    expect(await one.takeSyncRequest("fleet")).toBe("everything");
  });

  it("says within seconds that Redis is away, without its password", async () => {
    const password = { source: "test", read: () => Promise.resolve("hunter2-secret"), toJSON: () => "test" };
    const config = { url: "redis://127.0.0.1:1", password, caFile: undefined };
    const connection = await openRedis(config, "/nowhere", silentLog);
    const failed = openStateStore({ connection, instance: "x" });
    await expect(failed).rejects.toMatchObject({ code: "redis-unavailable" });
    await expect(failed).rejects.toThrow(/redis:\/\/127\.0\.0\.1:1/);
    await expect(failed).rejects.not.toThrow(/hunter2/);
  });

  it("fails calls fast while Redis is stopped", async () => {
    await using store = await open();
    await server.stop();
    await expect(store.readBranch("fleet")).rejects.toMatchObject({ code: "redis-unavailable" });
    await server.start();
    await expect.poll(() => store.readBranch("fleet").catch(() => "away"), { timeout: 10_000 }).toEqual({});
  });
});
