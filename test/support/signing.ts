import { execFile } from "node:child_process";
import { chmod, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** Somebody who signs commits, with real keys of ssh-keygen or gpg. */
export interface Signer {
  /** Settings of git (`-c`) with which a commit is signed by this key. */
  readonly settings: readonly string[];
  /** What others may know: a line for allowed_signers, or an armored key. */
  readonly publicKey: string;
  /** As it is shown: `SHA256:...` or a fingerprint. */
  readonly fingerprint: string;
}

/** An SSH key whose line in allowed_signers names `who`. */
export async function sshSigner(folder: string, who: string, options = 'namespaces="git"'): Promise<Signer> {
  const file = join(folder, `ssh-${who.replaceAll(/\W/g, "-")}`);
  await run("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", who, "-f", file]);
  const { stdout } = await run("ssh-keygen", ["-l", "-f", `${file}.pub`]);
  return {
    settings: ["gpg.format=ssh", `user.signingkey=${file}`, "gpg.ssh.program=ssh-keygen"],
    publicKey: `${who} ${options} ${await readFile(`${file}.pub`, "utf8")}`,
    fingerprint: /SHA256:\S+/.exec(stdout)?.[0] ?? "",
  };
}

/** Keys of gpg in a home of their own, whose agent ends with it. */
export class GpgHome implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(folder: string): Promise<GpgHome> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    return new GpgHome(folder);
  }

  /** A key for signing; with `at` (`20200101T000000`) it is made and used as if it were that time, and expires a day later. */
  async signer(who: string, at?: string): Promise<Signer> {
    const time = at === undefined ? [] : ["--faked-system-time", at];
    const expires = at === undefined ? "0" : "1d";
    await this.gpg([...time, "--passphrase", "", "--quick-gen-key", who, "ed25519", "sign", expires]);
    const fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(await this.gpg(["--with-colons", "--list-keys", who]))?.[1] ?? "";
    const wrapper = join(this.folder, `gpg-${fingerprint}`);
    const words = ["gpg", "--homedir", this.folder, "--batch", "--no-tty", ...time];
    await writeFile(wrapper, `#!/bin/sh\nexec ${words.join(" ")} "$@"\n`);
    await chmod(wrapper, 0o755);
    return {
      settings: ["gpg.format=openpgp", `user.signingkey=${fingerprint}`, `gpg.program=${wrapper}`],
      publicKey: await this.publicKey(fingerprint),
      fingerprint,
    };
  }

  publicKey(fingerprint: string): Promise<string> {
    return this.gpg(["--armor", "--export", fingerprint]);
  }

  /** Uses the revocation certificate that gpg wrote beside the key, and answers the key as it is published then. */
  async revoke({ fingerprint }: Signer): Promise<string> {
    const file = join(this.folder, "openpgp-revocs.d", `${fingerprint}.rev`);
    await writeFile(file, (await readFile(file, "utf8")).replace(":-----BEGIN", "-----BEGIN"));
    await this.gpg(["--import", file]);
    return this.publicKey(fingerprint);
  }

  async gpg(args: readonly string[]): Promise<string> {
    return (await run("gpg", ["--homedir", this.folder, "--batch", "--no-tty", "--quiet", ...args])).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("gpgconf", ["--homedir", this.folder, "--kill", "all"]).catch(() => undefined);
  }
}

/** Arguments of git that come before its command. */
export function signing({ settings }: Signer): string[] {
  return settings.flatMap((setting) => ["-c", setting]);
}
