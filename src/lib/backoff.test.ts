import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { backoffDelayMs } from "./backoff.ts";

describe("backoffDelayMs", () => {
  it("doubles its upper bound with every attempt until the maximum", () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8].map(ceiling)).toEqual([100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
  });

  it("takes the whole range from zero as jitter", () => {
    expect(backoffDelayMs(5, { baseMs: 100, maxMs: 5_000, random: () => 0 })).toBe(0);
    expect(backoffDelayMs(5, { baseMs: 100, maxMs: 5_000, random: () => 0.5 })).toBe(800);
  });

  it("stays within bounds for any attempt, however large or senseless", () => {
    fc.assert(
      fc.property(fc.integer(), fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), (attempt, jitter) => {
        const delay = backoffDelayMs(attempt, { baseMs: 250, maxMs: 30_000, random: () => jitter });
        expect(delay).toBeGreaterThanOrEqual(0);
        expect(delay).toBeLessThanOrEqual(30_000);
        expect(Number.isInteger(delay)).toBe(true);
      }),
    );
  });
});

function ceiling(attempt: number): number {
  return backoffDelayMs(attempt, { baseMs: 100, maxMs: 5_000, random: () => 0.999_999 }) + 1;
}
