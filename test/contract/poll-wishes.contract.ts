import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { StateStore } from "../../src/ports/state-store.ts";

const never = new AbortController().signal;
/** Longer than any test may take: a wait that ends was ended by a wish. */
const longMs = 3_600_000;

export interface WishesBench {
  /** Opens a store that never looks by itself within `longMs`: only what it is told, or finds at first, ends a wait. */
  readonly open: () => Promise<StateStore>;
  /** How many stores hear of wishes now. */
  readonly listeners: () => Promise<number>;
}

/** What hurries a poll, in several processes (stores) at once. */
export function pollWishesContract({ open, listeners }: WishesBench): void {
  describe("wishes for a poll", () => {
    it("wakes whoever waits, in every process, and only for that repository", async () => {
      await using one = await open();
      await using other = await open();
      await using webhooks = await open();
      const [repository, neighbour] = [randomUUID(), randomUUID()];
      const stop = new AbortController();
      const quiet = one.waitForPoll(neighbour, longMs, stop.signal);
      const waits = [one, other].map((store) => store.waitForPoll(repository, longMs, never));
      await expect.poll(listeners, { timeout: 30_000 }).toBe(2);
      await webhooks.hurryPoll(repository);
      expect(await Promise.all(waits)).toEqual([true, true]);
      stop.abort();
      expect(await quiet).toBe(false);
    });

    it("keeps a wish that comes while nobody waits, for each process once", async () => {
      await using one = await open();
      await using other = await open();
      const repository = randomUUID();
      await one.hurryPoll(repository);
      await one.hurryPoll(repository);
      for (const store of [one, other]) {
        expect(await store.waitForPoll(repository, longMs, never)).toBe(true);
        expect(await store.waitForPoll(repository, 50, never)).toBe(false);
      }
      await other.hurryPoll(repository);
      expect(await one.waitForPoll(repository, longMs, never)).toBe(true);
    });

    it("loses no wish, however it meets the beginning of a wait", async () => {
      await using one = await open();
      await using other = await open();
      const repository = randomUUID();
      for (let round = 0; round < 100; round += 1) {
        const wish = new Promise((resolve) => setTimeout(resolve, round % 4)).then(() => other.hurryPoll(repository));
        if (round % 3 === 0) await new Promise((resolve) => setTimeout(resolve, (round * 7) % 5));
        expect(await one.waitForPoll(repository, longMs, never)).toBe(true);
        await wish;
      }
    });

    it("ends when a sync was asked for, and leaves the request for the poll", async () => {
      await using store = await open();
      const repository = randomUUID();
      const wait = store.waitForPoll(repository, longMs, never);
      await store.requestSync(repository);
      expect(await wait).toBe(true);
      expect(await store.waitForPoll(repository, 50, never)).toBe(false);
      expect(await store.takeSyncRequest(repository)).toBe("everything");
    });

    it("ends when targets are wished for, but not for a quiet wish", async () => {
      await using store = await open();
      const repository = randomUUID();
      await store.requestSync(repository, ["lab/shop"], { quiet: true });
      expect(await store.waitForPoll(repository, 50, never)).toBe(false);
      await store.requestSync(repository, undefined, { quiet: true });
      expect(await store.waitForPoll(repository, 50, never)).toBe(false);
      expect(await store.takeSyncRequest(repository)).toBe("everything");
      await store.requestSync(repository, ["lab/shop"], { quiet: true });
      await store.requestSync(repository, ["lab/till"]);
      expect(await store.waitForPoll(repository, longMs, never)).toBe(true);
      expect(await store.takeSyncRequest(repository)).toEqual(new Set(["lab/shop", "lab/till"]));
    });

    it("ends after its time, and at once without an error when it is aborted", async () => {
      await using store = await open();
      const repository = randomUUID();
      expect(await store.waitForPoll(repository, 50, never)).toBe(false);
      const stop = new AbortController();
      const wait = store.waitForPoll(repository, longMs, stop.signal);
      setTimeout(() => stop.abort(new Error("ends")), 50);
      expect(await wait).toBe(false);
      expect(await store.waitForPoll(repository, longMs, AbortSignal.abort())).toBe(false);
    });
  });

  describe("webhook deliveries", () => {
    it("are taken once, whichever of their ids is known, and hurry the poll", async () => {
      await using store = await open();
      await using other = await open();
      const repository = randomUUID();
      expect(await store.readWebhooks(repository)).toEqual({ received: 0, ignored: 0, missed: 0, lastAtMs: undefined });
      expect(await store.takeDelivery(repository, ["guid-1", "body-1"])).toBe(true);
      expect(await store.waitForPoll(repository, longMs, never)).toBe(true);
      expect(await other.takeDelivery(repository, ["guid-1", "body-2"])).toBe(false);
      expect(await other.takeDelivery(repository, ["guid-2", "body-1"])).toBe(false);
      expect(await store.waitForPoll(repository, 50, never)).toBe(false);
      expect(await other.takeDelivery(randomUUID(), ["guid-1"])).toBe(true);
      await store.countWebhooks(repository, "missed", 2);
      await store.countWebhooks(repository, "ignored", 1);
      const counts = await other.readWebhooks(repository);
      expect(counts).toMatchObject({ received: 1, ignored: 3, missed: 2 });
      expect(Math.abs((counts.lastAtMs ?? 0) - Date.now())).toBeLessThan(60_000);
    });

    it("are remembered a bounded number of times", async () => {
      await using store = await open();
      const repository = randomUUID();
      const ids = Array.from({ length: 1_999 }, (_, index) => `id-${index}`);
      expect(await store.takeDelivery(repository, ["first"])).toBe(true);
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(await store.takeDelivery(repository, ids)).toBe(true);
      expect(await store.takeDelivery(repository, ["first"])).toBe(false);
      await new Promise((resolve) => setTimeout(resolve, 5));
      expect(await store.takeDelivery(repository, ["one more"])).toBe(true);
      expect(await store.takeDelivery(repository, ["first"])).toBe(true);
    });
  });
}
