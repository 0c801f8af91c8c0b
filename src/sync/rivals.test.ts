import { describe, expect, it } from "vitest";
import { findRivals } from "./rivals.ts";

const pull = (number: number, ...touches: string[]) => ({ number, touches });

describe("rivals of a pull request", () => {
  const all = [pull(9, "lab/web"), pull(1, "lab/db", "lab/web"), pull(5, "lab/db"), pull(7)];
  it.each([
    [1, [5, 9]],
    [5, [1]],
    [9, [1]],
    [7, []],
  ])("%i shares a VM with %j", (number, rivals) => {
    const one = all.find((candidate) => candidate.number === number) ?? pull(0);
    expect(findRivals(one, all)).toEqual(rivals);
  });

  it("are named by both sides", () => {
    for (const one of all)
      for (const number of findRivals(one, all)) {
        const other = all.find((candidate) => candidate.number === number) ?? pull(0);
        expect(findRivals(other, all)).toContain(one.number);
      }
  });
});
