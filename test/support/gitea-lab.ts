import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { SimulatedUser } from "../../src/simulator/forge/options.ts";
import { startForgeSimulator } from "../../src/simulator/forge/simulator.ts";

const run = promisify(execFile);

export const repository = { owner: "acme", name: "fleet" } as const;
const full = `${repository.owner}/${repository.name}`;

/** The bot administers the repository: only so it is told what others may. */
const people: readonly SimulatedUser[] = [
  { login: "kraken-bot", token: "bot-token", repositories: { [full]: "admin" } },
  { login: "alice", token: "alice-token" },
  { login: "rita", token: "rita-token", permission: "read" },
];

export type Client = (method: string, path: string, body?: object) => Promise<unknown>;
export type GiteaLab = Awaited<ReturnType<typeof startGiteaLab>>;

/** A simulated Gitea or Forgejo with a repository, a fork of it, and a work tree that can push to both. */
export async function startGiteaLab(flavour: "gitea" | "forgejo", users: readonly SimulatedUser[] = []) {
  const dataDir = await mkdtemp(join(tmpdir(), "gitea-lab-"));
  const simulator = await startForgeSimulator({
    dialect: flavour,
    dataDir: join(dataDir, "forge"),
    repositories: [repository],
    users: [...people, ...users],
    maxPerPage: 4,
  });
  const clone = join(dataDir, "clone");
  const git = gitIn(clone);
  await run("git", ["init", "--quiet", "--initial-branch=main", clone]);
  const as = (token: string): Client => clientOf(`${simulator.apiUrl}/repos/${full}`, `token ${token}`);
  const [bot, alice] = [as("bot-token"), as("alice-token")];
  let serial = 0;

  const commit = async (branch: string): Promise<string> => {
    serial += 1;
    await git("checkout", "--quiet", "-B", branch);
    await git("commit", "--quiet", "--allow-empty", "--message", `commit ${serial}`);
    return git("rev-parse", "HEAD");
  };
  const push = async (branch: string, fork = false): Promise<void> => {
    const address = simulator.url.replace("://", `://any:${fork ? "alice" : "bot"}-token@`);
    await git("push", "--quiet", "--force", `${address}/${fork ? `alice/${repository.name}` : full}.git`, branch);
  };
  await commit("main");
  await push("main");
  await alice("POST", "/forks", {});

  return {
    simulator,
    git,
    as,
    bot,
    alice,
    commit,
    push,
    control: clientOf(`${simulator.url}/_simulator`, undefined),
    nextBranch: (): string => `topic-${serial}`,
    async openPull(options: { readonly fork?: boolean; readonly draft?: boolean } = {}) {
      const branch = `topic-${serial}`;
      await git("checkout", "--quiet", "main");
      const head = await commit(branch);
      await push(branch, options.fork);
      const title = options.draft === true ? `WIP: ${branch}` : branch;
      const body = { title, head: options.fork === true ? `alice:${branch}` : branch, base: "main" };
      const pull = (await alice("POST", "/pulls", body)) as { number: number };
      return { number: pull.number, head, branch };
    },
    async close() {
      await simulator.close();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

function gitIn(cwd: string): (...args: readonly string[]) => Promise<string> {
  const identity = { NAME: "Test", EMAIL: "test@example.invalid" };
  const env = {
    ...process.env,
    GIT_CONFIG_GLOBAL: "/dev/null",
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_TERMINAL_PROMPT: "0",
    GIT_AUTHOR_NAME: identity.NAME,
    GIT_AUTHOR_EMAIL: identity.EMAIL,
    GIT_COMMITTER_NAME: identity.NAME,
    GIT_COMMITTER_EMAIL: identity.EMAIL,
  };
  return async (...args) => (await run("git", ["-C", cwd, ...args], { env })).stdout.trim();
}

function clientOf(base: string, authorization: string | undefined): Client {
  return async (method, path, body) => {
    const answer = await fetch(`${base}${path}`, {
      method,
      headers: { "content-type": "application/json", ...(authorization === undefined ? {} : { authorization }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  };
}
