import { openGitea } from "../../src/adapters/forge/gitea.ts";
import type { ForgeBench, LostWrite } from "../contract/forge.contract.ts";
import { repository, startGiteaLab } from "./gitea-lab.ts";

/** What a lost write looks like on the wire; there are no deployments. */
const lostPaths: Readonly<Partial<Record<LostWrite, string>>> = {
  status: "/statuses/",
  comment: "/issues/\\d+/comments$",
  reaction: "/reactions$",
};

/** The adapter for Gitea and Forgejo on a simulated one. */
export async function startGiteaBench(flavour: "gitea" | "forgejo"): Promise<ForgeBench> {
  const lab = await startGiteaLab(flavour);
  const { simulator, alice, bot, control } = lab;

  return {
    pageSize: 4,
    rocket: "🚀",
    headRef: (number) => `refs/pull/${number}/head`,
    open: () =>
      openGitea({
        flavour,
        apiUrl: simulator.apiUrl,
        owner: repository.owner,
        repository: repository.name,
        token: () => Promise.resolve("bot-token"),
        timeoutMs: 10_000,
      }),
    async newCommit() {
      const branch = lab.nextBranch();
      const revision = await lab.commit(branch);
      await lab.push(branch);
      return revision;
    },
    newPullRequest: (options) => lab.openPull(options),
    async mergePullRequest(number, style) {
      await alice("POST", `/pulls/${number}/merge`, { Do: style });
      const { merge_commit_sha: tip } = (await alice("GET", `/pulls/${number}`)) as { merge_commit_sha: string };
      return tip;
    },
    async closePullRequest(number) {
      await alice("PATCH", `/pulls/${number}`, { state: "closed" });
    },
    async commentAsOther(number, body) {
      return String(((await alice("POST", `/issues/${number}/comments`, { body })) as { id: number }).id);
    },
    async editAsOther(_number, id, body) {
      await alice("PATCH", `/issues/comments/${id}`, { body });
    },
    async listComments(number) {
      const comments = (await alice("GET", `/issues/${number}/comments`)) as Comment[];
      return comments.map(({ user, body }) => ({ author: user.login, body }));
    },
    async deleteOwnComments(number) {
      for (const { id, user } of (await bot("GET", `/issues/${number}/comments`)) as Comment[])
        if (user.login === "kraken-bot") await bot("DELETE", `/issues/comments/${id}`);
    },
    async listStatuses(revision) {
      return (await control("GET", `/statuses?sha=${revision}`)) as { context: string; description: string }[];
    },
    async listReactions(_number, id) {
      const reactions = (await alice("GET", `/issues/comments/${id}/reactions`)) as { content: string }[] | null;
      return (reactions ?? []).map(({ content }) => content);
    },
    async findPerson(kind) {
      if (kind === "nobody") return { login: "nobody", id: "4711" };
      const login = kind === "writer" ? "alice" : "rita";
      const { user } = (await bot("GET", `/collaborators/${login}/permission`)) as { user: { id: number } };
      return { login, id: String(user.id) };
    },
    async setWriter(may) {
      const place = { repository: `${repository.owner}/${repository.name}`, login: "alice" };
      await control("POST", "/permissions", { ...place, permission: may ? "write" : "read" });
    },
    listDeployments: () => Promise.resolve([]),
    async loseAnswerOnce(write) {
      const match = { method: "POST", path: lostPaths[write] };
      await control("POST", "/faults", { kind: "drop-after", match, times: 1 });
    },
    lockConversations: () =>
      lab.refuseComments("/issues/(\\d+/comments|comments/\\d+)$", 403, "You cannot comment on a locked issue."),
    async unlockConversations() {
      await control("DELETE", "/faults");
    },
    close: () => lab.close(),
  };
}

interface Comment {
  readonly id: number;
  readonly user: { readonly login: string };
  readonly body: string;
}
