import { describe, expect, it } from "vitest";
import { findUrlFault, formatOfUrl, readChecksum } from "./asset-url.ts";

const hash = "0123456789abcdef".repeat(4);
const asset = "https://images.example/debian/12/disk.qcow2?token=1";

describe("the checksum of an asset's URL", () => {
  it.each([
    ["", { kind: "none" }],
    ["#", { kind: "none" }],
    [`#sha256=${hash}`, { kind: "sha256", sha256: hash }],
    [`#SHA256:${hash.toUpperCase()}`, { kind: "sha256", sha256: hash }],
    ["#sha256=SHA256SUMS", { kind: "file", url: "https://images.example/debian/12/SHA256SUMS" }],
    ["#sha256=../CHECKSUM", { kind: "file", url: "https://images.example/debian/CHECKSUM" }],
    ["#sha256=/sums/disk.qcow2.sha256", { kind: "file", url: "https://images.example/sums/disk.qcow2.sha256" }],
    ["#sha256=https://sums.example/all?v=2", { kind: "file", url: "https://sums.example/all?v=2" }],
  ])("reads %s", (fragment, expected) => {
    expect(readChecksum(asset + fragment)).toEqual(expected);
    expect(findUrlFault(asset + fragment, false)).toBeUndefined();
  });

  it.each([
    `#${hash}`,
    "#md5=0123",
    "#sha256",
    "#sha256=",
    "#sha256=abc",
    `#sha256=${hash}0`,
    `#sha256=${hash}${hash}`,
    "#sha256=./",
    "#sha256=SUMS#x",
    "#sha256=https://",
  ])("does not take %s, and says what would be right", (fragment) => {
    expect(readChecksum(asset + fragment)).toMatchObject({ kind: "fault" });
    expect(findUrlFault(asset + fragment, false)).toMatchObject({
      code: "invalid-url",
      hint: expect.stringContaining("#sha256=<64 hex digits>") as string,
    });
  });

  it("says nothing of the format", () => {
    expect(formatOfUrl("https://images.example/disk.qcow2#sha256=SUMS.iso")).toBe("qcow2");
    expect(formatOfUrl("https://images.example/disk#sha256=disk.iso")).toBe("raw");
  });

  it("holds a checksum file to the rules of an asset", () => {
    expect(findUrlFault(`${asset}#sha256=file:///etc/passwd`, true)).toMatchObject({ code: "invalid-url" });
    expect(findUrlFault(`${asset}#sha256=http://sums.example/x`, false)).toMatchObject({ code: "insecure-url" });
    expect(findUrlFault(`${asset}#sha256=http://sums.example/x`, true)).toBeUndefined();
    expect(findUrlFault(`${asset}#sha256=https://me:x@sums.example/x`, true)).toMatchObject({ code: "invalid-url" });
  });
});
