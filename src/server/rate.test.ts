import { describe, expect, it } from "vitest";
import { createQuiet, createRates } from "./rate.ts";

describe("rates", () => {
  it("let a burst through, then so many a second, each name for itself", () => {
    let now = 0;
    const rates = createRates({ burst: 3, perSecond: 2 }, () => now);
    const take = (name: string, times: number): number =>
      Array.from({ length: times }, () => rates.take(name)).filter(Boolean).length;
    expect(take("a", 5)).toBe(3);
    expect(take("b", 5)).toBe(3);
    now += 1_000;
    expect(take("a", 5)).toBe(2);
    now += 250;
    expect(take("a", 5)).toBe(0);
    now += 250;
    expect(take("a", 5)).toBe(1);
    now += 3_600_000;
    expect(take("a", 9)).toBe(3);
  });

  it("stand a clock that goes back", () => {
    let now = 1_000;
    const rates = createRates({ burst: 1, perSecond: 1 }, () => now);
    expect(rates.take("a")).toBe(true);
    now = 0;
    expect(rates.take("a")).toBe(false);
    now = 1_000;
    expect(rates.take("a")).toBe(true);
  });
});

it("quiet lets one of a kind through at a time and says how many it held back", () => {
  let now = 0;
  const told: string[] = [];
  const quietly = createQuiet(60_000, () => now);
  const tell = (kind: string): void => quietly(kind, (held) => told.push(`${kind} ${held}`));
  for (let index = 0; index < 4; index += 1) tell("a");
  tell("b");
  now = 60_000;
  tell("a");
  tell("a");
  expect(told).toEqual(["a 0", "b 0", "a 3"]);
});
