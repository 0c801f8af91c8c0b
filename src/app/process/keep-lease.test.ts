import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Clock } from "../../ports/clock.ts";
import type { Lease } from "../../ports/state-store.ts";
import { keepLease } from "./keep-lease.ts";

const ttlMs = 10_000;
const clock: Clock = { now: () => Date.now(), sleep: () => Promise.reject(new Error("nobody sleeps here")) };

function leaseThat(renew: () => Promise<boolean>): Lease & { readonly release: ReturnType<typeof vi.fn> } {
  return { token: 1, renew, release: vi.fn(() => Promise.resolve()) };
}

describe("keepLease", () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("keeps a lease for as long as it can be renewed, and lets it go at the end", async () => {
    const lease = leaseThat(() => Promise.resolve(true));
    const kept = keepLease(lease, ttlMs, clock);
    await vi.advanceTimersByTimeAsync(10 * ttlMs);
    expect(kept.lost.aborted).toBe(false);
    await kept[Symbol.asyncDispose]();
    expect(lease.release).toHaveBeenCalledOnce();
  });

  it("survives a store that is away for half a term", async () => {
    let away = false;
    const kept = keepLease(
      leaseThat(() => (away ? Promise.reject(new Error("away")) : Promise.resolve(true))),
      ttlMs,
      clock,
    );
    await vi.advanceTimersByTimeAsync(ttlMs);
    away = true;
    await vi.advanceTimersByTimeAsync(ttlMs / 2);
    away = false;
    await vi.advanceTimersByTimeAsync(2 * ttlMs);
    expect(kept.lost.aborted).toBe(false);
    await kept[Symbol.asyncDispose]();
  });

  it("is lost before its term is over when it cannot be renewed", async () => {
    const lease = leaseThat(() => Promise.reject(new Error("away")));
    const kept = keepLease(lease, ttlMs, clock);
    await vi.advanceTimersByTimeAsync(ttlMs - 1);
    expect(kept.lost.aborted).toBe(true);
    await kept[Symbol.asyncDispose]();
    expect(lease.release).not.toHaveBeenCalled();
  });

  it("is lost at once when somebody else has it", async () => {
    const kept = keepLease(
      leaseThat(() => Promise.resolve(false)),
      ttlMs,
      clock,
    );
    await vi.advanceTimersByTimeAsync(ttlMs / 4);
    expect(kept.lost.aborted).toBe(true);
    expect(kept.lost.reason).toMatchObject({ code: "lease-lost" });
    await kept[Symbol.asyncDispose]();
  });
});
