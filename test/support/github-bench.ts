import { openGithub } from "../../src/adapters/forge/github.ts";
import { type Client, startForgeLab } from "./forge-lab.ts";
import { openGithubDescription } from "./github-description.ts";
import type { ForgeBench, LostWrite } from "../contract/forge.contract.ts";

const owner = "acme";
const name = "fleet";
const pageSize = 4;
const users = [
  { login: "kraken-bot", token: "bot-token", type: "Bot" },
  { login: "alice", token: "alice-token" },
  { login: "rita", token: "rita-token", permission: "read" },
] as const;

/** What a lost write looks like on the wire. */
const lostPaths: Readonly<Record<LostWrite, string>> = {
  status: `/repos/${owner}/${name}/statuses/`,
  comment: "/issues/\\d+/comments$",
  reaction: "/reactions$",
  deployment: "/deployments$",
  "deployment status": "/deployments/\\d+/statuses$",
};

export interface GithubBench extends ForgeBench {
  readonly apiUrl: string;
  /** Where requests or answers were not as GitHub describes its API. */
  violations(): readonly string[];
  /** Which operations of the description were compared. */
  operations(): ReadonlySet<string>;
}

/** The GitHub adapter on a simulated forge with a real git repository in it. */
export async function startGithubBench(): Promise<GithubBench> {
  const description = openGithubDescription();
  const lab = await startForgeLab({
    repositories: [{ owner, name }],
    users,
    observe: (exchange) => description.check(exchange),
    maxPerPage: pageSize,
    rateLimits: { primary: 100_000 },
  });
  const { simulator, git, commit, push, control } = lab;
  const as = (token: string): Client => lab.client("", { authorization: `Bearer ${token}` });
  const [bot, alice] = [as("bot-token"), as("alice-token")];

  const all = async (path: string): Promise<unknown[]> => {
    const entries: unknown[] = [];
    for (let page = 1; ; page += 1) {
      const more = (await alice("GET", `/repos/${owner}/${name}${path}?page=${page}`)) as unknown[];
      entries.push(...more);
      if (more.length < pageSize) return entries;
    }
  };
  await commit("main");
  await push("kraken-bot:bot-token", `${owner}/${name}`, "main");
  await alice("POST", `/repos/${owner}/${name}/forks`, {});

  return {
    apiUrl: simulator.apiUrl,
    pageSize,
    rocket: "□",
    headRef: (number) => `refs/pull/${number}/head`,
    open: () =>
      openGithub({
        apiUrl: simulator.apiUrl,
        owner,
        repository: name,
        token: () => Promise.resolve("bot-token"),
        timeoutMs: 10_000,
      }),
    async newCommit() {
      const branch = lab.nextBranch();
      const revision = await commit(branch);
      await push("kraken-bot:bot-token", `${owner}/${name}`, branch);
      return revision;
    },
    async newPullRequest(options = {}) {
      const branch = lab.nextBranch();
      await git("checkout", "--quiet", "main");
      const head = await commit(branch);
      const fork = options.fork === true;
      await push(fork ? "alice:alice-token" : "kraken-bot:bot-token", `${fork ? "alice" : owner}/${name}`, branch);
      const body = {
        title: branch,
        head: fork ? `alice:${branch}` : branch,
        base: "main",
        draft: options.draft === true,
      };
      const pull = (await alice("POST", `/repos/${owner}/${name}/pulls`, body)) as { number: number };
      return { number: pull.number, head, branch };
    },
    async mergePullRequest(number, style) {
      const path = `/repos/${owner}/${name}/pulls/${number}/merge`;
      return ((await alice("PUT", path, { merge_method: style })) as { sha: string }).sha;
    },
    async closePullRequest(number) {
      await alice("PATCH", `/repos/${owner}/${name}/pulls/${number}`, { state: "closed" });
    },
    async commentAsOther(number, body) {
      const path = `/repos/${owner}/${name}/issues/${number}/comments`;
      return String(((await alice("POST", path, { body })) as { id: number }).id);
    },
    async editAsOther(_number, id, body) {
      await alice("PATCH", `/repos/${owner}/${name}/issues/comments/${id}`, { body });
    },
    async listComments(number) {
      const comments = (await all(`/issues/${number}/comments`)) as { user: { login: string }; body: string }[];
      return comments.map((comment) => ({ author: comment.user.login, body: comment.body }));
    },
    async deleteOwnComments(number) {
      const path = `/repos/${owner}/${name}/issues`;
      const comments = (await bot("GET", `${path}/${number}/comments`)) as { id: number; user: { login: string } }[];
      for (const { id, user } of comments)
        if (user.login === "kraken-bot") await bot("DELETE", `${path}/comments/${id}`);
    },
    async listStatuses(revision) {
      return (await control("GET", `/statuses?sha=${revision}`)) as { context: string; description: string }[];
    },
    async listReactions(_number, id) {
      const reactions = (await all(`/issues/comments/${id}/reactions`)) as { content: string }[];
      return reactions.map(({ content }) => content);
    },
    async findPerson(kind) {
      if (kind === "nobody") return { login: "nobody", id: "4711" };
      const login = kind === "writer" ? "alice" : "rita";
      return { login, id: String(((await bot("GET", `/users/${login}`)) as { id: number }).id) };
    },
    async setWriter(may) {
      const permission = may ? "write" : "read";
      await control("POST", "/permissions", { repository: `${owner}/${name}`, login: "alice", permission });
    },
    async listDeployments(revision, environment) {
      const found = (await all("/deployments")) as { id: number; sha: string; environment: string }[];
      const wanted = found.filter((one) => one.sha === revision && one.environment === environment).toReversed();
      return Promise.all(
        wanted.map(async ({ id }) =>
          ((await all(`/deployments/${id}/statuses`)) as { state: string }[]).map(({ state }) => state).toReversed(),
        ),
      );
    },
    async loseAnswerOnce(write) {
      const fault = { kind: "drop-after", match: { method: "POST", path: lostPaths[write] }, times: 1 };
      await control("POST", "/faults", fault);
    },
    lockConversations: () =>
      lab.refuseComments(
        "/issues/(\\d+/comments|comments/\\d+)$",
        403,
        "Unable to create comment because issue is locked.",
      ),
    async unlockConversations() {
      await control("DELETE", "/faults");
    },
    violations: () => description.violations(),
    operations: () => description.operations(),
    close: () => lab.close(),
  };
}
