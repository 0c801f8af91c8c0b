import { request } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Answer, at, type Clone, ForgeLab } from "./forge-lab.ts";

describe("the simulated forge's REST", () => {
  let lab: ForgeLab;
  let clone: Clone;
  let head: string;

  beforeEach(async () => {
    lab = await ForgeLab.open({
      users: [
        { login: "alice", token: "alice-token" },
        { login: "kraken-bot", token: "bot-token", type: "Bot" },
        { login: "acme", token: "owner-token" },
        { login: "reader", token: "reader-token", permission: "read" },
        { login: "fine", token: "fine-token", grants: { contents: "read", pull_requests: "read" } },
      ],
    });
    clone = await lab.seeded();
    head = await clone.git("rev-parse", "HEAD");
  });
  afterEach(() => lab[Symbol.asyncDispose]());

  async function openPull(): Promise<number> {
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    return lab.openPull("topic");
  }

  function post(body: unknown, sha = head): Promise<Answer> {
    return lab.repo("POST", `/statuses/${sha}`, body);
  }

  describe("statuses", () => {
    it("keeps every status and lists them newest first", async () => {
      await post({ state: "pending", context: "sync", description: "Working" });
      const last = await post({
        state: "success",
        context: "sync",
        description: "Synced",
        target_url: "https://example.org/1",
      });
      expect(last.json).toMatchObject({
        state: "success",
        creator: { login: "alice" },
        target_url: "https://example.org/1",
      });
      const listed = await lab.repo("GET", "/commits/main/statuses");
      expect(listed.list.map((one) => one["state"])).toEqual(["success", "pending"]);
    });

    it("combines the newest status of each context, whose case does not matter", async () => {
      expect((await lab.repo("GET", `/commits/${head}/status`)).json).toMatchObject({
        state: "pending",
        total_count: 0,
      });
      await post({ state: "failure", context: "Sync" });
      await post({ state: "success", context: "sync" });
      await post({ state: "success" });
      const combined = await lab.repo("GET", `/commits/${head}/status`);
      expect(combined.json).toMatchObject({
        state: "success",
        sha: head,
        statuses: [{ context: "sync" }, { context: "default" }],
      });
      await post({ state: "error", context: "other" });
      expect((await lab.repo("GET", `/commits/${head}/status`)).json).toMatchObject({ state: "failure" });
    });

    it("refuses short and unknown commit ids, foreign states and addresses that are not http", async () => {
      expect(await post({ state: "success" }, head.slice(0, 10))).toMatchObject({ status: 422 });
      expect(await post({ state: "success" }, "1".repeat(40))).toMatchObject({
        status: 422,
        json: { message: `No commit found for SHA: ${"1".repeat(40)}` },
      });
      expect(await post({ state: "running" })).toMatchObject({
        status: 422,
        json: { errors: [{ resource: "Status", field: "state", code: "custom" }] },
      });
      expect(await post({ state: "success", target_url: "ftp://example.org" })).toMatchObject({
        status: 422,
        json: { errors: [{ field: "target_url" }] },
      });
    });

    it("takes 140 characters of description and not 141, and nothing above U+FFFF", async () => {
      expect((await post({ state: "success", description: "ä".repeat(140) })).status).toBe(201);
      expect(await post({ state: "success", description: "ä".repeat(141) })).toMatchObject({
        status: 422,
        json: {
          message: "Validation Failed",
          errors: [{ field: "description", message: "description is too long (maximum is 140 characters)" }],
        },
      });
      expect(await post({ state: "success", description: "done \u{1F680}" })).toMatchObject({
        status: 422,
        json: { errors: [{ field: "description" }] },
      });
    });

    it("takes 1,000 statuses of one context on a commit and not one more", async () => {
      for (let count = 0; count < 1_000; count += 50) {
        const batch = await Promise.all(Array.from({ length: 50 }, () => post({ state: "pending", context: "many" })));
        expect(batch.every(({ status }) => status === 201)).toBe(true);
      }
      expect((await post({ state: "success", context: "MANY" })).status).toBe(422);
      expect((await post({ state: "success", context: "another" })).status).toBe(201);
    });

    it("tells their whole history through the control API", async () => {
      await post({ state: "pending", context: "sync" });
      await post({ state: "success", context: "sync" });
      const history = await lab.control("GET", `/statuses?sha=${head}`);
      expect(history.list).toMatchObject([{ state: "pending", repository: "acme/fleet" }, { state: "success" }]);
    });
  });

  describe("comments", () => {
    it("are written, edited and deleted by their author only", async () => {
      const number = await openPull();
      const made = await lab.repo("POST", `/issues/${number}/comments`, { body: "plan 1" }, "bot-token");
      const id = Number(made.json["id"]);
      expect(made).toMatchObject({
        status: 201,
        json: { user: { login: "kraken-bot", type: "Bot" }, author_association: "COLLABORATOR" },
      });
      expect((await lab.repo("PATCH", `/issues/comments/${id}`, { body: "mine" })).status).toBe(403);
      expect((await lab.repo("PATCH", `/issues/comments/${id}`, { body: "plan 2" }, "bot-token")).json).toMatchObject({
        body: "plan 2",
      });
      expect((await lab.repo("DELETE", `/issues/comments/${id}`)).status).toBe(403);
      expect((await lab.repo("DELETE", `/issues/comments/${id}`, undefined, "bot-token")).status).toBe(204);
      expect((await lab.repo("PATCH", `/issues/comments/${id}`, { body: "late" }, "bot-token")).status).toBe(404);
      const edits = await lab.control("GET", `/comments/${id}/edits`);
      expect(edits.list.map(({ kind, body }) => [kind, body])).toEqual([
        ["created", "plan 1"],
        ["edited", "plan 2"],
        ["deleted", "plan 2"],
      ]);
    });

    it("hold 65,536 characters and not one more", async () => {
      const number = await openPull();
      expect((await lab.repo("POST", `/issues/${number}/comments`, { body: "x".repeat(65_536) })).status).toBe(201);
      expect(await lab.repo("POST", `/issues/${number}/comments`, { body: "x".repeat(65_537) })).toMatchObject({
        status: 422,
        json: { errors: [{ resource: "IssueComment", field: "body" }] },
      });
      expect((await lab.repo("POST", `/issues/${number}/comments`, { body: " " })).status).toBe(422);
    });

    it("come oldest first, over pages whose addresses only the Link header tells", async () => {
      const number = await openPull();
      for (const body of ["1", "2", "3"]) await lab.repo("POST", `/issues/${number}/comments`, { body });
      const first = await lab.repo("GET", `/issues/${number}/comments?per_page=2`);
      expect(first.list.map((one) => one["body"])).toEqual(["1", "2"]);
      const links = parseLinks(first.headers.get("link"));
      expect(Object.keys(links)).toEqual(["next", "last"]);
      const second = await lab.call("GET", links["next"] ?? "");
      expect(second.list.map((one) => one["body"])).toEqual(["3"]);
      expect(Object.keys(parseLinks(second.headers.get("link")))).toEqual(["prev", "first"]);
      expect((await lab.repo("GET", `/issues/${number}/comments`)).headers.get("link")).toBeNull();
    });

    it("take one reaction of a kind from each user", async () => {
      const number = await openPull();
      const id = String((await lab.repo("POST", `/issues/${number}/comments`, { body: "/kraken plan" })).json["id"]);
      expect((await lab.repo("POST", `/issues/comments/${id}/reactions`, { content: "eyes" })).status).toBe(201);
      expect((await lab.repo("POST", `/issues/comments/${id}/reactions`, { content: "eyes" })).status).toBe(200);
      expect((await lab.repo("POST", `/issues/comments/${id}/reactions`, { content: "shrug" })).status).toBe(422);
      expect((await lab.repo("GET", `/issues/comments/${id}/reactions`)).list).toMatchObject([
        { content: "eyes", user: { login: "alice" } },
      ]);
    });
  });

  describe("access", () => {
    it("refuses unknown tokens with 401 and calls without a token too", async () => {
      expect(await lab.call("GET", "/user", { token: "nobody" })).toMatchObject({
        status: 401,
        json: { message: "Bad credentials" },
      });
      expect((await lab.call("GET", "/user", { token: "" })).status).toBe(401);
      expect((await lab.call("GET", "/user")).json).toMatchObject({ login: "alice", type: "User" });
    });

    it("refuses clients without a User-Agent", async () => {
      const status = await new Promise<number | undefined>((resolve, reject) => {
        const call = request(`${lab.url}/user`, { headers: { authorization: "Bearer alice-token" } }, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        });
        call.on("error", reject).end();
      });
      expect(status).toBe(403);
    });

    it("names the permission a token lacks", async () => {
      for (const token of ["reader-token", "fine-token"]) {
        const answer = await lab.repo("POST", `/statuses/${head}`, { state: "success" }, token);
        expect(answer).toMatchObject({
          status: 403,
          json: { message: "Resource not accessible by personal access token" },
        });
        expect(answer.headers.get("x-accepted-github-permissions")).toBe("statuses=write");
      }
      expect((await lab.repo("GET", "/pulls", undefined, "fine-token")).status).toBe(200);
    });

    it("tells what a user may do", async () => {
      const permission = async (login: string): Promise<unknown> =>
        (await lab.repo("GET", `/collaborators/${login}/permission`)).json["permission"];
      expect(await permission("alice")).toBe("write");
      expect(await permission("reader")).toBe("read");
      expect(await permission("acme")).toBe("admin");
      expect((await lab.repo("GET", "/collaborators/nobody/permission")).status).toBe(404);
    });

    it("answers at the root as on api.github.com too", async () => {
      const answer = await lab.call("GET", `${lab.url}/repos/acme/fleet`);
      expect(answer.json).toMatchObject({
        full_name: "acme/fleet",
        clone_url: `${lab.url}/acme/fleet.git`,
        permissions: { push: true, admin: false },
      });
    });

    it("leads from the old name of a repository to the new one", async () => {
      await lab.call("PATCH", "/repos/acme/fleet", { body: { name: "vessels" }, token: "owner-token" });
      const read = await lab.repo("GET", "/commits/main");
      expect(read.status).toBe(301);
      expect((await lab.call("GET", read.headers.get("location") ?? "")).json).toMatchObject({ sha: head });
      expect((await lab.repo("POST", `/statuses/${head}`, { state: "success" })).status).toBe(307);
      expect(await clone.git("ls-remote", "origin", "refs/heads/main")).toContain(head);
    });
  });

  describe("conditional requests and limits", () => {
    it("answers 304 to a known tag without counting it", async () => {
      const first = await lab.repo("GET", "/pulls");
      const etag = first.headers.get("etag") ?? "";
      const used = async (): Promise<unknown> => at((await lab.call("GET", "/rate_limit")).json, "rate", "used");
      const before = await used();
      const again = await lab.call("GET", "/repos/acme/fleet/pulls", { headers: { "if-none-match": etag } });
      expect(again).toMatchObject({ status: 304, text: "" });
      expect(await used()).toBe(before);
      await openPull();
      expect((await lab.call("GET", "/repos/acme/fleet/pulls", { headers: { "if-none-match": etag } })).status).toBe(
        200,
      );
    });

    it("gives another token another tag", async () => {
      const mine = (await lab.repo("GET", "/commits/main")).headers.get("etag");
      expect((await lab.repo("GET", "/commits/main", undefined, "bot-token")).headers.get("etag")).not.toBe(mine);
    });

    it("answers a branch's commit id alone when asked for that", async () => {
      const answer = await lab.call("GET", "/repos/acme/fleet/commits/main", {
        headers: { accept: "application/vnd.github.sha" },
      });
      expect(answer.text).toBe(head);
      expect((await lab.repo("GET", "/branches/main")).json).toMatchObject({ name: "main", commit: { sha: head } });
      expect((await lab.repo("GET", "/branches/gone")).status).toBe(404);
      expect((await lab.repo("GET", "/commits/gone")).status).toBe(422);
    });

    it("refuses with 403 and remaining 0 when the hour's requests are used up", async () => {
      await using small = await ForgeLab.open({ rateLimits: { primary: 2 } });
      await small.call("GET", "/user");
      expect((await small.call("GET", "/user")).headers.get("x-ratelimit-remaining")).toBe("0");
      const refused = await small.call("GET", "/user");
      expect(refused.status).toBe(403);
      expect(Number(refused.headers.get("x-ratelimit-reset")) * 1000).toBeGreaterThan(Date.now());
      expect((await small.call("GET", "/user", { token: "bot-token" })).status).toBe(200);
    });

    it("refuses with retry-after when too much is asked in a minute", async () => {
      await using small = await ForgeLab.open({
        rateLimits: { secondaryPoints: 1, secondaryStatus: 429, retryAfterSeconds: 7 },
      });
      expect((await small.call("GET", "/user")).status).toBe(200);
      const refused = await small.call("GET", "/user");
      expect(refused.status).toBe(429);
      expect(refused.headers.get("retry-after")).toBe("7");
    });

    it("has neither limits nor their page as a GitHub Enterprise Server", async () => {
      await using server = await ForgeLab.open({ rateLimits: false, enterpriseVersion: "3.19.0" });
      const meta = await server.call("GET", "/meta");
      expect(meta.json).toMatchObject({ installed_version: "3.19.0" });
      expect(meta.headers.get("x-github-enterprise-version")).toBe("3.19.0");
      expect(meta.headers.get("x-ratelimit-limit")).toBeNull();
      expect((await server.call("GET", "/rate_limit")).status).toBe(404);
    });
  });

  it("shows pull requests to people, with everything escaped", async () => {
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic", "<script>alert(1)</script>");
    await lab.repo("POST", `/issues/${number}/comments`, { body: "</pre><img src=x>" });
    const page = await lab.call("GET", String((await lab.pull(number))["html_url"]), { token: "" });
    expect(page.status).toBe(200);
    expect(page.text).toContain("&lt;script&gt;alert(1)&lt;/script&gt;");
    expect(page.text).toContain("&lt;/pre&gt;&lt;img src=x&gt;");
    expect(page.text).not.toMatch(/<script|<img/);
    await post({ state: "failure", context: "sync", description: "Failed: <b>1</b> of 9" });
    const commit = await lab.call("GET", `${lab.url}/acme/fleet/commit/${head}`, { token: "" });
    expect(commit.text).toContain("Failed: &lt;b&gt;1&lt;/b&gt; of 9");
    expect((await lab.call("GET", `${lab.url}/acme/fleet/commit/${"1".repeat(40)}`, { token: "" })).status).toBe(404);
    expect((await lab.call("GET", `${lab.url}/acme/fleet`, { token: "" })).text).toContain(
      `/acme/fleet/pull/${number}`,
    );
  });
});

function parseLinks(header: string | null): Record<string, string> {
  const parts = [...(header ?? "").matchAll(/<([^>]+)>; rel="(\w+)"/g)];
  return Object.fromEntries(parts.map(([, url = "", relation = ""]) => [relation, url]));
}
