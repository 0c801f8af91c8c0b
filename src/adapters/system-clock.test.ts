import { expect, it } from "vitest";
import { systemClock } from "./system-clock.ts";

it("sleeps at least as long as asked", async () => {
  const before = systemClock.now();
  await systemClock.sleep(20);
  expect(systemClock.now() - before).toBeGreaterThanOrEqual(19);
});

it("wakes with the reason of the signal", async () => {
  const controller = new AbortController();
  const sleeping = systemClock.sleep(60_000, controller.signal);
  const reason = new Error("stop now");
  controller.abort(reason);
  await expect(sleeping).rejects.toBe(reason);
});

it("does not fall asleep on a signal that has aborted already", async () => {
  const reason = new Error("too late");
  await expect(systemClock.sleep(60_000, AbortSignal.abort(reason))).rejects.toBe(reason);
});
