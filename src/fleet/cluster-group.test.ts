import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { matchesGlob, selectClusters } from "./cluster-group.ts";
import type { Cluster } from "./cluster.ts";

const cluster = (name: string, labels: Record<string, string> = {}): Cluster => ({
  name,
  driver: "hypercore",
  labels,
  variables: {},
  networks: undefined,
});

describe("matchesGlob", () => {
  it.each([
    ["store-1*", "store-101", true],
    ["store-1*", "store-201", false],
    ["store-?", "store-1", true],
    ["store-?", "store-12", false],
    ["*", "", true],
    ["*-east-*", "a-east-b", true],
    ["*east", "north-east", true],
    ["*east", "easterly", false],
    ["st.re", "store", false],
    ["[a]", "a", false],
    ["", "", true],
    ["**a**", "a", true],
  ])("%s on %s is %s", (pattern, name, expected) => {
    expect(matchesGlob(pattern, name)).toBe(expected);
  });

  it("agrees with the regular expression of the same meaning", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b") });
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom("a", "b", "*", "?") }), text, (pattern, name) => {
        const expected = new RegExp(`^${pattern.replaceAll("?", ".").replaceAll("*", ".*")}$`);
        expect(matchesGlob(pattern, name)).toBe(expected.test(name));
      }),
    );
  });

  it("takes no exponential time", () => {
    expect(matchesGlob("*a".repeat(200), "a".repeat(5000) + "b")).toBe(false);
  });
});

describe("selectClusters", () => {
  const clusters = [cluster("a", { region: "east", note: "x=y" }), cluster("b", { region: "west" }), cluster("c")];

  it.each([
    [{ label: "region=east" }, ["a"]],
    [{ label: "note=x=y" }, ["a"]],
    [{ label: "toString=x" }, []],
    [{ name: "?" }, ["a", "b", "c"]],
    [{ name: "c" }, ["c"]],
  ])("%j selects %j", (selector, names) => {
    expect(selectClusters(selector, clusters).map(({ name }) => name)).toEqual(names);
  });
});
