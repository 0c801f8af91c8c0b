import { describe, expect, it } from "vitest";
import type { Config } from "../config/config.ts";
import { endOf, type PauseOptions, type ScopeOptions, scopeOf } from "./command-pause.ts";

const config = { repositories: [{ name: "fleet" }], clusters: [{ name: "north" }] } as unknown as Config;
const noon = Date.parse("2026-11-28T12:00:00Z");

describe("the scope of a pause", () => {
  it.each<[ScopeOptions, object]>([
    [{}, { kind: "instance" }],
    [{ repository: "fleet" }, { kind: "repository", repository: "fleet" }],
    [{ cluster: "north" }, { kind: "cluster", cluster: "north" }],
    [{ application: "shop" }, { kind: "application", application: "shop" }],
    [{ vm: "north/web" }, { kind: "virdomain", cluster: "north", virdomain: "web" }],
  ])("of %j", (options, scope) => {
    expect(scopeOf(options, config)).toEqual(scope);
  });
  it.each<[ScopeOptions, RegExp]>([
    [{ repository: "fleet", cluster: "north" }, /give one of/],
    [{ cluster: "nroth" }, /no cluster nroth; it has: north/],
    [{ vm: "web" }, /cluster\/name/],
    [{ vm: "south/web" }, /no cluster south/],
  ])("is refused: %j", (options, message) => {
    expect(() => scopeOf(options, config)).toThrow(message);
  });
});

describe("the end of a pause", () => {
  it.each<[PauseOptions, number | undefined]>([
    [{}, undefined],
    [{ for: 60_000 }, noon + 60_000],
    [{ until: "2026-11-28T13:00:00Z" }, noon + 3_600_000],
  ])("%j", (options, end) => {
    expect(endOf(options, noon)).toBe(end);
  });
  it.each<[PauseOptions, RegExp]>([
    [{ for: 1, until: "2026-11-29" }, /not both/],
    [{ for: 0 }, /more than nothing/],
    [{ until: "soon" }, /takes a time/],
    [{ until: "2026-11-28T11:00:00Z" }, /over already/],
  ])("is refused: %j", (options, message) => {
    expect(() => endOf(options, noon)).toThrow(message);
  });
});
