import type { SimulatedUser } from "../../src/simulator/forge/options.ts";
import { type Client, startForgeLab } from "./forge-lab.ts";

export const repository = { owner: "acme", name: "fleet" } as const;
const full = `${repository.owner}/${repository.name}`;

/** The bot administers the repository: only so it is told what others may. */
const people: readonly SimulatedUser[] = [
  { login: "kraken-bot", token: "bot-token", repositories: { [full]: "admin" } },
  { login: "alice", token: "alice-token" },
  { login: "rita", token: "rita-token", permission: "read" },
];

export type GiteaLab = Awaited<ReturnType<typeof startGiteaLab>>;

/** A simulated Gitea or Forgejo with a repository, a fork of it, and a work tree that can push to both. */
export async function startGiteaLab(flavour: "gitea" | "forgejo", users: readonly SimulatedUser[] = []) {
  const lab = await startForgeLab({
    dialect: flavour,
    repositories: [repository],
    users: [...people, ...users],
    maxPerPage: 4,
  });
  const { git, commit } = lab;
  const as = (token: string): Client => lab.client(`/repos/${full}`, { authorization: `token ${token}` });
  const [bot, alice] = [as("bot-token"), as("alice-token")];
  const push = (branch: string, fork = false): Promise<void> =>
    lab.push(`any:${fork ? "alice" : "bot"}-token`, fork ? `alice/${repository.name}` : full, branch);
  await commit("main");
  await push("main");
  await alice("POST", "/forks", {});

  return {
    ...lab,
    as,
    bot,
    alice,
    push,
    async openPull(options: { readonly fork?: boolean; readonly draft?: boolean } = {}) {
      const branch = lab.nextBranch();
      await git("checkout", "--quiet", "main");
      const head = await commit(branch);
      await push(branch, options.fork);
      const title = options.draft === true ? `WIP: ${branch}` : branch;
      const body = { title, head: options.fork === true ? `alice:${branch}` : branch, base: "main" };
      const pull = (await alice("POST", "/pulls", body)) as { number: number };
      return { number: pull.number, head, branch };
    },
  };
}
