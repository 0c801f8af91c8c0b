import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { ForgeSimulatorOptions } from "../../src/simulator/forge/options.ts";
import { startForgeSimulator } from "../../src/simulator/forge/simulator.ts";

const run = promisify(execFile);

export type Client = (method: string, path: string, body?: object) => Promise<unknown>;

/** A simulated forge, the control of its simulator, and a work tree that makes a new commit on any branch. */
export async function startForgeLab(options: Omit<ForgeSimulatorOptions, "dataDir">) {
  const dataDir = await mkdtemp(join(tmpdir(), "forge-lab-"));
  const simulator = await startForgeSimulator({ ...options, dataDir: join(dataDir, "forge") });
  const clone = join(dataDir, "clone");
  await run("git", ["init", "--quiet", "--initial-branch=main", clone]);
  const git = gitIn(clone);
  const control = clientOf(`${simulator.url}/_simulator`, {});
  let serial = 0;
  return {
    simulator,
    git,
    control,
    /** A client of the REST API, or of a part of it. */
    client: (part: string, headers: Readonly<Record<string, string>>): Client =>
      clientOf(`${simulator.apiUrl}${part}`, { "user-agent": "test", ...headers }),
    /** A name that no branch has yet. */
    nextBranch: (): string => `topic-${serial}`,
    /** Answers the new commit. */
    commit: async (branch: string): Promise<string> => {
      serial += 1;
      await git("checkout", "--quiet", "-B", branch);
      await git("commit", "--quiet", "--allow-empty", "--message", `commit ${serial}`);
      return git("rev-parse", "HEAD");
    },
    /** @param user Name and token. */
    push: async (user: string, repository: string, branch: string): Promise<void> => {
      await git("push", "--quiet", "--force", addressOf(simulator.url, user, repository), branch);
    },
    addressOf: (user: string, repository: string): string => addressOf(simulator.url, user, repository),
    /** From now on comments are refused in these words, as in a locked conversation by a bot that may not write there. */
    async refuseComments(path: string, status: number, message: string): Promise<string> {
      const refused = (method: string) => ({ kind: "status", status, body: { message }, match: { method, path } });
      await control("POST", "/faults", { faults: ["POST", "PATCH", "PUT"].map(refused) });
      return message;
    },
    async close() {
      await simulator.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function addressOf(url: string, user: string, repository: string): string {
  return `${url.replace("://", `://${user}@`)}/${repository}.git`;
}

function gitIn(cwd: string): (...args: readonly string[]) => Promise<string> {
  const env = {
    ...process.env,
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_AUTHOR_NAME: "Test",
    GIT_AUTHOR_EMAIL: "test@example.invalid",
    GIT_COMMITTER_NAME: "Test",
    GIT_COMMITTER_EMAIL: "test@example.invalid",
  };
  return async (...args) => (await run("git", ["-C", cwd, ...args], { env })).stdout.trim();
}

function clientOf(base: string, headers: Readonly<Record<string, string>>): Client {
  return async (method, path, body) => {
    const answer = await fetch(`${base}${path}`, {
      method,
      headers: { "content-type": "application/json", ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  };
}
