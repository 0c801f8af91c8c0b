import { createHmac } from "node:crypto";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openGitea } from "../../src/adapters/forge/gitea.ts";
import { type GiteaLab, repository, startGiteaLab } from "../support/gitea-lab.ts";

const signal = AbortSignal.timeout(120_000);
const scoped = { login: "narrow", token: "narrow-token", scopes: ["read:repository", "read:issue"] } as const;

describe.each(["gitea", "forgejo"] as const)("the simulated %s", (flavour) => {
  let lab: GiteaLab;
  beforeAll(async () => {
    lab = await startGiteaLab(flavour, [scoped]);
  });
  afterAll(() => lab.close());

  const raw = (path: string, token = "alice-token"): Promise<Response> =>
    fetch(`${lab.simulator.apiUrl}${path}`, { headers: { authorization: `token ${token}` } });
  const repo = `/repos/${repository.owner}/${repository.name}`;

  it("says its version without a token", async () => {
    const answer = await fetch(`${lab.simulator.apiUrl}/version`);
    const version = flavour === "gitea" ? /^1\.\d+\.\d+$/ : /^\d+\.\d+\.\d+\+gitea-1\.\d+\.\d+$/;
    expect(((await answer.json()) as { version: string }).version).toMatch(version);
  });

  it("calls the state of a status `status` in lists, and combines an error to a failure", async () => {
    const sha = await lab.git("rev-parse", "main");
    expect(await lab.alice("GET", `/commits/${sha}/status`)).toMatchObject({ state: "", statuses: null });
    await lab.alice("POST", `/statuses/${sha}`, { state: "error", context: "a", description: "x".repeat(4_000) });
    await expect(lab.alice("POST", `/statuses/${sha}`, { state: "done" })).rejects.toThrow("422");
    const [listed] = (await lab.alice("GET", `/statuses/${sha}`)) as Record<string, unknown>[];
    expect(listed).toMatchObject({ status: "error", context: "a" });
    expect(listed).not.toHaveProperty("state");
    expect(await lab.alice("GET", `/commits/${sha}/status`)).toMatchObject({ state: "failure" });
    await expect(lab.alice("POST", `/statuses/${"f".repeat(40)}`, { state: "success" })).rejects.toThrow("404");
  });

  it("pages lists, says so in Link for some, and never cuts the comments of one pull request", async () => {
    const { number } = await lab.openPull();
    for (let index = 0; index < 6; index += 1) await lab.alice("POST", `/issues/${number}/comments`, { body: "talk" });
    expect((await lab.alice("GET", `/issues/${number}/comments`)) as unknown[]).toHaveLength(6);
    const all = await raw(`${repo}/issues/comments?limit=50`);
    expect([all.headers.get("x-total-count"), all.headers.get("link")]).toEqual(["6", null]);
    expect((await all.json()) as unknown[]).toHaveLength(4);
    await lab.openPull();
    const pulls = await raw(`${repo}/pulls?limit=1`);
    expect(pulls.headers.get("link")).toContain('rel="next"');
  });

  it("tells permissions of others to administrators only", async () => {
    await expect(lab.alice("GET", "/collaborators/rita/permission")).rejects.toThrow("403");
    expect(await lab.bot("GET", "/collaborators/rita/permission")).toMatchObject({ permission: "read" });
    expect(await lab.alice("GET", "/collaborators/alice/permission")).toMatchObject({ permission: "write" });
  });

  it("asks tokens for the scope of each part", async () => {
    expect((await raw(`${repo}/pulls`, scoped.token)).status).toBe(200);
    const refused = await raw("/user", scoped.token);
    expect([refused.status, ((await refused.json()) as { message: string }).message]).toEqual([
      403,
      "token does not have at least one of required scope(s): [read:user]",
    ]);
    const narrow = lab.as(scoped.token);
    const { number } = await lab.openPull();
    await expect(narrow("POST", `/issues/${number}/comments`, { body: "x" })).rejects.toThrow("write:issue");
  });

  it.each(["merge", "squash", "rebase", "rebase-merge"])("merges a head that is behind by %s", async (style) => {
    const { number, head } = await lab.openPull();
    await lab.alice("POST", `/pulls/${number}/merge`, { Do: style });
    const merged = (await lab.alice("GET", `/pulls/${number}`)) as { merged: boolean; merge_commit_sha: string };
    expect(merged.merged).toBe(true);
    expect(merged.merge_commit_sha).not.toBe(head);
    expect(await lab.alice("GET", `/commits/${merged.merge_commit_sha}/pull`)).toMatchObject({ number });
    await expect(lab.alice("GET", `/commits/${head}/pull`)).rejects.toThrow("404");
  });

  it("moves main to the head itself where nothing came between, and refuses that otherwise", async () => {
    const behind = await lab.openPull();
    const order = { Do: "fast-forward-only" };
    await expect(lab.alice("POST", `/pulls/${behind.number}/merge`, order)).rejects.toThrow("409");
    await lab.git(
      "fetch",
      "--quiet",
      `${lab.simulator.url.replace("://", "://any:alice-token@")}/acme/fleet.git`,
      "main",
    );
    await lab.git("checkout", "--quiet", "-B", "main", "FETCH_HEAD");
    const { number, head } = await lab.openPull();
    await lab.alice("POST", `/pulls/${number}/merge`, order);
    expect(await lab.alice("GET", `/commits/${head}/pull`)).toMatchObject({ number, merge_commit_sha: head });
  });

  it("keeps the head of a merged pull request whose branch is gone, and the adapter finds it by that", async () => {
    await lab.git(
      "fetch",
      "--quiet",
      `${lab.simulator.url.replace("://", "://any:alice-token@")}/acme/fleet.git`,
      "main",
    );
    await lab.git("checkout", "--quiet", "-B", "main", "FETCH_HEAD");
    const { number, head, branch } = await lab.openPull();
    await lab.alice("POST", `/pulls/${number}/merge`, { Do: "merge" });
    await lab.push(`:${branch}`);
    expect(await lab.alice("GET", `/pulls/${number}`)).toMatchObject({
      head: { sha: head, ref: `refs/pull/${number}/head`, label: branch },
    });
    const { owner, name } = repository;
    const token = (): Promise<string> => Promise.resolve("bot-token");
    const forge = openGitea({ flavour, apiUrl: lab.simulator.apiUrl, owner, repository: name, token });
    expect(await forge.findPullRequestsOf(head, signal)).toMatchObject([{ number, head }]);
  });

  it("leads from a former name to the present one", async () => {
    await lab.bot("PATCH", "", { name: "renamed" });
    const answer = await fetch(`${lab.simulator.apiUrl}${repo}/pulls`, {
      headers: { authorization: "token bot-token" },
      redirect: "manual",
    });
    expect([answer.status, answer.headers.get("location")]).toEqual([307, "/api/v1/repos/acme/renamed/pulls"]);
    await fetch(`${lab.simulator.apiUrl}/repos/acme/renamed`, {
      method: "PATCH",
      headers: { authorization: "token bot-token" },
      body: JSON.stringify({ name: repository.name }),
    });
  });
});

describe("webhooks", () => {
  const received: { readonly headers: IncomingHttpHeaders; readonly body: string }[] = [];
  let receiver: Server;
  beforeAll(async () => {
    receiver = createServer((incoming, response) => {
      let body = "";
      incoming.on("data", (chunk: Buffer) => (body += chunk.toString("utf8")));
      incoming.on("end", () => {
        received.push({ headers: incoming.headers, body });
        response.end();
      });
    });
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
  });
  afterAll(() => void receiver.close());

  it.each([
    ["gitea", "s3cret"],
    ["forgejo", "s3cret"],
    ["forgejo", ""],
  ] as const)("of %s carry every family of headers, signed with %j", async (flavour, secret) => {
    const lab = await startGiteaLab(flavour);
    try {
      received.length = 0;
      const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hook`;
      const config = { url, content_type: "json", ...(secret === "" ? {} : { secret }) };
      await lab.bot("POST", "/hooks", { type: "gitea", config, events: ["push", "pull_request"], active: true });
      const { number, branch } = await lab.openPull();
      await lab.commit(branch);
      await lab.push(branch);
      await lab.alice("POST", `/issues/${number}/comments`, { body: "/kraken plan" });
      await expect
        .poll(() => kinds(received), { timeout: 20_000 })
        .toEqual(["issue_comment created", "pull_request opened", "pull_request synchronized", "push ", "push "]);
      for (const { headers, body } of received) {
        const hex = secret === "" ? "" : createHmac("sha256", secret).update(body).digest("hex");
        expect(headers).toMatchObject({
          "x-gitea-signature": hex,
          "x-gogs-signature": hex,
          "x-hub-signature-256": `sha256=${hex}`,
          "x-github-event": headers["x-gitea-event"],
          "x-github-delivery": headers["x-gitea-delivery"],
        });
        expect(headers["x-forgejo-signature"]).toBe(flavour === "forgejo" ? hex : undefined);
      }
      const synced = received.find(({ headers }) => headers["x-gitea-event-type"] === "pull_request_sync");
      expect(synced?.headers["x-gitea-event"]).toBe("pull_request");
    } finally {
      await lab.close();
    }
  });
});

function kinds(received: readonly { readonly headers: IncomingHttpHeaders; readonly body: string }[]): string[] {
  return received
    .map(({ headers, body }) => {
      const { action = "" } = JSON.parse(body) as { action?: string };
      return `${String(headers["x-gitea-event"])} ${action}`;
    })
    .toSorted();
}
