import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { expiryFindings, tokenKind } from "../../src/adapters/forge/gitlab-check.ts";
import { nextState } from "../../src/adapters/forge/gitlab-statuses.ts";
import { type GitlabOptions, openGitlab } from "../../src/adapters/forge/gitlab.ts";
import type { WatcherError } from "../../src/lib/errors.ts";
import { startStubServer, type StubServer } from "../support/stub-server.ts";

const sha = "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432";
const secret = "glpat-0123456789abcdefghij";
const context = "kraken-gitops/sync";
const project = "/api/v4/projects/acme%2Finfra%2Ffleet";
const listed = `GET ${project}/repository/commits/${sha}/statuses?name=kraken-gitops%2Fsync&all=true&per_page=100`;
const posted = `POST ${project}/statuses/${sha}`;
const marker = "<!-- kraken-gitops:plan:edge:fleet -->";
const notes = `${project}/merge_requests/7/notes`;
const search = `GET ${notes}?sort=asc&order_by=created_at&per_page=100`;
const user = { status: 200, body: { id: 9, username: "project_42_bot_1f", bot: true } } as const;
const synced = { context, state: "success", description: "Synced", targetUrl: undefined } as const;
const signal = AbortSignal.timeout(25_000);

let stub: StubServer;
beforeEach(async () => {
  stub = await startStubServer();
});
afterEach(async () => {
  expect(await stub.finish()).toEqual([]);
});

describe("a status", () => {
  it("is taken as written when another worker moved the row meanwhile", async () => {
    stub.expect(listed, { status: 200, body: [row(1, "pending", "Waiting")] });
    stub.expect(posted, transition(":run from :running"));
    await open().ensureCommitStatus(sha, { ...synced, state: "pending", description: "Syncing" }, signal);
    expect(stub.requests[1]?.body).toMatchObject({ state: "running", name: context });
  });

  it("is refused by any other 400, in GitLab's words", async () => {
    stub.expect(listed, { status: 200, body: [] });
    stub.expect(posted, {
      status: 400,
      body: { message: { target_url: ["is blocked: Only allowed schemes are http"] } },
    });
    const error = await failure(open().ensureCommitStatus(sha, synced, signal));
    expect(error).toMatchObject({ code: "forge-refused", retry: "terminal" });
    expect(error.message).toContain("GitLab answered 400");
    expect(error.message).toContain("target_url is blocked: Only allowed schemes are http");
  });

  it("is read over all pages, and the newest row counts wherever it stands", async () => {
    const second = `${project}/second`;
    const link = `<${stub.url}${second}>; rel="next", <${stub.url}${second}>; rel="last"`;
    stub.expect(listed, { status: 200, headers: { link }, body: [row(3, "failed", "old"), row(9, "success", "new")] });
    stub.expect(`GET ${second}`, { status: 200, body: [row(4, "running", "older")] });
    expect(await open().findCommitStatus(sha, context, signal)).toMatchObject({ state: "success", description: "new" });
  });

  it("is sent with its branch, and only rows of that branch count", async () => {
    stub.expect(`${listed}&ref=topic`, { status: 200, body: [row(1, "success", "Synced", "main")] });
    stub.expect(posted, { status: 201, body: row(2, "success", "Synced", "topic") });
    const status = { ...synced, branch: "topic", targetUrl: "file:///etc/passwd" };
    await open().ensureCommitStatus(sha, status, signal);
    expect(stub.requests[1]?.body).toEqual({ state: "success", name: context, description: "Synced", ref: "topic" });
  });

  it.each([
    ["pending", undefined, "pending"],
    ["pending", { status: "pending", description: "a" }, undefined],
    ["pending", { status: "created", description: "b" }, "running"],
    ["pending", { status: "pending", description: "b" }, "running"],
    ["pending", { status: "running", description: "b" }, undefined],
    ["pending", { status: "success", description: "a" }, "pending"],
    ["success", { status: "running", description: "a" }, "success"],
    ["success", { status: "success", description: "a" }, undefined],
    ["success", { status: "success", description: "b" }, "success"],
    ["failure", { status: "failed", description: "a" }, undefined],
    ["error", { status: "failed", description: "a" }, undefined],
    ["error", { status: "canceled", description: "a" }, "failed"],
    ["error", undefined, "failed"],
  ] as const)("%s after %j is sent as %s", (state, newest, sent) => {
    const known = newest === undefined ? undefined : { ...newest, targetUrl: undefined };
    expect(nextState({ state, description: "a", targetUrl: undefined }, known)).toBe(sent);
  });
});

describe("the token", () => {
  it("goes into GitLab's own header, and nowhere else", async () => {
    stub.expect(listed, { status: 200, body: [] });
    await open().findCommitStatus(sha, context, signal);
    expect(stub.requests[0]?.headers).toMatchObject({ "private-token": secret });
    expect(stub.requests[0]?.headers.authorization).toBeUndefined();
  });

  it("that expired stops at the first answer and says so", async () => {
    stub.expect(listed, {
      status: 401,
      body: { error: "invalid_token", error_description: "Token is expired. You can either do re-authorization." },
    });
    const error = await failure(open().findCommitStatus(sha, context, signal));
    expect(error).toMatchObject({ code: "forge-auth-failed", retry: "terminal" });
    expect(error.message).toContain("Token is expired");
    expect(error.message).not.toContain(secret);
  });

  it("is read again once when it was rotated between two calls", async () => {
    const tokens = ["old-token", "new-token"];
    stub.expect(listed, { status: 401, body: { message: "401 Unauthorized" } });
    stub.expect(listed, { status: 200, body: [] });
    await open({ token: () => Promise.resolve(tokens.shift() ?? "none") }).findCommitStatus(sha, context, signal);
    expect(stub.requests[1]?.headers["private-token"]).toBe("new-token");
  });
});

it("waits as long as Retry-After says, and asks nothing meanwhile", async () => {
  stub.expect(listed, { status: 429, headers: { "retry-after": "30" }, body: "Retry later\n" });
  const forge = open();
  const error = await failure(forge.findCommitStatus(sha, context, signal));
  expect(error).toMatchObject({ code: "forge-rate-limited", retry: "wait", retryAfterMs: 30_000 });
  expect(error.message).toContain("Retry later");
  expect((await failure(forge.ensureComment(7, marker, marker, signal))).code).toBe("forge-rate-limited");
});

it("takes requests for scarce when less than a tenth of GitLab's limit is left", async () => {
  const headers = { "ratelimit-limit": "2000", "ratelimit-remaining": "199" };
  stub.expect(listed, { status: 200, headers, body: [] });
  const forge = open();
  await forge.findCommitStatus(sha, context, signal);
  expect(forge.isScarce()).toBe(true);
});

describe("a note", () => {
  it("whose answer is lost is looked for before anybody writes it again", async () => {
    stub.expect("GET /api/v4/user", user);
    stub.expect(search, { status: 200, body: [] });
    stub.expect(`POST ${notes}`, { cut: true });
    for (let look = 0; look < 2; look += 1) {
      stub.expect("GET /api/v4/user", user);
      stub.expect(search, { status: 200, body: [note(1, 9, `${marker}\n\nplan`)] });
    }
    const { url } = await open().ensureComment(7, marker, `${marker}\n\nplan`, signal);
    expect(url).toBe(`${stub.url}/acme/infra/fleet/-/merge_requests/7#note_1`);
  });

  it("is ours by its author, and never one of GitLab's own", async () => {
    stub.expect("GET /api/v4/user", user);
    stub.expect(search, {
      status: 200,
      body: [
        note(1, 2, `${marker} quoted`),
        { ...note(2, 9, `${marker} changed the title`), system: true },
        note(3, 9, `${marker} old`),
      ],
    });
    stub.expect(`PUT ${notes}/3`, { status: 200, body: note(3, 9, `${marker} new`) });
    await open().ensureComment(7, marker, `${marker} new`, signal);
  });

  it("of a bot that was replaced is left alone", async () => {
    stub.expect("GET /api/v4/user", user);
    stub.expect(search, { status: 200, body: [note(3, 9, `${marker} a`)] });
    const other = { status: 200, body: { id: 10, username: "project_42_bot_2a" } };
    stub.expect(`GET ${notes}/3`, { status: 200, body: note(3, 9, `${marker} a`) });
    stub.expect("GET /api/v4/user", other);
    stub.expect("GET /api/v4/user", other);
    stub.expect(search, { status: 200, body: [note(3, 9, `${marker} a`)] });
    stub.expect(`POST ${notes}`, { status: 201, body: note(4, 10, `${marker} b`) });
    stub.expect("GET /api/v4/user", other);
    stub.expect(search, { status: 200, body: [note(3, 9, `${marker} a`), note(4, 10, `${marker} b`)] });
    const forge = open();
    await forge.ensureComment(7, marker, `${marker} a`, signal);
    await forge.ensureComment(7, marker, `${marker} b`, signal);
  });
});

it("follows a project that moved: reads by redirect, writes by its number", async () => {
  stub.expect(listed, { status: 302, headers: { location: "/api/v4/projects/77/listed" } });
  stub.expect("GET /api/v4/projects/77/listed", { status: 200, body: [] });
  stub.expect(posted, { status: 405, body: { message: "405 Non GET methods are not allowed for moved projects" } });
  stub.expect(`GET ${project}`, { status: 302, headers: { location: "/api/v4/projects/77" } });
  stub.expect("GET /api/v4/projects/77", { status: 200, body: { id: 77, path_with_namespace: "acme/boats" } });
  stub.expect(`POST /api/v4/projects/77/statuses/${sha}`, { status: 201, body: row(1, "success", "Synced") });
  await open().ensureCommitStatus(sha, synced, signal);
});

it("keeps the path of an installation that has one", async () => {
  const forge = open({ apiUrl: `${stub.url}/gitlab/api/v4/` });
  stub.expect(listed.replace("/api", "/gitlab/api"), { status: 200, body: [] });
  await forge.findCommitStatus(sha, context, signal);
  const file = "apps/web #1.yaml";
  expect(forge.fileUrl(sha, file, 4)).toBe(`${stub.url}/gitlab/acme/infra/fleet/-/blob/${sha}/apps/web%20%231.yaml#L4`);
});

it("does not plan a merge request that has no head yet, and takes a lost source project for a fork", async () => {
  const query = "state=opened&scope=all&target_branch=main&order_by=updated_at&sort=desc&per_page=100";
  stub.expect(`GET ${project}/merge_requests?${query}`, {
    status: 200,
    body: [request(7, { sha: null }), request(8, { source_project_id: null, draft: true })],
  });
  expect(await open().listOpenPullRequests("main", signal)).toMatchObject([
    { number: 8, head: sha, headRef: "refs/merge-requests/8/head", headBranch: "topic", fork: true, draft: true },
  ]);
});

describe("who may write", () => {
  it.each([
    ["a developer", { status: 200, body: { access_level: 30, state: "active" } }, true],
    ["a reporter", { status: 200, body: { access_level: 20, state: "active" } }, false],
    ["a blocked maintainer", { status: 200, body: { access_level: 40, state: "blocked" } }, false],
    ["a stranger", { status: 404, body: { message: "404 Not found" } }, false],
  ])("%s", async (_who, reply, may) => {
    stub.expect(`GET ${project}/members/all/5`, reply);
    expect(await open().mayWrite({ login: "alice", id: "5" }, signal)).toBe(may);
  });

  it("is looked up by name when there is no number", async () => {
    stub.expect("GET /api/v4/users?username=alice", { status: 200, body: [{ id: 5, username: "Alice" }] });
    stub.expect(`GET ${project}/members/all/5`, { status: 200, body: { access_level: 40 } });
    stub.expect("GET /api/v4/users?username=ghost", { status: 200, body: [] });
    expect(await open().mayWrite({ login: "alice", id: "" }, signal)).toBe(true);
    expect(await open().mayWrite({ login: "ghost", id: "" }, signal)).toBe(false);
  });
});

describe("check", () => {
  it("finds what will fail later", async () => {
    stub.expect("GET /api/v4/user", user);
    stub.expect(`GET ${project}`, {
      status: 200,
      body: {
        id: 77,
        path_with_namespace: "acme/infra/fleet",
        archived: true,
        permissions: { project_access: { access_level: 20 }, group_access: null },
      },
    });
    stub.expect("GET /api/v4/personal_access_tokens/self", {
      status: 200,
      body: { scopes: ["read_api", "read_repository"], expires_at: "2999-01-31" },
    });
    expect(await open().check(signal)).toEqual({
      login: "project_42_bot_1f",
      findings: [
        "acme/infra/fleet is archived: nothing can be written",
        "Reporter on acme/infra/fleet: commit statuses will be refused, Developer is the least role that writes them",
        'the project access token has the scopes read_api, read_repository: statuses and comments need "api"',
        "the project access token expires at 2999-01-31",
      ],
    });
  });

  it("hurries when the end of the token is near", () => {
    const now = Date.UTC(2030, 0, 20);
    const of = (expiresAt: string | undefined) => expiryFindings({ scopes: [], expiresAt }, tokenKind("alice"), now);
    expect(of("2030-01-31")).toEqual(["the personal access token expires at 2030-01-31, in 11 days: rotate it before"]);
    expect(of("2030-12-31")).toEqual(["the personal access token expires at 2030-12-31"]);
    expect(of(undefined)).toEqual([]);
    expect(tokenKind("group_3_bot")).toBe("group access token");
  });
});

function open(options: Partial<GitlabOptions> = {}) {
  const apiUrl = `${stub.url}/api/v4`;
  return openGitlab({ apiUrl, project: "acme/infra/fleet", token: () => Promise.resolve(secret), ...options });
}

function transition(how: string) {
  const event = how.split(" ")[0]?.slice(1);
  const reason = `(Reason(s): Status cannot transition via "${event}")`;
  return { status: 400, body: { message: `Cannot transition status via ${how} ${reason}` } };
}

function row(id: number, status: string, description: string, ref = "main") {
  return { id, name: context, status, description, ref, target_url: null };
}

function note(id: number, author: number, body: string) {
  return { id, body, system: false, updated_at: "2030-01-01T00:00:00.000Z", author: { id: author, username: "x" } };
}

function request(iid: number, changes: object) {
  return {
    iid,
    title: "t",
    web_url: `https://git.example/${iid}`,
    state: "opened",
    sha,
    source_branch: "topic",
    target_branch: "main",
    source_project_id: 77,
    target_project_id: 77,
    draft: false,
    ...changes,
  };
}

async function failure(promise: Promise<unknown>): Promise<WatcherError> {
  return promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: unknown) => error as WatcherError,
  );
}
