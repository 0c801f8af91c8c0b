import { request } from "undici";
import { WatcherError } from "../../lib/errors.ts";

export interface DemoStatus {
  readonly context: string;
  readonly state: string;
  readonly description: string;
}

export interface DemoComment {
  readonly id: number;
  readonly body: string;
  readonly author: string;
}

/** What a person does on the forge: open and merge pull requests, read comments and statuses. GitHub's REST. */
export class ForgeClient {
  readonly #apiUrl: string;
  readonly #token: string;

  constructor(apiUrl: string, repository: string, token: string) {
    this.#apiUrl = `${apiUrl}/repos/${repository}`;
    this.#token = token;
  }

  async openPullRequest(title: string, head: string): Promise<number> {
    return ((await this.#call("POST", "/pulls", { title, head, base: "main" })) as { number: number }).number;
  }

  /** Merges as the button does, and answers the commit that is the branch's tip by it. */
  async merge(number: number, style: "merge" | "squash" | "rebase" = "merge"): Promise<string> {
    return ((await this.#call("PUT", `/pulls/${number}/merge`, { merge_method: style })) as { sha: string }).sha;
  }

  async comments(number: number): Promise<DemoComment[]> {
    const found = (await this.#call("GET", `/issues/${number}/comments?per_page=100`)) as {
      id: number;
      body: string;
      user: { login: string };
    }[];
    return found.map(({ id, body, user }) => ({ id, body, author: user.login }));
  }

  /** Every status ever written to a commit, oldest first. */
  async statuses(revision: string): Promise<DemoStatus[]> {
    const found = (await this.#call("GET", `/commits/${revision}/statuses?per_page=100`)) as DemoStatus[];
    return found.toReversed();
  }

  async #call(method: "GET" | "POST" | "PUT", path: string, body?: object): Promise<unknown> {
    const answer = await request(`${this.#apiUrl}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${this.#token}`,
        "user-agent": "kraken-gitops-demo",
        accept: "application/vnd.github+json",
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(15_000),
    });
    const text = await answer.body.text();
    if (answer.statusCode >= 300)
      throw new WatcherError(
        "forge-refused",
        `the demo's forge answered ${answer.statusCode} to ${method} ${path}: ${text.slice(0, 300)}`,
      );
    return JSON.parse(text) as unknown;
  }
}
