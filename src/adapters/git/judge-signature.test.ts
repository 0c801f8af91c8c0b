import { describe, expect, it } from "vitest";
import { carriedSignature } from "./commit-signature.ts";
import { judgeGpg, judgeSsh } from "./judge-signature.ts";
import { countSigners, primaryFingerprints } from "./signer-keys.ts";

const primary = "A".repeat(40);
const subkey = "B".repeat(40);
const key = "SHA256:TQk+40b7m7JBRDrTgZLYwPGQnm1wfJ0pTYouPO5hmGI";
const allowed = new Set([primary]);

const status = (...lines: string[]): string => lines.map((line) => `[GNUPG:] ${line}\n`).join("");
const good = "GOODSIG 76A4C53A3D48E0D5 Ada <ada@example.com>";
const valid = (by = primary) => `VALIDSIG ${subkey} 2026-11-28 1795876490 0 4 0 22 8 00 ${by}`;

describe("what gpg says", () => {
  it.each<[what: string, lines: readonly string[], expected: object]>([
    ["a good signature", ["NEWSIG", good, valid(), "TRUST_UNDEFINED 0 direct"], { kind: "good", key: primary }],
    ["a name with a line break", ["GOODSIG 76 A%0Ab", valid()], { kind: "good", signer: "A\nb" }],
    ["a key that is not in the file", [good, valid("C".repeat(40))], { reason: "unknown-key" }],
    ["no key", ["ERRSIG 76A4 22 8 00 1 9 -", "NO_PUBKEY 76A4"], { reason: "unknown-key", key: "76A4" }],
    ["a signature of an algorithm nobody knows", ["ERRSIG 76A4 99 8 00 1 4 -"], { reason: "bad" }],
    ["a bad signature", ["BADSIG 76A4 Ada"], { reason: "bad" }],
    ["an expired signature", ["EXPSIG 76A4 Ada", valid()], { reason: "expired" }],
    ["an expired key", ["KEYEXPIRED 1", "EXPKEYSIG 76A4 Ada", valid()], { reason: "expired", key: subkey }],
    ["a revoked key", ["REVKEYSIG 76A4 Ada", valid()], { reason: "revoked" }],
    ["no signature at all", ["NODATA 4"], { reason: "unreadable" }],
    ["nothing", [], { reason: "unreadable" }],
    ["two good ones", [good, valid(), good, valid()], { reason: "unreadable" }],
    ["a good one and a bad one", [good, valid(), "BADSIG 76A4 Eve"], { reason: "unreadable" }],
    ["a bad one and a good one", ["BADSIG 76A4 Eve", good, valid()], { reason: "unreadable" }],
    ["a good one without proof", [good], { reason: "bad" }],
  ])("of %s", (_what, lines, expected) => {
    expect(judgeGpg({ ok: true, said: status(...lines) }, allowed)).toMatchObject(expected);
  });

  it("counts only together with git's own word, and only on status lines", () => {
    expect(judgeGpg({ ok: false, said: status(good, valid()) }, allowed)).toMatchObject({ reason: "bad" });
    expect(judgeGpg({ ok: true, said: `${good}\n${valid()}\n` }, allowed)).toMatchObject({ reason: "unreadable" });
  });
});

describe("what ssh-keygen says", () => {
  const by = `Good "git" signature for ada@example.com with ED25519 key ${key}\n`;
  it.each<[what: string, ok: boolean, said: string, expected: object]>([
    ["a good signature", true, by, { kind: "good", signer: "ada@example.com", key }],
    ["a good signature that git refuses", false, by, { reason: "bad", key }],
    [
      "a key that is not in the file",
      false,
      `Good "git" signature with ED25519 key ${key}\nNo principal matched.\n`,
      { reason: "unknown-key", key },
    ],
    ["a key that git would take", true, `Good "git" signature with ED25519 key ${key}\n`, { reason: "unknown-key" }],
    ["a changed commit", false, "Signature verification failed: incorrect signature\n", { reason: "bad" }],
    ["another purpose", true, `Good "file" signature for ada with ED25519 key ${key}\n`, { reason: "bad" }],
    ["nothing", true, "", { reason: "bad" }],
  ])("of %s", (_what, ok, said, expected) => {
    expect(judgeSsh({ ok, said })).toMatchObject(expected);
  });
});

describe("the signature a commit carries", () => {
  const ssh = "gpgsig -----BEGIN SSH SIGNATURE-----\n AAAA\n -----END SSH SIGNATURE-----\n";
  const gpg = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n AAAA\n -----END PGP SIGNATURE-----\n";
  const text = (headers: string, message = "Change\n"): Uint8Array =>
    Buffer.from(`tree ${"1".repeat(40)}\nauthor A <a> 1 +0000\ncommitter A <a> 1 +0000\n${headers}\n${message}`);
  it.each<[string, Uint8Array, string]>([
    ["none", text(""), "none"],
    ["of SSH", text(ssh), "ssh"],
    ["of GPG, with an empty line in its armor", text(gpg), "gpg"],
    ["of GPG for SHA-256", text(gpg.replace("gpgsig", "gpgsig-sha256")), "gpg"],
    ["of X.509", text("gpgsig -----BEGIN SIGNED MESSAGE-----\n x\n"), "unreadable"],
    ["two of them", text(ssh + gpg), "unreadable"],
    ["only in the message", text("", `Change\n\n${ssh}`), "none"],
    ["only of a tag that was merged", text("mergetag object 1\n gpgsig x\n"), "none"],
  ])("is told: %s", (_what, bytes, expected) => {
    expect(carriedSignature(bytes)).toBe(expected);
  });
});

describe("key files", () => {
  it("count the lines with a key in allowed_signers", () => {
    const body = "AAAAC3NzaC1lZDI1NTE5AAAAIA==";
    const lines = [
      `ada@example.com ssh-ed25519 ${body}`,
      `*@example.com,eve@example.org namespaces="git",valid-after="20240101" ecdsa-sha2-nistp256 ${body} comment`,
      `yubi@example.com sk-ssh-ed25519@openssh.com ${body}`,
    ];
    const others = ["", `# ada@example.com ssh-ed25519 ${body}`, `ssh-ed25519 ${body}`, "ada@example.com", "ada x y"];
    expect(countSigners([...others, ...lines].join("\r\n"))).toBe(3);
  });

  it("are read for the fingerprints of primary keys alone", () => {
    const listing = `pub:u:255:22:X::\nfpr:::::::::${primary}:\nuid:u:::\nsub:u:255:\nfpr:::::::::${subkey}:\n`;
    expect(primaryFingerprints(`tru::1\n${listing}`)).toEqual([primary]);
    expect(primaryFingerprints(listing + listing.replaceAll(primary, "D".repeat(40)))).toEqual([
      primary,
      "D".repeat(40),
    ]);
  });
});
