import { execFile } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { messageOf, WatcherError } from "../../lib/errors.ts";
import type { SignaturePolicy } from "../../sync/signature-verdict.ts";

/** The configured keys in a form that git's programs take, apart from everybody's own keyrings. */
export interface SignerKeys {
  /** A private GNUPGHOME that holds the keys of the file and nothing else. */
  readonly gnupgHome: string;
  /** Fingerprints of the primary keys in the file. */
  readonly gpgFingerprints: ReadonlySet<string>;
  /** Our copy of the file; empty where none is configured. */
  readonly allowedSigners: string;
  /** Keys in each file. */
  readonly counts: { readonly ssh: number; readonly gpg: number };
}

/** Nobody uses a folder of earlier keys for so long any more. */
const unusedMs = 86_400_000;
const programMs = 30_000;

/**
 * Reads the key files and answers a folder for exactly their content, made when it is new: processes with different
 * content never share one, and one that is being made is never seen. Throws `signatures-unavailable`: a file that is
 * missing, unreadable or without a key allows nobody, and nothing is decided by it.
 */
export async function prepareSignerKeys(
  policy: SignaturePolicy,
  folder: string,
  env: Environment,
): Promise<SignerKeys> {
  const ssh = await readKeys(policy.allowedSigners);
  const gpg = await readKeys(policy.gpgKeys);
  const sshCount = countSigners(ssh?.toString("utf8") ?? "");
  if (ssh !== undefined && sshCount === 0)
    throw unavailable(
      `${policy.allowedSigners} holds no key: write lines of the form "ada@example.com ssh-ed25519 AAAA..."`,
    );
  const place = join(folder, fingerprintOf(ssh, gpg));
  if (!(await isThere(join(place, "fingerprints")))) await makeKeys({ place, folder, env, policy, ssh, gpg });
  await touch(place);
  const fingerprints = (await readFile(join(place, "fingerprints"), "utf8")).split("\n").filter((line) => line !== "");
  return {
    gnupgHome: join(place, "gnupg"),
    gpgFingerprints: new Set(fingerprints),
    allowedSigners: join(place, "allowed_signers"),
    counts: { ssh: sshCount, gpg: fingerprints.length },
  };
}

type Environment = Readonly<Record<string, string>>;

export function unavailable(what: string, cause?: unknown): WatcherError {
  return new WatcherError("signatures-unavailable", `Signatures cannot be checked, so nothing is synced: ${what}.`, {
    cause,
  });
}

/** Lines that name who and a key, as ssh-keygen takes them (ssh-keygen manual, "ALLOWED SIGNERS"). */
export function countSigners(text: string): number {
  const key = /^[^#\s]\S*\s.*?(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-\S+\s+AAAA[A-Za-z0-9+/]+=*/;
  return text.split("\n").filter((line) => key.test(line.trim())).length;
}

async function readKeys(file: string | undefined): Promise<Buffer | undefined> {
  if (file === undefined) return undefined;
  const bytes = await readFile(file).catch((cause: unknown) => {
    throw unavailable(`${file} ${whyUnread(cause)}`, cause);
  });
  if (bytes.toString("latin1").trim() === "") throw unavailable(`${file} is empty`);
  return bytes;
}

function whyUnread(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  if (code === "ENOENT") return "is not there";
  return code === "EACCES" ? "may not be read by this user" : `cannot be read (${messageOf(error)})`;
}

function fingerprintOf(ssh: Buffer | undefined, gpg: Buffer | undefined): string {
  const hash = createHash("sha256");
  for (const part of [ssh, gpg]) hash.update(`${part?.length ?? "none"}\n`).update(part ?? "");
  return hash.digest("hex").slice(0, 24);
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

interface Making {
  readonly place: string;
  readonly folder: string;
  readonly env: Environment;
  readonly policy: SignaturePolicy;
  readonly ssh: Buffer | undefined;
  readonly gpg: Buffer | undefined;
}

async function makeKeys({ place, folder, env, policy, ssh, gpg }: Making): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  const draft = join(folder, `new-${randomBytes(3).toString("hex")}`);
  try {
    await mkdir(join(draft, "gnupg"), { recursive: true, mode: 0o700 });
    await writeFile(join(draft, "allowed_signers"), ssh ?? "", { mode: 0o600 });
    await writeFile(join(draft, "gnupg", "gpg.conf"), gpgSettings, { mode: 0o600 });
    await writeFile(join(draft, "gnupg", "common.conf"), "", { mode: 0o600 }); // never a keyboxd
    if (ssh !== undefined) await requireSshKeygen(env);
    const keys = gpg === undefined ? [] : await importKeys(join(draft, "gnupg"), gpg, policy.gpgKeys ?? "", env);
    await writeFile(join(draft, "fingerprints"), keys.join("\n"), { mode: 0o600 });
    // Another process may have been quicker: its folder holds the same.
    await rename(draft, place).catch(async (error: unknown) => {
      if (!(await isThere(join(place, "fingerprints")))) throw error;
    });
  } catch (error) {
    if (error instanceof WatcherError) throw error;
    throw unavailable(
      `the keys cannot be prepared in ${place} (${messageOf(error)}); if it is damaged, delete it`,
      error,
    );
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  await removeUnused(folder, place);
}

/** Being in the file is all the trust there is; keys are never fetched, nor taken from a signature. */
const gpgSettings = `batch
no-tty
no-autostart
disable-dirmngr
no-auto-key-retrieve
ignore-invalid-option no-auto-key-import
no-auto-key-import
no-auto-check-trustdb
trust-model direct
`;

/** Answers the fingerprints of the primary keys. */
async function importKeys(home: string, keys: Buffer, name: string, env: Environment): Promise<string[]> {
  const file = join(home, "keys");
  await writeFile(file, keys, { mode: 0o600 });
  const gpg = (...args: string[]) => program("gpg", ["--homedir", home, "--with-colons", ...args, file], env);
  const listed = await gpg("--show-keys").catch((error: unknown) => {
    throw describeGpg(error, name);
  });
  const found = primaryFingerprints(listed);
  if (/^(?:sec|ssb):/m.test(listed))
    throw unavailable(`${name} holds secret keys: write public ones only (gpg --export --armor <key>)`);
  if (found.length === 0) throw unavailable(`${name} holds no OpenPGP key`);
  await gpg("--import").catch((error: unknown) => {
    throw describeGpg(error, name);
  });
  await rm(file);
  return found;
}

/** From gpg's listing with colons (GnuPG doc/DETAILS): the `fpr` record that follows a `pub` record. */
export function primaryFingerprints(listing: string): string[] {
  const found: string[] = [];
  let primary = false;
  for (const line of listing.split("\n")) {
    const fields = line.split(":");
    if (fields[0] === "fpr" && primary) found.push(fields[9] ?? "");
    if (fields[0] === "pub") primary = true;
    else if (fields[0] === "fpr" || fields[0] === "sub") primary = false;
  }
  return found.filter((one) => /^[0-9A-F]{40,64}$/.test(one));
}

function describeGpg(error: unknown, name: string): WatcherError {
  if (isMissing(error)) return unavailable("gpg is not installed or not on PATH, and GPG keys are configured", error);
  const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim().split("\n").at(-1) : undefined;
  return unavailable(`gpg cannot read ${name} (${said ?? messageOf(error)})`, error);
}

/** It has no command that only tells its version; any answer shows that it is there. */
async function requireSshKeygen(env: Environment): Promise<void> {
  await program("ssh-keygen", ["-Y", "find-principals"], env).catch((error: unknown) => {
    if (isMissing(error)) throw unavailable("ssh-keygen is not installed or not on PATH", error);
  });
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOENT";
}

function program(name: string, args: readonly string[], env: Environment): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { env: { ...env }, timeout: programMs, maxBuffer: 64 * 2 ** 20 };
    const child = execFile(name, args, options, (error, stdout) => (error ? reject(error) : resolve(stdout)));
    child.stdin?.end();
  });
}

async function touch(place: string): Promise<void> {
  const now = new Date();
  await utimes(place, now, now).catch(() => undefined);
}

/** Earlier keys, and drafts of processes that died. Whoever still judges by them has touched them since. */
async function removeUnused(folder: string, current: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    if (path === current || !/^(?:new-[0-9a-f]{6}|[0-9a-f]{24})$/.test(name)) continue;
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > unusedMs) await rm(path, { recursive: true, force: true });
  }
}
