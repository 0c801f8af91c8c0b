import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatBytes, formatDuration, parseBytes, parseDuration } from "./quantity.ts";

describe("parseBytes", () => {
  it.each([
    [4294967296, 4294967296],
    ["4294967296", 4294967296],
    ["0", 0],
    ["4 GiB", 4 * 2 ** 30],
    ["4GiB", 4 * 2 ** 30],
    ["4000MiB", 4000 * 2 ** 20],
    ["50 GB", 50e9],
    ["100GiB", 100 * 2 ** 30],
    ["1TiB", 2 ** 40],
    ["2 TB", 2e12],
    ["1.5 GiB", 1.5 * 2 ** 30],
    ["0.5 KiB", 512],
    ["10 kB", 10_000],
    ["10 KB", 10_000],
    [" 7 B ", 7],
  ])("reads %j exactly", (written, bytes) => {
    expect(parseBytes(written)).toBe(bytes);
  });

  it.each([
    ["4 Gb", "bits", "did you mean 4 GB (10^9) or 4 GiB (2^30)?"],
    ["512 Mb", "bits", "did you mean 512 MB (10^6) or 512 MiB (2^20)?"],
    ["4G", "ambiguous", "did you mean 4 GB (10^9) or 4 GiB (2^30)?"],
    ["4 g", "ambiguous", "4 GiB (2^30)"],
    ["4gib", "ambiguous", "4 GiB (2^30)"],
    ["4 gallons", "unknown unit", "known units"],
    ["lots", "no size", "4 GiB"],
    ["-4 GiB", "no size", "4 GiB"],
    ["4e9", "no size", "4 GiB"],
    ["", "no size", "4 GiB"],
    ["0.3 B", "no whole number", "smaller unit"],
    [1.5, "no whole number", "counts bytes"],
    [-1, "no whole number", "counts bytes"],
    ["9007199254740992", "2^53", "unit"],
    [2 ** 53, "2^53", "unit"],
    ["9000 PB", "2^53", "unit"],
  ])("refuses %j", (written, message, hint) => {
    const parsed = parseBytes(written);
    expect(parsed).toMatchObject({ message: expect.stringContaining(message), hint: expect.stringContaining(hint) });
  });

  it("takes any whole number in any spelling for the same value", () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 8000 }),
        fc.constantFrom("B", "KB", "KiB", "MB", "MiB", "GB", "GiB", "TB", "TiB"),
        (count, unit) => {
          const power = "BKMGT".indexOf(unit.charAt(0));
          const bytes = count * (unit.includes("i") ? 1024 : 1000) ** (unit === "B" ? 0 : power);
          expect(parseBytes(`${count} ${unit}`)).toBe(bytes);
          expect(parseBytes(`${count}${unit}`)).toBe(bytes);
          expect(parseBytes(String(bytes))).toBe(bytes);
          expect(parseBytes(bytes)).toBe(bytes);
        },
      ),
    );
  });

  it("never throws and never gives anything but a safe whole number or a problem", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.double(), fc.stringMatching(/^\d{0,40}(\.\d{0,40})? ?[KMGTPEi]?[Bb]?$/)),
        (written) => {
          const parsed = parseBytes(written);
          if (typeof parsed === "number") expect(Number.isSafeInteger(parsed) && parsed >= 0).toBe(true);
          else expect(parsed.hint).not.toBe("");
        },
      ),
    );
  });
});

describe("formatBytes", () => {
  it.each([
    [32_212_254_720, "30 GiB"],
    [30_000_000_000, "30 GB"],
    [16_106_127_360, "15 GiB"],
    [4000 * 2 ** 20, "4000 MiB"],
    [0, "0 B"],
    [512, "512 B"],
    [7_838_315_315, "7.3 GiB"],
    [1_500_000, "1500 KB"],
    [1_234_567_000, "1.1 GiB"],
  ])("shows %d as %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it("shows exact sizes so that they read back as themselves", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 999 }),
        fc.constantFrom("KB", "KiB", "MB", "MiB", "GB", "GiB"),
        (count, unit) => {
          const bytes = parseBytes(`${count} ${unit}`);
          expect(parseBytes(formatBytes(Number(bytes)))).toBe(bytes);
        },
      ),
    );
  });
});

describe("durations", () => {
  it.each([
    ["10m", 600_000],
    ["14d", 1_209_600_000],
    ["5m30s", 330_000],
    ["500ms", 500],
    ["1w", 604_800_000],
    ["1h 30m", 5_400_000],
    [0, 0],
    ["0", 0],
  ])("reads %j", (written, milliseconds) => {
    expect(parseDuration(written)).toBe(milliseconds);
  });

  it.each([["10"], [10], ["m"], ["-5m"], ["5 minutes"], ["1.5h"], [""], ["999999999999w"]])("refuses %j", (written) => {
    expect(parseDuration(written)).toHaveProperty("hint");
  });

  it.each([
    [0, "0ms"],
    [850, "850ms"],
    [192_000, "3m12s"],
    [1_209_600_000, "14d"],
    [90_061_000, "1d1h"],
    [3_605_000, "1h"],
  ])("shows %d as %s", (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
  });
});
