import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openStateStore } from "../../src/adapters/redis/state-store.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { exclusiveThrough } from "../../src/app/process/exclusive.ts";
import type { StateStore } from "../../src/ports/state-store.ts";
import { type TestRedis, startTestRedis } from "../support/redis-server.ts";

let server: TestRedis;
beforeAll(async () => {
  server = await startTestRedis();
});
afterAll(() => server[Symbol.asyncDispose]());

const soon = (): AbortSignal => AbortSignal.timeout(25_000);
const open = async (): Promise<StateStore> => openStateStore({ connection: await server.connect(), instance: "edge" });

it("lets processes do one thing one after another, and different things side by side", async () => {
  await using one = await open();
  await using other = await open();
  let under = 0;
  let most = 0;
  const done: string[] = [];
  const work = (store: StateStore, name: string, mark: string): Promise<void> =>
    exclusiveThrough(store, systemClock)(name, soon(), async () => {
      under += 1;
      most = Math.max(most, under);
      await pause(400);
      under -= 1;
      done.push(mark);
    });
  await Promise.all([work(one, "image", "a"), work(other, "image", "b"), work(one, "image", "c")]);
  expect(most).toBe(1);
  expect(done.sort()).toEqual(["a", "b", "c"]);
  await Promise.all([work(one, "image", "d"), work(other, "other image", "e")]);
  expect(most).toBe(2);
});

it("lets the next one begin after a failure, and takes over from a holder that is gone", async () => {
  await using one = await open();
  await using other = await open();
  const failing = exclusiveThrough(one, systemClock)("image", soon(), () => Promise.reject(new Error("no luck")));
  await expect(failing).rejects.toThrow("no luck");
  // A killed process neither renews its lease nor gives it back.
  await one.acquireLease("exclusive/image", 300);
  expect(await exclusiveThrough(other, systemClock)("image", soon(), () => Promise.resolve("mine"))).toBe("mine");
});

it("stops waiting when its asker leaves", async () => {
  await using one = await open();
  await one.acquireLease("exclusive/held", 20_000);
  const leaving = new AbortController();
  const waiting = exclusiveThrough(one, systemClock)("held", leaving.signal, () => Promise.resolve("never"));
  leaving.abort(new Error("enough"));
  await expect(waiting).rejects.toThrow("enough");
});
