import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import type { ForgeSimulatorOptions } from "../../src/simulator/forge/options.ts";
import { refuseTransition } from "../../src/simulator/forge/gitlab/transitions.ts";
import { type Answer, at, type Clone, ForgeLab, type Json, until } from "./forge-lab.ts";

const project = `/projects/${encodeURIComponent("acme/infra/fleet")}`;
const users = [
  { login: "alice", token: "alice-token", permission: "admin" },
  { login: "dev", token: "dev-token" },
  { login: "rita", token: "rita-token", permission: "read" },
  { login: "reader", token: "reader-token", scopes: ["read_api"] },
  { login: "late", token: "late-token", expiresAt: "2020-01-31" },
] as const;

describe("credentials", () => {
  it("come in GitLab's headers, with scopes, roles and an end", async () => {
    await using lab = await gitlab();
    const self = (headers: Json) =>
      call(lab, "GET", "/user", { token: "", headers: headers as Record<string, string> });
    expect((await self({ "private-token": "alice-token" })).json["username"]).toBe("alice");
    expect((await self({ authorization: "Bearer dev-token" })).json).toMatchObject({ username: "dev", bot: false });
    expect((await self({ authorization: `Basic ${btoa("x:dev-token")}` })).status).toBe(401);
    expect((await self({ "private-token": "nobody" })).json).toEqual({ message: "401 Unauthorized" });
    expect((await self({})).status).toBe(401);
    expect(await self({ "private-token": "late-token" })).toMatchObject({
      status: 401,
      json: { error: "invalid_token" },
    });
    expect(await call(lab, "PUT", project, { token: "reader-token", body: {} })).toMatchObject({
      status: 403,
      json: { error: "insufficient_scope", scope: "api" },
    });
    expect(await call(lab, "PUT", project, { token: "dev-token", body: {} })).toMatchObject({
      status: 403,
      json: { message: "403 Forbidden" },
    });
    expect((await call(lab, "GET", "/projects/acme%2Fnowhere")).json).toEqual({ message: "404 Project Not Found" });
    const token = await call(lab, "GET", "/personal_access_tokens/self", { token: "reader-token" });
    expect(token.json).toMatchObject({ scopes: ["read_api"], active: true });
  });

  it("run into the limit as plain text", async () => {
    await using lab = await gitlab({ rateLimits: { primary: 1 } });
    const first = await call(lab, "GET", "/user");
    expect(first.headers.get("ratelimit-remaining")).toBe("0");
    const second = await call(lab, "GET", "/user");
    expect([second.status, second.text]).toEqual([429, "Retry later\n"]);
    expect(Number(second.headers.get("retry-after"))).toBeGreaterThan(0);
  });

  it("name members by number, and nobody who can only read", async () => {
    await using lab = await gitlab();
    const [dev] = (await call(lab, "GET", "/users?username=DEV")).list;
    const member = await call(lab, "GET", `${project}/members/all/${Number(dev?.["id"])}`);
    expect(member.json).toMatchObject({ username: "dev", access_level: 30 });
    expect((await call(lab, "GET", `${project}/members/all/999`)).status).toBe(404);
    const levels = (await call(lab, "GET", `${project}/members/all`)).list.map((one) => one["access_level"]);
    expect(levels).toEqual([40, 30, 20, 30, 30]);
  });
});

describe("statuses", () => {
  it("go forward only, and begin a new row after their end", async () => {
    await using lab = await gitlab();
    const sha = await (await seeded(lab)).git("rev-parse", "HEAD");
    const post = (state: string, more: Json = {}) =>
      call(lab, "POST", `${project}/statuses/${sha}`, { token: "dev-token", body: { state, name: "plan", ...more } });
    const first = await post("pending", { description: "Waiting" });
    expect(first).toMatchObject({ status: 201, json: { status: "pending", ref: "main", description: "Waiting" } });
    expect((await post("pending")).json).toEqual({
      message:
        'Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition via "enqueue")',
    });
    expect((await post("running", { description: "Syncing" })).json["id"]).toBe(first.json["id"]);
    const again = await post("running", { description: "other" });
    expect([again.status, at(again.json, "message")]).toEqual([
      400,
      'Cannot transition status via :run from :running (Reason(s): Status cannot transition via "run")',
    ]);
    expect((await post("success")).json).toMatchObject({ id: first.json["id"], description: "Syncing" });
    expect((await post("success")).json["id"]).not.toBe(first.json["id"]);
    const list = async (query: string) =>
      (await call(lab, "GET", `${project}/repository/commits/${sha}/statuses?${query}`)).list.length;
    expect([await list(""), await list("all=true"), await list("all=true&name=x"), await list("ref=x")]).toEqual([
      1, 2, 0, 0,
    ]);
  });

  it("refuse what GitLab refuses", async () => {
    await using lab = await gitlab();
    const sha = await (await seeded(lab)).git("rev-parse", "HEAD");
    const post = (body: Json, to = sha) =>
      call(lab, "POST", `${project}/statuses/${to}`, { token: "dev-token", body: { state: "success", ...body } });
    expect((await post({ state: "error" })).json).toEqual({ error: "state does not have a valid value" });
    expect((await post({ description: "ä".repeat(255) })).status).toBe(201);
    expect((await post({ description: "ä".repeat(256) })).json).toEqual({
      message: { description: ["is too long (maximum is 255 characters)"] },
    });
    expect((await post({ target_url: "file:///x" })).status).toBe(400);
    expect((await post({}, sha.slice(0, 8))).json).toEqual({ message: "404 Commit Not Found" });
    expect((await post({ pipeline_id: 99 })).status).toBe(404);
    const reporter = await call(lab, "POST", `${project}/statuses/${sha}`, {
      token: "rita-token",
      body: { state: "success" },
    });
    expect(reporter.status).toBe(403);
  });

  it.each([
    ["pending", "pending", false],
    ["running", "pending", false],
    ["running", "running", false],
    ["pending", "running", true],
    ["pending", "failed", true],
    ["running", "canceled", true],
  ] as const)("from %s to %s: %s", (from, to, may) => {
    expect(refuseTransition(from, to) === undefined).toBe(may);
  });
});

describe("merge requests", () => {
  it("have GitLab's refs, drafts by title, and the head of a fork", async () => {
    await using lab = await gitlab();
    const clone = await seeded(lab);
    const fork = await call(lab, "POST", `${project}/fork`, { token: "dev-token", body: {} });
    expect(fork.json).toMatchObject({ path_with_namespace: "dev/fleet" });
    const head = await clone.pushBranch("topic", { "a.txt": "a" });
    const open = await openRequest(lab, "topic", "[Draft] A");
    expect(open).toMatchObject({ iid: 1, state: "opened", draft: true, sha: head, source_branch: "topic" });
    expect((await lab.refs("acme/infra/fleet")).get("refs/merge-requests/1/head")).toBe(head);
    const ready = await call(lab, "PUT", `${project}/merge_requests/1`, { body: { title: "A" } });
    expect(ready.json["draft"]).toBe(false);
    const twice = await call(lab, "POST", `${project}/merge_requests`, {
      body: { source_branch: "topic", target_branch: "main", title: "again" },
    });
    expect(twice.status).toBe(409);
    await clone.git("push", "--quiet", lab.cloneUrl("dev/fleet", "dev-token"), "topic:theirs");
    const theirs = await call(lab, "POST", "/projects/dev%2Ffleet/merge_requests", {
      token: "dev-token",
      body: { source_branch: "theirs", target_branch: "main", title: "B", target_project_id: open["project_id"] },
    });
    expect(theirs.json).toMatchObject({
      iid: 2,
      source_project_id: fork.json["id"],
      target_project_id: open["project_id"],
    });
  });

  it("are paged with numbers and addresses", async () => {
    await using lab = await gitlab();
    const clone = await seeded(lab);
    for (const branch of ["a", "b", "c"]) {
      await clone.pushBranch(branch, { [`${branch}.txt`]: branch });
      await openRequest(lab, branch);
    }
    const first = await call(lab, "GET", `${project}/merge_requests?state=opened&per_page=2`);
    expect(first.list.map((one) => one["iid"])).toEqual([3, 2]);
    expect(first.headers.get("x-next-page")).toBe("2");
    expect(first.headers.get("x-total")).toBe("3");
    const next = /<([^>]+)>; rel="next"/.exec(first.headers.get("link") ?? "")?.[1] ?? "";
    const second = await lab.call("GET", next);
    expect(second.list.map((one) => one["iid"])).toEqual([1]);
    expect(second.headers.get("x-next-page")).toBe("");
  });

  it.each([
    ["merge", {}, { merge: true, squash: false, parents: 2 }],
    ["merge", { squash: true }, { merge: true, squash: true, parents: 2 }],
    ["rebase_merge", {}, { merge: true, squash: false, parents: 2 }],
    ["ff", {}, { merge: false, squash: false, parents: 1 }],
    ["ff", { squash: true }, { merge: false, squash: true, parents: 1 }],
  ] as const)("merge as the project is set: %s %j", async (method, order, want) => {
    await using lab = await gitlab();
    const clone = await seeded(lab);
    await call(lab, "PUT", project, { body: { merge_method: method } });
    await clone.pushBranch("topic", { "a.txt": "a" });
    const head = await clone.commit("More", { "b.txt": "b" });
    await clone.git("push", "--quiet", "origin", "topic");
    await openRequest(lab, "topic");
    const merged = (await call(lab, "PUT", `${project}/merge_requests/1/merge`, { body: { sha: head, ...order } }))
      .json;
    expect(merged).toMatchObject({ state: "merged", sha: head });
    expect([merged["merge_commit_sha"] !== null, merged["squash_commit_sha"] !== null]).toEqual([
      want.merge,
      want.squash,
    ]);
    await clone.git("fetch", "--quiet", "origin");
    const parents = (await clone.git("log", "-1", "--format=%P", "origin/main")).split(" ");
    expect(parents).toHaveLength(want.parents);
    const tip = await clone.git("rev-parse", "origin/main");
    for (const sha of [tip, head]) {
      const found = await call(lab, "GET", `${project}/repository/commits/${sha}/merge_requests`);
      expect(found.list.map((one) => one["iid"])).toEqual([1]);
    }
  });

  it("that are behind are rebased first where the project wants it, and found by their new head", async () => {
    await using lab = await gitlab();
    const clone = await seeded(lab);
    await call(lab, "PUT", project, { body: { merge_method: "ff" } });
    const before = await clone.pushBranch("topic", { "a.txt": "a" });
    await openRequest(lab, "topic");
    await clone.git("checkout", "--quiet", "main");
    await clone.commit("Meanwhile", { "c.txt": "c" });
    await clone.git("push", "--quiet", "origin", "main");
    const merge = () => call(lab, "PUT", `${project}/merge_requests/1/merge`);
    expect(await merge()).toMatchObject({ status: 422, json: { message: "Branch cannot be merged" } });
    expect((await call(lab, "PUT", `${project}/merge_requests/1/rebase`)).status).toBe(202);
    const merged = (await merge()).json;
    expect(merged).toMatchObject({ state: "merged", merge_commit_sha: null, squash_commit_sha: null });
    expect(merged["sha"]).not.toBe(before);
    expect((await lab.refs("acme/infra/fleet")).get("refs/heads/main")).toBe(merged["sha"]);
  });

  it("wait for a pipeline that succeeded, where the project says so", async () => {
    await using lab = await gitlab();
    const clone = await seeded(lab);
    await call(lab, "PUT", project, { body: { only_allow_merge_if_pipeline_succeeds: true } });
    const head = await clone.pushBranch("topic", { "a.txt": "a" });
    await openRequest(lab, "topic");
    const merge = async () => (await call(lab, "PUT", `${project}/merge_requests/1/merge`)).status;
    const post = (state: string) =>
      call(lab, "POST", `${project}/statuses/${head}`, { body: { state, name: "plan", ref: "topic" } });
    expect(await merge()).toBe(405);
    await post("failed");
    expect(await merge()).toBe(405);
    await post("success");
    expect(await merge()).toBe(200);
  });
});

describe("notes", () => {
  it("are newest first, with GitLab's own between, and edited by their author only", async () => {
    await using lab = await gitlab();
    const clone = await seeded(lab);
    await clone.pushBranch("topic", { "a.txt": "a" });
    await openRequest(lab, "topic");
    const notes = `${project}/merge_requests/1/notes`;
    const { json } = await call(lab, "POST", notes, { token: "dev-token", body: { body: "hello" } });
    await clone.pushBranch("topic", { "a.txt": "b" });
    const listed = (await call(lab, "GET", notes)).list;
    expect(listed.map((note) => [note["system"], note["body"]])).toEqual([
      [true, expect.stringContaining("added 1 commit")],
      [false, "hello"],
    ]);
    const edit = (id: unknown, token: string) =>
      call(lab, "PUT", `${notes}/${String(id)}`, { token, body: { body: "changed" } });
    expect((await edit(json["id"], "alice-token")).status).toBe(403);
    expect((await edit(listed[0]?.["id"], "alice-token")).status).toBe(403);
    expect((await edit(json["id"], "dev-token")).json["body"]).toBe("changed");
    const award = () => call(lab, "POST", `${notes}/${String(json["id"])}/award_emoji`, { body: { name: "eyes" } });
    expect((await award()).status).toBe(201);
    expect((await award()).json).toEqual({ message: "404 Award Emoji Name has already been taken Not Found" });
  });
});

it("sends a moved project's reads on, and takes no writes for it", async () => {
  await using lab = await gitlab();
  await call(lab, "PUT", project, { body: { path: "boats" } });
  const read = await call(lab, "GET", `${project}/merge_requests?state=opened`);
  expect(read.status).toBe(301);
  expect(read.headers.get("location")).toMatch(/\/api\/v4\/projects\/\d+\/merge_requests\?state=opened$/);
  expect((await call(lab, "PUT", project, { body: {} })).status).toBe(405);
});

it("tells hooks in GitLab's form of pushes, requests and notes", async () => {
  await using lab = await gitlab();
  await using receiver = await receive();
  const clone = await seeded(lab);
  const hook = { url: receiver.url, token: "s3cret", merge_requests_events: true, note_events: true };
  expect((await call(lab, "POST", `${project}/hooks`, { token: "dev-token", body: hook })).status).toBe(403);
  const made = await call(lab, "POST", `${project}/hooks`, { body: hook });
  expect(made.json).toMatchObject({ push_events: true, merge_requests_events: true, note_events: true });
  expect(made.json["token"]).toBeUndefined();
  const head = await clone.pushBranch("topic", { "a.txt": "a" });
  await openRequest(lab, "topic");
  await call(lab, "POST", `${project}/merge_requests/1/notes`, { body: { body: "/kraken plan" } });
  const moved = await clone.pushBranch("topic", { "a.txt": "b" });
  const events = await until(() => (receiver.got.length >= 5 ? receiver.got : undefined));
  const of = (kind: string, action?: string) =>
    events.find(
      ({ body }) =>
        body["object_kind"] === kind && (action === undefined || at(body, "object_attributes", "action") === action),
    );
  expect(of("push")?.headers).toMatchObject({ "x-gitlab-event": "Push Hook", "x-gitlab-token": "s3cret" });
  expect(of("push")?.headers["x-gitlab-event-uuid"]).toMatch(/^[0-9a-f-]{36}$/);
  expect(events.filter(({ body }) => body["object_kind"] === "push").map(({ body }) => body["after"])).toEqual(
    expect.arrayContaining([head, moved]),
  );
  expect(of("merge_request", "open")?.headers["x-gitlab-event"]).toBe("Merge Request Hook");
  expect(at(of("merge_request", "update")?.body, "object_attributes")).toMatchObject({
    oldrev: head,
    last_commit: { id: moved },
  });
  expect(of("note")?.body).toMatchObject({ object_attributes: { note: "/kraken plan", action: "create" } });
  expect(new Set(events.map(({ headers }) => headers["idempotency-key"])).size).toBe(events.length);
});

it("is all there after a restart", async () => {
  await using lab = await gitlab();
  const clone = await seeded(lab);
  const sha = await clone.pushBranch("topic", { "a.txt": "a" });
  await openRequest(lab, "topic");
  await call(lab, "POST", `${project}/statuses/${sha}`, { body: { state: "running", name: "plan", ref: "topic" } });
  await call(lab, "POST", `${project}/deployments`, {
    body: { environment: "a", sha, ref: "topic", tag: false, status: "running" },
  });
  await lab.restart();
  const statuses = await call(lab, "GET", `${project}/repository/commits/${sha}/statuses`);
  expect(statuses.list).toMatchObject([{ name: "plan", status: "running", ref: "topic" }]);
  expect((await call(lab, "PUT", `${project}/deployments/1`, { body: { status: "success" } })).json["status"]).toBe(
    "success",
  );
  expect((await call(lab, "PUT", `${project}/deployments/1`, { body: { status: "running" } })).status).toBe(400);
  expect((await call(lab, "GET", `${project}/merge_requests/1`)).json).toMatchObject({ state: "opened", sha });
});

function gitlab(options: Partial<ForgeSimulatorOptions> = {}): Promise<ForgeLab> {
  const repositories = [{ owner: "acme/infra", name: "fleet" }];
  return ForgeLab.open({ dialect: "gitlab", users, repositories, ...options });
}

function call(
  lab: ForgeLab,
  method: string,
  path: string,
  options: { body?: unknown; token?: string; headers?: Readonly<Record<string, string>> } = {},
): Promise<Answer> {
  return lab.call(method, `${lab.url}/api/v4${path}`, options);
}

async function seeded(lab: ForgeLab): Promise<Clone> {
  const clone = await lab.clone("acme/infra/fleet");
  await clone.git("checkout", "--quiet", "-B", "main");
  await clone.commit("Begin", { "base.txt": "one\n" });
  await clone.git("push", "--quiet", "origin", "main");
  return clone;
}

async function openRequest(lab: ForgeLab, branch: string, title = `Take ${branch}`): Promise<Json> {
  const body = { source_branch: branch, target_branch: "main", title };
  const answer = await call(lab, "POST", `${project}/merge_requests`, { body });
  expect(answer.status).toBe(201);
  return answer.json;
}

async function receive() {
  const got: { headers: Record<string, unknown>; body: Json }[] = [];
  const server = createServer((incoming, response) => {
    let text = "";
    incoming.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    incoming.on("end", () => {
      got.push({ headers: incoming.headers, body: JSON.parse(text) as Json });
      response.end();
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    got,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}
