import { execFile } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A person's clone of the demo repository, worked on with git itself. */
export class WorkTree {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes the first commit of an empty repository, so that there is a branch to open pull requests against. */
  static async start(folder: string, remote: string, token: string): Promise<WorkTree> {
    await mkdir(folder, { recursive: true });
    const tree = new WorkTree(folder);
    await tree.git("init", "--quiet", "--initial-branch=main");
    await tree.git("config", "user.name", "Alice Operator");
    await tree.git("config", "user.email", "alice@example.invalid");
    // A throw-away token for a forge on this machine: fine in a config file, never done with a real one.
    await tree.git(
      "config",
      "http.extraHeader",
      `Authorization: Basic ${Buffer.from(`alice:${token}`).toString("base64")}`,
    );
    await tree.git("remote", "add", "origin", remote);
    await writeFile(join(folder, "README.md"), "# Fleet\n\nThe VMs of our sites, as manifests.\n");
    await tree.commit("Begin the fleet repository");
    await tree.git("push", "--quiet", "origin", "main");
    return tree;
  }

  /** One that was started before. */
  static at(folder: string): WorkTree {
    return new WorkTree(folder);
  }

  async addManifests(from: string): Promise<void> {
    await mkdir(join(this.#folder, "manifests"), { recursive: true });
    for (const name of await readdir(from))
      if (name.endsWith(".yaml")) await copyFile(join(from, name), join(this.#folder, "manifests", name));
  }

  /** Replaces the first occurrence of a text in a file; throws when it is not there. */
  async edit(file: string, before: string, after: string): Promise<void> {
    const path = join(this.#folder, file);
    const text = await readFile(path, "utf8");
    if (!text.includes(before)) throw new Error(`${file} does not contain ${before}`);
    await writeFile(path, text.replace(before, after));
  }

  async write(file: string, text: string): Promise<void> {
    await writeFile(join(this.#folder, file), text);
  }

  async remove(file: string): Promise<void> {
    await rm(join(this.#folder, file));
  }

  async branch(name: string): Promise<void> {
    await this.git("switch", "--quiet", "-c", name);
  }

  /** Commits everything and answers the commit. */
  async commit(message: string): Promise<string> {
    await this.git("add", "--all");
    await this.git("commit", "--quiet", "--message", message);
    return this.git("rev-parse", "HEAD");
  }

  async push(branch: string): Promise<void> {
    await this.git("push", "--quiet", "origin", branch);
  }

  async pullMain(): Promise<void> {
    await this.git("switch", "--quiet", "main");
    await this.git("pull", "--quiet", "--ff-only", "origin", "main");
  }

  /** Reverts a merge commit, as `git revert -m 1` does, and answers the new commit. */
  async revertMerge(revision: string): Promise<string> {
    await this.git("revert", "--no-edit", "-m", "1", revision);
    return this.git("rev-parse", "HEAD");
  }

  async git(...args: readonly string[]): Promise<string> {
    const env = { ...process.env, GIT_CONFIG_GLOBAL: "/dev/null", GIT_CONFIG_NOSYSTEM: "1", GIT_TERMINAL_PROMPT: "0" };
    const { stdout } = await run("git", ["-C", this.#folder, ...args], { env, timeout: 30_000 });
    return stdout.trim();
  }
}
