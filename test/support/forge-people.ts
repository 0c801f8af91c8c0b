/** What a person does on a forge, in its own REST: open, merge and read pull requests. */
export interface ForgePeople {
  openPullRequest(title: string, branch: string): Promise<number>;
  /** Answers the newest commit that the merge brought to `main`. */
  merge(pullRequest: number, style: MergeStyle): Promise<string>;
  comments(pullRequest: number): Promise<readonly { readonly author: string; readonly body: string }[]>;
}

export type MergeStyle = "merge" | "squash" | "rebase";
export type Dialect = "github" | "gitlab" | "gitea";

/** Alice, who may write to acme/fleet, and an administrator where a setting has to change. */
export function forgePeople(dialect: Dialect, apiUrl: string): ForgePeople {
  return { github: githubPeople, gitlab: gitlabPeople, gitea: giteaPeople }[dialect](apiUrl);
}

type Call = (method: string, path: string, body?: object, token?: string) => Promise<unknown>;

function callOf(base: string, credential: (token: string) => Readonly<Record<string, string>>): Call {
  return async (method, path, body, token = "alice-token") => {
    const answer = await fetch(`${base}${path}`, {
      method,
      headers: { "content-type": "application/json", "user-agent": "alice", ...credential(token) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text.slice(0, 300)}`);
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  };
}

interface WireComment {
  readonly user: { readonly login: string };
  readonly body: string;
}

const toComment = ({ user, body }: WireComment) => ({ author: user.login, body });

function githubPeople(apiUrl: string): ForgePeople {
  const call = callOf(`${apiUrl}/repos/acme/fleet`, (token) => ({ authorization: `Bearer ${token}` }));
  return {
    async openPullRequest(title, head) {
      return ((await call("POST", "/pulls", { title, head, base: "main" })) as { number: number }).number;
    },
    async merge(number, style) {
      return ((await call("PUT", `/pulls/${number}/merge`, { merge_method: style })) as { sha: string }).sha;
    },
    async comments(number) {
      return ((await call("GET", `/issues/${number}/comments?per_page=100`)) as WireComment[]).map(toComment);
    },
  };
}

function giteaPeople(apiUrl: string): ForgePeople {
  const call = callOf(`${apiUrl}/repos/acme/fleet`, (token) => ({ authorization: `token ${token}` }));
  return {
    async openPullRequest(title, head) {
      return ((await call("POST", "/pulls", { title, head, base: "main" })) as { number: number }).number;
    },
    async merge(number, style) {
      await call("POST", `/pulls/${number}/merge`, { Do: style });
      return ((await call("GET", `/pulls/${number}`)) as { merge_commit_sha: string }).merge_commit_sha;
    },
    async comments(number) {
      return ((await call("GET", `/issues/${number}/comments`)) as WireComment[]).map(toComment);
    },
  };
}

interface MergeAnswer {
  readonly merge_commit_sha: string | null;
  readonly squash_commit_sha: string | null;
  readonly sha: string;
}

function gitlabPeople(apiUrl: string): ForgePeople {
  const project = `/projects/${encodeURIComponent("acme/fleet")}`;
  const call = callOf(apiUrl, (token) => ({ "private-token": token }));
  return {
    async openPullRequest(title, branch) {
      const body = { title, source_branch: branch, target_branch: "main" };
      return ((await call("POST", `${project}/merge_requests`, body)) as { iid: number }).iid;
    },
    async merge(number, style) {
      // How requests are merged is a setting of the project; only squashing is chosen each time.
      await call("PUT", project, { merge_method: style === "rebase" ? "ff" : "merge" }, "admin-token");
      const body = style === "squash" ? { squash: true, squash_commit_message: "One commit" } : {};
      const merged = (await call("PUT", `${project}/merge_requests/${number}/merge`, body)) as MergeAnswer;
      return merged.merge_commit_sha ?? merged.squash_commit_sha ?? merged.sha;
    },
    async comments(number) {
      const path = `${project}/merge_requests/${number}/notes?sort=asc&per_page=100`;
      const notes = (await call("GET", path)) as { system: boolean; author: { username: string }; body: string }[];
      return notes.filter(({ system }) => !system).map(({ author, body }) => ({ author: author.username, body }));
    },
  };
}
