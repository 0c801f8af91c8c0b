import { describe, expect, it } from "vitest";
import { errorCatalogue } from "../../src/lib/errors.ts";
import { problemCodes } from "../../src/manifest/problem-codes.ts";
import type { Conflict, Notice } from "../../src/plan/plan.ts";
import { readPage, section, tableRows } from "./pages.ts";

const page = readPage("docs/errors.md");

/** The compiler refuses this list when a code is missing or gone. */
const conflictCodes: Readonly<Record<Conflict["code"], true>> = {
  "name-taken": true,
  "duplicate-mark": true,
  "network-unmapped": true,
  "cloud-init-refused": true,
  protected: true,
  "name-twice": true,
  replica: true,
  "unsupported-change": true,
  "does-not-fit": true,
};
const noticeCodes: Readonly<Record<Notice["code"], true>> = {
  "cloud-init-unchanged-guest": true,
  "disk-not-shrunk": true,
  "may-restart": true,
  "scaled-down": true,
  "foreign-disk": true,
  "foreign-nic": true,
  adopts: true,
  "still-building": true,
  "stays-protected": true,
  "stays-quarantined": true,
  "stays-incomplete": true,
};

function documented(title: string): readonly (readonly string[])[] {
  return tableRows(section(page, title)).map(([code = "", ...rest]) => [code.replaceAll("`", ""), ...rest]);
}

function codes(title: string): readonly string[] {
  return documented(title).map(([code = ""]) => code);
}

describe("docs/errors.md", () => {
  it("explains every error code, and no other", () => {
    expect(codes("Error codes").toSorted()).toEqual(Object.keys(errorCatalogue).toSorted());
  });
  it("gives every error code the kind it has in the catalogue", () => {
    const kinds = documented("Error codes").map(([code = "", kind = ""]) => [code, kind]);
    expect(Object.fromEntries(kinds)).toEqual(errorCatalogue);
  });
  it("explains every problem of a manifest, and no other", () => {
    // Of the folder as a whole, found before any file is read.
    const all = Object.keys(problemCodes);
    expect(codes("Problems in manifests").toSorted()).toEqual(all.toSorted());
  });
  it("explains every conflict of a plan, and no other", () => {
    expect(codes("Conflicts in a plan").toSorted()).toEqual(Object.keys(conflictCodes).toSorted());
  });
  it("explains every notice of a plan, and no other", () => {
    expect(codes("Notices in a plan").toSorted()).toEqual(Object.keys(noticeCodes).toSorted());
  });
  it("leaves no cell empty", () => {
    expect(tableRows(page.text).filter((row) => row.some((cell) => cell === ""))).toEqual([]);
  });
});
