import { chmod, mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { openGitSource } from "../../src/adapters/git/simple-git-source.ts";
import type { GitSource } from "../../src/ports/git-source.ts";
import type { SignaturePolicy, SignatureVerdict } from "../../src/sync/signature-verdict.ts";
import { git as runGit, TestRepository, temporaryFolder } from "../support/git-repository.ts";
import { GpgHome, type Signer, signing, sshSigner } from "../support/signing.ts";

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let repository: TestRepository;
let home: GpgHome;
let sources: GitSource[] = [];

beforeEach(async () => {
  folder = await temporaryFolder();
  repository = await TestRepository.create(join(folder.path, "fleet.git"));
  await repository.commit({ "a.yaml": "a" });
  home = await GpgHome.create(join(folder.path, "g"));
});

afterEach(async () => {
  for (const source of sources.splice(0)) await source[Symbol.asyncDispose]();
  await home[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

/** A commit on main, signed by somebody or by nobody. */
async function commit(signer: Signer | undefined, ...moreParents: readonly string[]): Promise<string> {
  const parents = [(await repository.tip("main")) ?? "", ...moreParents].flatMap((parent) => ["-p", parent]);
  const tree = await repository.git("rev-parse", "main^{tree}");
  const [options, flag] = signer === undefined ? [[], []] : [signing(signer), ["-S"]];
  const id = await repository.git(...options, "commit-tree", ...flag, tree, ...parents, "-m", "Change");
  await repository.setRef("refs/heads/main", id);
  return id;
}

async function file(name: string, ...parts: readonly string[]): Promise<string> {
  const path = join(folder.path, name);
  await writeFile(path, parts.join("\n"));
  return path;
}

async function source(environment: Record<string, string | undefined> = {}): Promise<GitSource> {
  const one = await openGitSource({
    url: repository.path,
    branch: "main",
    path: "",
    mirrorDir: join(folder.path, "mirror"),
    environment: { PATH: process.env["PATH"], ...environment },
  });
  sources.push(one);
  return one;
}

const limit = () => AbortSignal.timeout(30_000);

async function judge(
  revision: string,
  policy: Partial<SignaturePolicy>,
  environment?: Record<string, string | undefined>,
): Promise<SignatureVerdict | undefined> {
  const git = await source(environment);
  await git.fetchBranch(limit());
  const full = { allowedSigners: undefined, gpgKeys: undefined, ...policy };
  return (await git.verifySignatures([revision], full, limit())).get(revision);
}

it("takes SSH signatures by keys of the file and no others, whatever came before them", async () => {
  const [ada, eve] = [await sshSigner(folder.path, "ada@example.com"), await sshSigner(folder.path, "eve@example.com")];
  const allowedSigners = await file("allowed", "# who may", ada.publicKey);
  const unsigned = await commit(undefined);
  const byEve = await commit(eve);
  const byAda = await commit(ada);
  const git = await source();
  await git.fetchBranch(limit());
  const policy = { allowedSigners, gpgKeys: undefined };
  expect([...(await git.verifySignatures([byAda, byEve, unsigned], policy, limit()))]).toEqual([
    [byAda, { kind: "good", by: "ssh", signer: "ada@example.com", key: ada.fingerprint }],
    [byEve, { kind: "refused", by: "ssh", reason: "unknown-key", key: eve.fingerprint }],
    [unsigned, { kind: "refused", by: undefined, reason: "unsigned", key: undefined }],
  ]);
});

it("takes GPG signatures by keys of the file, armored or binary, and no others", async () => {
  const [ada, eve] = [await home.signer("Ada Ö <ada@example.com>"), await home.signer("Eve <eve@example.com>")];
  const byEve = await commit(eve);
  const byAda = await commit(ada);
  const gpgKeys = await file("keys.asc", ada.publicKey);
  expect(await judge(byAda, { gpgKeys })).toEqual({
    kind: "good",
    by: "gpg",
    signer: "Ada Ö <ada@example.com>",
    key: ada.fingerprint,
  });
  expect(await judge(byEve, { gpgKeys })).toMatchObject({ reason: "unknown-key", by: "gpg" });
  const binary = join(folder.path, "keys.gpg");
  await home.gpg(["--output", binary, "--export", eve.fingerprint]);
  expect(await judge(byEve, { gpgKeys: binary })).toMatchObject({ kind: "good", key: eve.fingerprint });
  expect(await judge(byAda, { gpgKeys: binary })).toMatchObject({ reason: "unknown-key" });
});

it("refuses keys that expired or were revoked", async () => {
  const old = await home.signer("Old <old@example.com>", "20200101T000000");
  const gone = await home.signer("Gone <gone@example.com>");
  const byOld = await commit(old);
  const byGone = await commit(gone);
  const gpgKeys = await file("keys.asc", old.publicKey, gone.publicKey);
  expect(await judge(byOld, { gpgKeys })).toMatchObject({ reason: "expired", key: old.fingerprint });
  expect(await judge(byGone, { gpgKeys })).toMatchObject({ kind: "good" });
  await file("keys.asc", old.publicKey, await home.revoke(gone));
  expect(await judge(byGone, { gpgKeys })).toMatchObject({ reason: "revoked", key: gone.fingerprint });
});

it("refuses commits that were changed after they were signed, and signatures that are put together", async () => {
  const ada = await sshSigner(folder.path, "ada@example.com");
  const gpgAda = await home.signer("Ada <ada@example.com>");
  const policy = {
    allowedSigners: await file("allowed", ada.publicKey),
    gpgKeys: await file("keys.asc", gpgAda.publicKey),
  };
  const [ssh, gpg] = [await commit(ada), await commit(gpgAda)];
  const rewrite = async (id: string, change: (text: string) => string): Promise<string> => {
    const text = change(`${await repository.git("cat-file", "commit", id)}\n`);
    const changed = await runGit(
      repository.path,
      ["hash-object", "-t", "commit", "-w", "--stdin", "--literally"],
      text,
    );
    await repository.setRef("refs/heads/main", changed);
    return changed;
  };
  const header = (text: string): string => /^gpgsig .*\n(?: .*\n)+/m.exec(text)?.[0] ?? "";
  for (const id of [ssh, gpg]) {
    const changed = await rewrite(id, (text) => text.replace(/Change\n$/, "Changed\n"));
    expect(await judge(changed, policy)).toMatchObject({ reason: "bad" });
    const cut = await rewrite(id, (text) =>
      text.replace(header(text), header(text).split("\n").slice(0, 1).join("") + "\n =\n"),
    );
    expect(await judge(cut, policy)).toMatchObject({ kind: "refused" });
    const doubled = await rewrite(id, (text) => text.replace(header(text), header(text) + header(text)));
    expect(await judge(doubled, policy)).toMatchObject({ reason: "unreadable" });
  }
  const other = await rewrite(ssh, (text) => text.replace(header(text), "gpgsig -----BEGIN SIGNED MESSAGE-----\n x\n"));
  expect(await judge(other, policy)).toMatchObject({ reason: "unreadable" });
  expect(await judge(ssh, policy)).toMatchObject({ kind: "good" });
});

it("judges a merge commit by its own signature, and says when no key of its kind is configured", async () => {
  const ada = await sshSigner(folder.path, "ada@example.com");
  const forge = await home.signer("Forge <noreply@example.com>");
  const head = await commit(ada);
  await repository.setRef("refs/heads/main", await repository.git("rev-parse", "main~1"));
  const [unsigned, signed] = [await commit(undefined, head), await commit(forge, head)];
  const allowedSigners = await file("allowed", ada.publicKey);
  const gpgKeys = await file("keys.asc", forge.publicKey);
  expect(await judge(unsigned, { allowedSigners, gpgKeys })).toMatchObject({ reason: "unsigned" });
  expect(await judge(signed, { allowedSigners, gpgKeys })).toMatchObject({ kind: "good", by: "gpg" });
  expect(await judge(signed, { allowedSigners })).toMatchObject({ reason: "not-allowed-kind", by: "gpg" });
  expect(await judge(head, { gpgKeys })).toMatchObject({ reason: "not-allowed-kind", by: "ssh" });
});

it("honours the conditions of a line: its namespace and the times it is valid", async () => {
  const other = await sshSigner(folder.path, "mail@example.com", 'namespaces="email"');
  const past = await sshSigner(folder.path, "past@example.com", 'valid-before="20200101"');
  const allowedSigners = await file("allowed", other.publicKey, past.publicKey);
  expect(await judge(await commit(other), { allowedSigners })).toMatchObject({ kind: "refused" });
  expect(await judge(await commit(past), { allowedSigners })).toMatchObject({ kind: "refused" });
});

it("is not misled by this machine's keyrings, settings and variables, nor by those of the mirror", async () => {
  const eve = await home.signer("Eve <eve@example.com>");
  const sshEve = await sshSigner(folder.path, "eve@example.com");
  const gpgKeys = await file("keys.asc", (await home.signer("Ada <ada@example.com>")).publicKey);
  const allowedSigners = await file("allowed", (await sshSigner(folder.path, "ada@example.com")).publicKey);
  const eager = join(folder.path, "eager");
  await writeFile(
    eager,
    `#!/bin/sh\necho '[GNUPG:] GOODSIG 1 Eve'\necho 'Good "git" signature for eve with X key SHA256:x'\n`,
  );
  await chmod(eager, 0o755);
  const everyone = await file("everyone", sshEve.publicKey);
  const ini = `[gpg]\n\tprogram = ${eager}\n[gpg "ssh"]\n\tprogram = ${eager}\n\tallowedSignersFile = ${everyone}\n`;
  await writeFile(join(folder.path, ".gitconfig"), ini);
  const misleading = { HOME: folder.path, GNUPGHOME: home.folder, GIT_CONFIG_GLOBAL: join(folder.path, ".gitconfig") };
  const [byGpg, bySsh] = [await commit(eve), await commit(sshEve)];
  await judge(bySsh, { allowedSigners }, misleading);
  const mirror = join(folder.path, "mirror");
  for (const [key, value] of [
    ["gpg.program", eager],
    ["gpg.openpgp.program", eager],
    ["gpg.ssh.program", eager],
    ["gpg.ssh.allowedSignersFile", everyone],
  ] as const)
    await runGit(mirror, ["config", key, value]);
  expect(await judge(byGpg, { gpgKeys, allowedSigners }, misleading)).toMatchObject({ reason: "unknown-key" });
  expect(await judge(bySsh, { gpgKeys, allowedSigners }, misleading)).toMatchObject({ reason: "unknown-key" });
});

it("follows a file that changes, and keeps what it holds to itself", async () => {
  const [ada, eve] = [await sshSigner(folder.path, "ada@example.com"), await sshSigner(folder.path, "eve@example.com")];
  const allowedSigners = await file("allowed", ada.publicKey);
  const byEve = await commit(eve);
  const git = await source();
  await git.fetchBranch(limit());
  const policy = { allowedSigners, gpgKeys: undefined };
  const verdict = async () => (await git.verifySignatures([byEve], policy, limit())).get(byEve)?.kind;
  expect(await verdict()).toBe("refused");
  await file("allowed", ada.publicKey, eve.publicKey);
  expect(await verdict()).toBe("good");
  await file("allowed", ada.publicKey);
  expect(await verdict()).toBe("refused");
  const place = join(folder.path, "mirror-signers");
  for (const name of await readdir(place)) expect((await stat(join(place, name, "gnupg"))).mode & 0o777).toBe(0o700);
  expect((await readdir(place)).filter((name) => name.startsWith("new-"))).toEqual([]);
  for (const name of await readdir(place)) await rm(join(place, name, "fingerprints"));
  await expect(verdict()).rejects.toMatchObject({
    code: "signatures-unavailable",
    message: expect.stringContaining("if it is damaged, delete it"),
  });
  await rm(place, { recursive: true });
  expect(await verdict()).toBe("refused");
});

it("says nothing of a commit when the keys or a program are missing", async () => {
  const ada = await sshSigner(folder.path, "ada@example.com");
  const gpgAda = await home.signer("Ada <ada@example.com>");
  const byAda = await commit(ada);
  const gpgKeys = await file("keys.asc", gpgAda.publicKey);
  const allowedSigners = await file("allowed", ada.publicKey);
  const without = (code: string) =>
    expect.objectContaining({ code: "signatures-unavailable", message: expect.stringContaining(code) });
  await expect(judge(byAda, { allowedSigners: join(folder.path, "absent") })).rejects.toEqual(
    without("absent is not there"),
  );
  await expect(judge(byAda, { allowedSigners: await file("empty", "\n") })).rejects.toEqual(without("is empty"));
  await expect(judge(byAda, { allowedSigners: await file("none", "# nobody") })).rejects.toEqual(
    without("holds no key"),
  );
  await expect(judge(byAda, { gpgKeys: await file("junk", "junk") })).rejects.toEqual(without("gpg cannot read"));
  const secret = await file("secret", await home.gpg(["--armor", "--export-secret-keys"]));
  await expect(judge(byAda, { gpgKeys: secret })).rejects.toEqual(without("holds secret keys"));
  // A machine with git alone.
  const bin = join(folder.path, "bin");
  await mkdir(bin);
  await writeFile(join(bin, "git"), `#!/bin/sh\nexec ${await which("git")} "$@"\n`);
  await chmod(join(bin, "git"), 0o755);
  const bare = { PATH: bin };
  await rm(join(folder.path, "mirror-signers"), { recursive: true, force: true });
  await expect(judge(byAda, { allowedSigners }, bare)).rejects.toEqual(without("ssh-keygen is not installed"));
  await expect(judge(byAda, { gpgKeys }, bare)).rejects.toEqual(without("gpg is not installed"));
  expect(await judge(byAda, { allowedSigners })).toMatchObject({ kind: "good" });
  // The keys are prepared now, and the program goes away.
  await expect(judge(byAda, { allowedSigners }, bare)).rejects.toEqual(without("ssh-keygen cannot be run"));
});

async function which(name: string): Promise<string> {
  for (const place of (process.env["PATH"] ?? "").split(":"))
    if (await stat(join(place, name)).catch(() => undefined)) return join(place, name);
  throw new Error(`${name} is not on PATH`);
}
