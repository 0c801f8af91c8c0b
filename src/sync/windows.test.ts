import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { describeOpening, isOpen, nextChange, type SyncWindow, weekdays } from "./windows.ts";

const berlin = "Europe/Berlin";
const night: SyncWindow = {
  days: ["mon", "tue", "wed", "thu", "fri"],
  from: 22 * 60,
  to: 5 * 60,
  timeZone: berlin,
  deny: false,
};
const at = (text: string): number => Date.parse(text);

describe("isOpen", () => {
  it.each([
    ["before it begins", "2026-11-27T20:59:59Z", false],
    ["on the stroke", "2026-11-27T21:00:00Z", true],
    ["after midnight of a day that is none of its own", "2026-11-28T03:59:59Z", true],
    ["at its end", "2026-11-28T04:00:00Z", false],
    ["on a day of the weekend", "2026-11-28T22:00:00Z", false],
    ["in summer an hour earlier", "2026-07-01T20:00:00Z", true],
  ])("%s", (_title, text, open) => {
    expect(isOpen([night], at(text))).toBe(open);
  });
  it("is always so without windows, and outside of forbidden ones alone", () => {
    expect(isOpen([], 0)).toBe(true);
    const deny = { ...night, deny: true };
    expect(isOpen([deny], at("2026-11-27T22:00:00Z"))).toBe(false);
    expect(isOpen([deny], at("2026-11-27T12:00:00Z"))).toBe(true);
    expect(isOpen([night, { ...deny, from: 0, to: 60 }], at("2026-11-26T23:30:00Z"))).toBe(false);
  });
});

describe("nextChange", () => {
  const early: SyncWindow = { days: [...weekdays], from: 2 * 60, to: 2 * 60 + 30, timeZone: berlin, deny: false };
  it("passes over a span that the clock skips in spring", () => {
    expect(new Date(nextChange([early], at("2026-03-28T12:00:00Z")) ?? 0).toISOString()).toBe(
      "2026-03-30T00:00:00.000Z",
    );
  });
  it("opens twice when the clock shows an hour twice in autumn", () => {
    const changes: string[] = [];
    for (let now = at("2026-10-24T12:00:00Z"); changes.length < 4; ) {
      now = nextChange([early], now) ?? Number.POSITIVE_INFINITY;
      changes.push(new Date(now).toISOString().slice(11, 16));
    }
    expect(changes).toEqual(["00:00", "00:30", "01:00", "01:30"]);
  });
  it("begins at the jump when the clock skips the beginning", () => {
    const window = { ...early, to: 4 * 60 };
    expect(new Date(nextChange([window], at("2026-03-28T12:00:00Z")) ?? 0).toISOString()).toBe(
      "2026-03-29T01:00:00.000Z",
    );
  });
  it("is not there for what never changes", () => {
    expect(nextChange([], 0)).toBeUndefined();
    expect(nextChange([{ ...early, from: 0, to: 0 }], 0)).toBeUndefined();
  });

  const zones = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "UTC", "Pacific/Apia"];
  const windows = fc.array(
    fc.record({
      days: fc.subarray([...weekdays], { minLength: 1 }),
      from: fc.integer({ min: 0, max: 1439 }),
      to: fc.integer({ min: 0, max: 1439 }),
      timeZone: fc.constantFrom(...zones),
      deny: fc.boolean(),
    }),
    { minLength: 1, maxLength: 3 },
  );
  // Half of them near a change of the clock.
  const instants = fc.oneof(
    fc.integer({ min: at("2024-01-01T00:00:00Z"), max: at("2030-01-01T00:00:00Z") }),
    fc
      .tuple(
        fc.constantFrom("2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z", "2026-04-04T15:00:00Z", "2026-11-01T06:00:00Z"),
        fc.integer({ min: -100_000_000, max: 10_000_000 }),
      )
      .map(([text, by]) => at(text) + by),
  );

  it("opens a window exactly while wall time is in it", () => {
    fc.assert(
      fc.property(windows, instants, (list, instant) => {
        const inside = list.map((window) => ({ deny: window.deny, inside: inWindow(window, instant) }));
        const allowed = inside.filter(({ deny }) => !deny);
        const expected =
          !inside.some((one) => one.deny && one.inside) && (allowed.length === 0 || allowed.some((one) => one.inside));
        expect(isOpen(list, instant)).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });
  it("is the first minute that differs", () => {
    fc.assert(
      fc.property(windows, instants, (list, instant) => {
        const open = isOpen(list, instant);
        const first = nextChange(list, instant);
        const untilMs = Math.min(first ?? Number.POSITIVE_INFINITY, instant + 2 * 86_400_000);
        for (let ms = Math.floor(instant / 60_000 + 1) * 60_000; ms < untilMs; ms += 60_000)
          if (isOpen(list, ms) !== open) throw new Error(`${new Date(ms).toISOString()} comes before`);
        if (first !== undefined) {
          expect(isOpen(list, first)).toBe(!open);
          expect(isOpen(list, Math.max(instant, first - 1))).toBe(open);
          expect(first).toBeGreaterThan(instant);
        }
      }),
      { numRuns: 40 },
    );
  });
});

describe("describeOpening", () => {
  it("names the day when it is far away", () => {
    expect(describeOpening([night], at("2026-11-27T12:00:00Z"))).toBe("opens 22:00 Europe/Berlin");
    expect(describeOpening([night], at("2026-11-28T12:00:00Z"))).toBe("opens Mon 22:00 Europe/Berlin");
  });
});

/** The same said in another way: over the text of the wall clock. */
function inWindow({ days, from, to, timeZone }: SyncWindow, instant: number): boolean {
  const text = new Date(instant).toLocaleString("sv-SE", { timeZone });
  const clock = text.slice(11, 16);
  const date = new Date(`${text.slice(0, 10)}T00:00:00Z`);
  const day = weekdays[(date.getUTCDay() + 6) % 7] ?? "mon";
  const before = weekdays[(date.getUTCDay() + 5) % 7] ?? "mon";
  const [begin, end] = [from, to].map((minute) => new Date(minute * 60_000).toISOString().slice(11, 16));
  if (begin === undefined || end === undefined) return false;
  if (begin < end) return days.includes(day) && clock >= begin && clock < end;
  return (days.includes(day) && clock >= begin) || (days.includes(before) && clock < end);
}
