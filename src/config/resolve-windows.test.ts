import { describe, expect, it } from "vitest";
import { ResolveContext } from "./resolve-context.ts";
import { resolveWindows } from "./resolve-windows.ts";

const usual = { from: "22:00", to: "05:00", timeZone: "Europe/Berlin" };

function resolve(more: object) {
  const context = new ResolveContext("/etc", {});
  const { windows } = resolveWindows([{ ...usual, ...more }], ["windows"], context);
  return { window: windows?.[0], problems: context.problems };
}

describe("windows of the configuration", () => {
  it("become minutes and days", () => {
    expect(resolve({ days: ["fri-mon", "sat"] })).toEqual({
      window: { days: ["fri", "sat", "sun", "mon"], from: 1_320, to: 300, timeZone: "Europe/Berlin", deny: false },
      problems: [],
    });
    expect(resolve({}).window?.days).toHaveLength(7);
    expect(resolve({ to: "24:00", deny: true }).window).toMatchObject({ to: 0, deny: true });
  });
  it.each([
    [{ days: ["funday"] }, ["windows", 0, "days", 0], /no day/],
    [{ days: ["mon-tue-wed"] }, ["windows", 0, "days", 0], /no day/],
    [{ from: "24:00" }, ["windows", 0, "from"], /time of day/],
    [{ to: "5" }, ["windows", 0, "to"], /time of day/],
    [{ timeZone: "Mars/Olympus" }, ["windows", 0, "timeZone"], /no time zone/],
  ])("are refused: %j", (more, path, message) => {
    expect(resolve(more).problems).toEqual([{ path, message: expect.stringMatching(message) }]);
  });
});
