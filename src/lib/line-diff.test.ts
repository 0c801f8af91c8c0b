import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareLines, diffLines, splitLines } from "./line-diff.ts";

describe("diffLines", () => {
  it("says nothing about equal texts", () => {
    expect(diffLines("a\nb\n", "a\nb\n")).toBe("");
    expect(diffLines("", "")).toBe("");
  });

  it("shows a changed line between three lines of context", () => {
    const before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
    expect(diffLines(before, before.replace("5", "five"))).toBe(
      ["@@ -2,7 +2,7 @@", " 2", " 3", " 4", "-5", "+five", " 6", " 7", " 8"].join("\n"),
    );
  });

  it("makes two hunks of changes far from each other and one of near ones", () => {
    const lines = Array.from({ length: 30 }, (_, index) => `line ${index}`);
    const changed = (...places: number[]): string =>
      lines.map((line, index) => (places.includes(index) ? `${line}!` : line)).join("\n");
    expect(diffLines(lines.join("\n"), changed(2, 25)).match(/^@@/gm)).toHaveLength(2);
    expect(diffLines(lines.join("\n"), changed(10, 14)).match(/^@@/gm)).toHaveLength(1);
  });

  it("shows a whole text as added or removed", () => {
    expect(diffLines("", "a\nb")).toBe("@@ -0,0 +1,2 @@\n+a\n+b");
    expect(diffLines("a", "")).toBe("@@ -1 +0,0 @@\n-a");
  });

  it("answers for texts that have nothing in common, however long", () => {
    expect(splitLines(diffLines(manyLines("a"), manyLines("b")))).toHaveLength(40_001);
  });
});

describe("compareLines", () => {
  const lines = fc.array(fc.constantFrom("a", "b", "c", "d"), { maxLength: 40 });

  it("lets both texts be told from its edits", () => {
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const edits = compareLines(before, after);
        expect(edits.filter((edit) => edit.kind !== "added").map((edit) => edit.text)).toEqual(before);
        expect(edits.filter((edit) => edit.kind !== "removed").map((edit) => edit.text)).toEqual(after);
      }),
    );
  });

  it("finds as many unchanged lines as the longest common subsequence has", () => {
    fc.assert(
      fc.property(lines, lines, (before, after) => {
        const same = compareLines(before, after).filter((edit) => edit.kind === "same").length;
        expect(same).toBe(commonLength(before, after));
      }),
    );
  });
});

function commonLength(a: readonly string[], b: readonly string[]): number {
  let row: number[] = Array.from({ length: b.length + 1 }, () => 0);
  for (const left of a) {
    const next = [0];
    for (const [index, right] of b.entries()) {
      next.push(left === right ? (row[index] ?? 0) + 1 : Math.max(row[index + 1] ?? 0, next[index] ?? 0));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

function manyLines(word: string): string {
  return Array.from({ length: 20_000 }, (_, index) => `${word} ${index}`).join("\n");
}
