import { openGitlab } from "../../src/adapters/forge/gitlab.ts";
import type { ForgeSimulator } from "../../src/simulator/forge/simulator.ts";
import { type Client, startForgeLab } from "./forge-lab.ts";
import type { ForgeBench, LostWrite } from "../contract/forge.contract.ts";

const path = "acme/infra/fleet";
const project = `/projects/${encodeURIComponent(path)}`;
const pageSize = 4;
const users = [
  { login: "kraken-bot", token: "bot-token", type: "Bot" },
  { login: "alice", token: "alice-token" },
  { login: "rita", token: "rita-token", permission: "read" },
] as const;

/** What a lost write looks like on the wire. */
const lost: Readonly<Record<LostWrite, { readonly method: string; readonly path: string }>> = {
  status: { method: "POST", path: "/statuses/" },
  comment: { method: "POST", path: "/notes$" },
  reaction: { method: "POST", path: "/award_emoji$" },
  deployment: { method: "POST", path: "/deployments$" },
  "deployment status": { method: "PUT", path: "/deployments/\\d+$" },
};

const reactions: Readonly<Record<string, string>> = { thumbsup: "+1", thumbsdown: "-1" };
const states: Readonly<Record<string, string>> = { running: "in_progress", failed: "failure" };

/** The GitLab adapter on a simulated GitLab, with a project in a group of a group. */
export async function startGitlabBench(): Promise<ForgeBench & { readonly simulator: ForgeSimulator }> {
  const lab = await startForgeLab({
    dialect: "gitlab",
    repositories: [{ owner: "acme/infra", name: "fleet" }],
    users,
    maxPerPage: pageSize,
    rateLimits: { primary: 100_000 },
  });
  const { simulator, git, commit, push, control } = lab;
  const as = (token: string): Client => lab.client("", { "private-token": token });
  const [bot, alice] = [as("bot-token"), as("alice-token")];

  const all = async (at: string): Promise<unknown[]> => {
    const entries: unknown[] = [];
    for (let page = 1; ; page += 1) {
      const more = (await alice("GET", `${project}${at}${at.includes("?") ? "&" : "?"}page=${page}`)) as unknown[];
      entries.push(...more);
      if (more.length < pageSize) return entries;
    }
  };
  const notesOf = async (number: number) =>
    (
      (await all(`/merge_requests/${number}/notes?sort=asc`)) as {
        id: number;
        system: boolean;
        author: { username: string };
        body: string;
      }[]
    ).filter(({ system }) => !system);

  await commit("main");
  await push("oauth2:bot-token", path, "main");
  const { id: projectId } = (await alice("GET", project)) as { id: number };
  const { id: forkId } = (await alice("POST", `${project}/fork`, {})) as { id: number };

  return {
    simulator,
    pageSize,
    rocket: "🚀",
    headRef: (number) => `refs/merge-requests/${number}/head`,
    open: () =>
      openGitlab({
        apiUrl: simulator.apiUrl,
        project: path,
        token: () => Promise.resolve("bot-token"),
        timeoutMs: 10_000,
      }),
    async newCommit() {
      const branch = lab.nextBranch();
      const revision = await commit(branch);
      await push("oauth2:bot-token", path, branch);
      return revision;
    },
    async newPullRequest(options = {}) {
      const branch = lab.nextBranch();
      // From the present tip, so that a fast-forward is possible.
      await git("fetch", "--quiet", lab.addressOf("oauth2:bot-token", path), "main");
      await git("checkout", "--quiet", "-B", "main", "FETCH_HEAD");
      const head = await commit(branch);
      const fork = options.fork === true;
      await push(fork ? "oauth2:alice-token" : "oauth2:bot-token", fork ? "alice/fleet" : path, branch);
      const body = {
        title: options.draft === true ? `Draft: ${branch}` : branch,
        source_branch: branch,
        target_branch: "main",
        target_project_id: projectId,
      };
      const made = await alice("POST", `/projects/${fork ? forkId : projectId}/merge_requests`, body);
      return { number: (made as { iid: number }).iid, head, branch };
    },
    async mergePullRequest(number, style) {
      const request = `${project}/merge_requests/${number}`;
      const maintain = async (body: object): Promise<void> => {
        await control("POST", "/permissions", { repository: path, login: "alice", permission: "admin" });
        await alice("PUT", project, body);
        await control("POST", "/permissions", { repository: path, login: "alice", permission: "write" });
      };
      // GitLab rebases the source branch itself, which makes a new head; what comes next to that is the fast-forward.
      if (style === "rebase") await maintain({ merge_method: "ff" });
      const body = style === "squash" ? { squash: true, squash_commit_message: "one commit" } : {};
      const merged = (await alice("PUT", `${request}/merge`, body)) as Record<string, string | null>;
      if (style === "rebase") await maintain({ merge_method: "merge" });
      return merged["merge_commit_sha"] ?? merged["squash_commit_sha"] ?? merged["sha"] ?? "";
    },
    async closePullRequest(number) {
      await alice("PUT", `${project}/merge_requests/${number}`, { state_event: "close" });
    },
    async commentAsOther(number, body) {
      return String(
        ((await alice("POST", `${project}/merge_requests/${number}/notes`, { body })) as { id: number }).id,
      );
    },
    async editAsOther(number, id, body) {
      await alice("PUT", `${project}/merge_requests/${number}/notes/${id}`, { body });
    },
    async listComments(number) {
      return (await notesOf(number)).map(({ author, body }) => ({ author: author.username, body }));
    },
    async deleteOwnComments(number) {
      for (const { id, author } of await notesOf(number))
        if (author.username === "kraken-bot") await bot("DELETE", `${project}/merge_requests/${number}/notes/${id}`);
    },
    async listStatuses(revision) {
      return (await control("GET", `/statuses?sha=${revision}`)) as { context: string; description: string }[];
    },
    async listReactions(number, id) {
      const given = (await all(`/merge_requests/${number}/notes/${id}/award_emoji`)) as { name: string }[];
      return given.map(({ name }) => reactions[name] ?? name);
    },
    async findPerson(kind) {
      if (kind === "nobody") return { login: "nobody", id: "4711" };
      const login = kind === "writer" ? "alice" : "rita";
      const [user] = (await bot("GET", `/users?username=${login}`)) as { id: number }[];
      return { login, id: String(user?.id) };
    },
    async setWriter(may) {
      const permission = may ? "write" : "read";
      await control("POST", "/permissions", { repository: path, login: "alice", permission });
    },
    async listDeployments(revision, environment) {
      const query = new URLSearchParams({ sha: revision, environment });
      const found = (await control("GET", `/deployments?${query.toString()}`)) as { history: string[] }[];
      return found.map(({ history }) => history.map((state) => states[state] ?? state));
    },
    async loseAnswerOnce(write) {
      await control("POST", "/faults", { kind: "drop-after", match: lost[write], times: 1 });
    },
    lockConversations: () => lab.refuseComments("/notes(/\\d+)?$", 403, "403 Forbidden"),
    async unlockConversations() {
      await control("DELETE", "/faults");
    },
    close: () => lab.close(),
  };
}
