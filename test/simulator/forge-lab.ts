import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { devNull, tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ForgeSimulatorOptions } from "../../src/simulator/forge/options.ts";
import { type ForgeSimulator, startForgeSimulator } from "../../src/simulator/forge/simulator.ts";
import { Store } from "../../src/simulator/forge/store.ts";

const run = promisify(execFile);

export type Json = Record<string, unknown>;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly json: Json;
  readonly list: readonly Json[];
  readonly text: string;
}

/** A user's git on the forge: a clone in a temporary folder. */
export class Clone {
  readonly directory: string;

  constructor(directory: string) {
    this.directory = directory;
  }

  async git(...args: readonly string[]): Promise<string> {
    const { stdout } = await run("git", args, { cwd: this.directory, env: gitEnvironment() });
    return stdout.trim();
  }

  /** Writes files on the branch that is checked out and commits them; answers the commit. */
  async commit(message: string, files: Readonly<Record<string, string>>): Promise<string> {
    for (const [name, text] of Object.entries(files)) await writeFile(join(this.directory, name), text);
    await this.git("add", ".");
    await this.git("commit", "--quiet", "-m", message);
    return this.git("rev-parse", "HEAD");
  }

  /** Starts a branch at `from` with one commit on it and pushes it; answers the commit. */
  async pushBranch(branch: string, files: Readonly<Record<string, string>>, from = "main"): Promise<string> {
    await this.git("checkout", "--quiet", "-B", branch, from);
    const sha = await this.commit(`Change ${branch}`, files);
    await this.git("push", "--quiet", "--force", "origin", branch);
    return sha;
  }
}

/** A forge with one repository `acme/fleet`, and what a test needs to talk to it. */
export class ForgeLab {
  readonly directory: string;
  readonly options: ForgeSimulatorOptions;
  #forge: ForgeSimulator;
  #clones = 0;

  private constructor(directory: string, options: ForgeSimulatorOptions, forge: ForgeSimulator) {
    this.directory = directory;
    this.options = options;
    this.#forge = forge;
  }

  static async open(options: Partial<ForgeSimulatorOptions> = {}): Promise<ForgeLab> {
    const directory = await mkdtemp(join(tmpdir(), "forge-lab-"));
    const full = { dataDir: join(directory, "data"), repositories: [{ owner: "acme", name: "fleet" }], ...options };
    return new ForgeLab(directory, full, await startForgeSimulator(full));
  }

  get url(): string {
    return this.#forge.url;
  }

  restart(): Promise<void> {
    return this.restartAfter(() => undefined);
  }

  /** Restarts the forge on what its store looks like after a change, such as a kill might have left it. */
  async restartAfter(change: (store: Store) => void): Promise<void> {
    await this.#forge.close();
    const store = new Store(join(this.options.dataDir, "forge.jsonl"));
    change(store);
    store.close();
    this.#forge = await startForgeSimulator(this.options);
  }

  /** The folder of a repository on disk, for what happens behind the forge's back. */
  bareRepository(id: number): string {
    return join(this.options.dataDir, "repositories", `${id}.git`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#forge.close();
    await rm(this.directory, { recursive: true, force: true });
  }

  cloneUrl(repository: string, token: string): string {
    return `${this.url.replace("://", `://x-access-token:${token}@`)}/${repository}.git`;
  }

  async clone(repository = "acme/fleet", token = "alice-token"): Promise<Clone> {
    this.#clones += 1;
    const directory = join(this.directory, `clone-${this.#clones}`);
    await run("git", ["clone", "--quiet", this.cloneUrl(repository, token), directory], { env: gitEnvironment() });
    return new Clone(directory);
  }

  /** A clone whose `main` has one commit and is pushed. */
  async seeded(): Promise<Clone> {
    const clone = await this.clone();
    await clone.git("checkout", "--quiet", "-B", "main");
    await clone.commit("Begin", { "base.txt": "one\ntwo\nthree\n" });
    await clone.git("push", "--quiet", "origin", "main");
    return clone;
  }

  /** A REST call below `/api/v3` (or at a full address), as alice unless told otherwise; `token: ""` sends none. */
  async call(
    method: string,
    path: string,
    options: { body?: unknown; token?: string; headers?: Readonly<Record<string, string>> } = {},
  ): Promise<Answer> {
    const { body, token = "alice-token", headers = {} } = options;
    const response = await fetch(path.startsWith("http") ? path : `${this.url}/api/v3${path}`, {
      method,
      headers: { ...(token === "" ? {} : { authorization: `Bearer ${token}` }), ...headers },
      redirect: "manual",
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const value: unknown =
      (response.headers.get("content-type") ?? "").startsWith("application/json") && text !== ""
        ? JSON.parse(text)
        : {};
    const list = Array.isArray(value) ? (value as Json[]) : [];
    return { status: response.status, headers: response.headers, json: value as Json, list, text };
  }

  /** A call on `acme/fleet`. */
  repo(method: string, path: string, body?: unknown, token = "alice-token"): Promise<Answer> {
    return this.call(method, `/repos/acme/fleet${path}`, { body, token });
  }

  control(method: string, path: string, body?: unknown): Promise<Answer> {
    return this.call(method, `${this.url}/_simulator${path}`, { body, token: "" });
  }

  async openPull(head: string, title = `Take ${head}`, token = "alice-token"): Promise<number> {
    const answer = await this.repo("POST", "/pulls", { title, head, base: "main" }, token);
    if (answer.status !== 201) throw new Error(`pull request refused: ${answer.text}`);
    return Number(answer.json["number"]);
  }

  async pull(number: number): Promise<Json> {
    return (await this.repo("GET", `/pulls/${number}`)).json;
  }

  /** The pull request once the forge knows whether it can be merged. */
  async settledPull(number: number): Promise<Json> {
    return until(async () => {
      const pull = await this.pull(number);
      return pull["mergeable"] === null ? undefined : pull;
    });
  }

  async refs(repository = "acme/fleet"): Promise<Map<string, string>> {
    const { stdout } = await run("git", ["ls-remote", this.cloneUrl(repository, "alice-token")], {
      env: gitEnvironment(),
    });
    const lines = stdout.trim().split("\n");
    return new Map(lines.map((line) => [line.split("\t")[1] ?? "", line.split("\t")[0] ?? ""]));
  }
}

/** Asks again until there is an answer; the test's own time limit ends it. */
export async function until<Value>(ask: () => Promise<Value | undefined> | Value | undefined): Promise<Value> {
  for (;;) {
    const value = await ask();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Follows members through an answer: `at(pull, "head", "sha")`. */
export function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, name) => (inner as Json | undefined)?.[name], value);
}

export function gitEnvironment(): Record<string, string> {
  return {
    PATH: process.env["PATH"] ?? "",
    LC_ALL: "C",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: devNull,
    GIT_TERMINAL_PROMPT: "0",
    GIT_AUTHOR_NAME: "Alice",
    GIT_AUTHOR_EMAIL: "alice@example.org",
    GIT_COMMITTER_NAME: "Alice",
    GIT_COMMITTER_EMAIL: "alice@example.org",
  };
}
