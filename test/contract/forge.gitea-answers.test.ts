import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openGitea } from "../../src/adapters/forge/gitea.ts";
import type { GiteaFlavour } from "../../src/adapters/forge/gitea-check.ts";
import type { WatcherError } from "../../src/lib/errors.ts";
import type { Forge, PullRequestComment } from "../../src/ports/forge.ts";
import { startStubServer, type StubReply, type StubServer } from "../support/stub-server.ts";

const sha = "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432";
const other = "1".repeat(40);
const secret = "0123456789abcdef0123456789abcdef01234567";
const repo = "/api/v1/repos/acme/fleet";
const listed = `GET ${repo}/statuses/${sha}?sort=highestindex&limit=50&page=1`;
const posted = `POST ${repo}/statuses/${sha}`;
const pulls = (page: number): string => `GET ${repo}/pulls?state=open&sort=oldest&limit=50&page=${page}`;
const closed = (page: number): string => `GET ${repo}/pulls?state=closed&sort=recentupdate&limit=50&page=${page}`;
const comments = (page: number): string =>
  `GET ${repo}/issues/comments?since=1970-01-01T00%3A00%3A00Z&limit=50&page=${page}`;
const synced = {
  context: "kraken-gitops/sync",
  state: "success",
  description: "Synced 🚀",
  targetUrl: undefined,
} as const;
const signal = AbortSignal.timeout(25_000);

let stub: StubServer;
beforeEach(async () => {
  stub = await startStubServer();
});
afterEach(async () => {
  expect(await stub.finish()).toEqual([]);
});

describe("statuses", () => {
  it("are read by `status` in lists and written by `state`", async () => {
    stub.expect(listed, { status: 200, body: [row("error", "old words"), row("success", "older")] });
    stub.expect(posted, { status: 201, body: { ...row("success", "Synced 🚀"), state: "success" } });
    await open().ensureCommitStatus(sha, synced, signal);
    expect(stub.requests[1]?.body).toEqual({ context: synced.context, state: "success", description: "Synced 🚀" });
    expect(stub.requests[0]?.headers).toMatchObject({
      authorization: `token ${secret}`,
      "user-agent": "kraken-gitops",
    });
  });

  it("that say the same are not written, whatever stands below them", async () => {
    stub.expect(listed, { status: 200, body: [row("success", "Synced 🚀"), row("failure", "no")] });
    await open().ensureCommitStatus(sha, synced, signal);
  });

  it("of other contexts and in states that are never ours do not count", async () => {
    const theirs = { ...row("success", "Synced 🚀"), context: "KRAKEN-GITOPS/sync" };
    stub.expect(listed, { status: 200, body: [theirs, row("warning", "Synced 🚀")] });
    stub.expect(posted, { status: 201, body: row("success", "Synced 🚀") });
    await open().ensureCommitStatus(sha, synced, signal);
  });

  it("may be a null list", async () => {
    stub.expect(listed, { status: 200, body: null });
    expect(await open().findCommitStatus(sha, "x", signal)).toBeUndefined();
  });

  it("of a commit the forge does not know are refused, also by versions that answer 500", async () => {
    stub.expect(listed, { status: 200, headers: { "x-total-count": "0" }, body: [] });
    stub.expect(posted, { status: 500, body: { message: "object does not exist [id: 9f8e]" } });
    stub.expect(`GET ${repo}/git/commits/${sha}`, { status: 404, body: { message: "Not Found" } });
    const error = await failure(open().ensureCommitStatus(sha, synced, signal));
    expect(error).toMatchObject({ code: "forge-refused", retry: "terminal" });
    expect(error.message).toContain(`the forge does not know commit ${sha}`);
  });

  it("fail as unreachable when a 500 has another reason", async () => {
    stub.expect(listed, { status: 200, headers: { "x-total-count": "0" }, body: [] });
    stub.expect(posted, { status: 500, body: { message: "database is locked" } });
    stub.expect(`GET ${repo}/git/commits/${sha}`, { status: 200, body: { sha } });
    const error = await failure(open().ensureCommitStatus(sha, synced, signal));
    expect(error).toMatchObject({ code: "forge-unreachable" });
    expect(error.message).toContain("database is locked");
  });
});

describe("pull requests", () => {
  it("are read page by page by number, however few the server gives and wherever Link leads", async () => {
    const headers = { "x-total-count": "3", link: '<http://gitea.internal:3000/api/v1/x?page=2>; rel="next"' };
    stub.expect(pulls(1), { status: 200, headers, body: [pull(1), pull(2)] });
    stub.expect(pulls(2), { status: 200, headers, body: [pull(2), pull(3)] });
    expect((await open().listOpenPullRequests("main", signal)).map(({ number }) => number)).toEqual([1, 2, 3]);
  });

  it("end with an empty page when nobody counts them", async () => {
    stub.expect(pulls(1), { status: 200, body: [pull(1)] });
    stub.expect(pulls(2), { status: 200, body: [] });
    expect(await open().listOpenPullRequests("main", signal)).toHaveLength(1);
  });

  it("of other branches, and those without a head, are left out", async () => {
    const elsewhere = { ...pull(1), base: { ...pull(1).base, ref: "dev" } };
    const lost = { ...pull(2), head: { ...pull(2).head, sha: "" } };
    stub.expect(pulls(1), { status: 200, headers: { "x-total-count": "3" }, body: [elsewhere, lost, pull(3)] });
    expect((await open().listOpenPullRequests("main", signal)).map(({ number }) => number)).toEqual([3]);
  });

  it.each([
    ["a branch of the repository", {}, { headBranch: "topic-1", fork: false }],
    ["a branch of a fork", { repo: { full_name: "alice/fleet" } }, { fork: true }],
    ["a fork that is gone", { repo: null, repo_id: -1 }, { fork: true }],
    ["a branch that is gone", { ref: "refs/pull/1/head" }, { headBranch: "topic-1", fork: false }],
    ["a push to refs/for/main by anybody", { ref: "refs/pull/1/head", label: "" }, { fork: true }],
  ])("from %s", async (_what, head, expected) => {
    const body = [{ ...pull(1), head: { ...pull(1).head, ...head } }];
    stub.expect(pulls(1), { status: 200, headers: { "x-total-count": "1" }, body });
    const [found] = await open().listOpenPullRequests("main", signal);
    expect(found).toMatchObject({ headRef: "refs/pull/1/head", head: sha, ...expected });
  });

  it.each([
    [{ title: "WIP: resize" }, true],
    [{ title: "[wip] resize" }, true],
    [{ title: "resize" }, false],
    [{ title: "resize", draft: true }, true],
    [{ title: "WIP: resize", draft: false }, false],
  ])("%j is a draft: %s", async (change, draft) => {
    const { draft: _unsaid, ...old } = pull(1);
    stub.expect(pulls(1), { status: 200, headers: { "x-total-count": "1" }, body: [{ ...old, ...change }] });
    expect(await open().listOpenPullRequests("main", signal)).toMatchObject([{ draft }]);
  });

  it("of a commit are found by their merge commit", async () => {
    stub.expect(`GET ${repo}/commits/${sha}/pull`, { status: 200, body: merged(7, other, sha) });
    const url = "https://git.example/acme/fleet/pulls/7";
    expect(await open().findPullRequestsOf(sha, signal)).toEqual([{ number: 7, url, head: other }]);
  });

  it("of a commit are found by the heads of what was merged lately, and no others", async () => {
    stub.expect(`GET ${repo}/commits/${sha}/pull`, { status: 404, body: { message: "not found" } });
    const abandoned = { ...pull(5), state: "closed" };
    stub.expect(closed(1), { status: 200, headers: { "x-total-count": "3" }, body: [abandoned] });
    stub.expect(closed(2), { status: 200, headers: { "x-total-count": "3" }, body: [merged(6, sha, other)] });
    expect((await open().findPullRequestsOf(sha, signal)).map(({ number }) => number)).toEqual([6]);
  });

  it("of a commit are not searched for ever", async () => {
    stub.expect(`GET ${repo}/commits/${sha}/pull`, { status: 404, body: { message: "not found" } });
    const fifty = Array.from({ length: 50 }, (_, index) => merged(index + 1, other, "2".repeat(40)));
    for (const page of [1, 2])
      stub.expect(closed(page), { status: 200, headers: { "x-total-count": "900" }, body: fifty });
    expect(await open().findPullRequestsOf(sha, signal)).toEqual([]);
  });
});

describe("comments", () => {
  it("of the repository come without a Link, and those on issues are left out", async () => {
    const headers = { "x-total-count": "3" };
    stub.expect(comments(1), { status: 200, headers, body: [comment(1), { ...comment(2), pull_request_url: "" }] });
    const ours = { ...comment(3), user: { login: "kraken-bot", id: 3 }, updated_at: "2026-01-02T00:00:00+02:00" };
    stub.expect(comments(2), { status: 200, headers, body: [ours] });
    stub.expect("GET /api/v1/user", { status: 200, body: { login: "Kraken-Bot", id: 3 } });
    const found = await open().listComments(0, signal);
    expect(found.map(({ id, own, pullRequest }) => [id, own, pullRequest])).toEqual([
      ["3", true, 7],
      ["1", false, 7],
    ]);
    expect(found[0]?.updatedAtMs).toBe(Date.parse("2026-01-01T22:00:00Z"));
  });

  it("are not written by an account that may not ask its own name, which a restart would double", async () => {
    const message = "token does not have at least one of required scope(s): [read:user]";
    stub.expect(`GET ${repo}/issues/7/comments?per_page=100`, { status: 200, body: [comment(1)] });
    stub.expect("GET /api/v1/user", { status: 403, body: { message } });
    const error = await failure(open().ensureComment(7, "first", "first\n\nplan", signal));
    expect(error.code).toBe("forge-refused");
    expect(error.message).toContain("read:user");
  });

  it("that are gone take no reaction, and repeated ones change nothing", async () => {
    const path = `POST ${repo}/issues/comments/1/reactions`;
    stub.expect(path, { status: 200, body: { content: "eyes" } });
    stub.expect(path, { status: 404, body: { message: "comment does not exist" } });
    const forge = open();
    await forge.react(theirs, "eyes", signal);
    await forge.react(theirs, "eyes", signal);
    expect(stub.requests[0]?.body).toEqual({ content: "eyes" });
  });
});

describe("who may write", () => {
  const asked = `GET ${repo}/collaborators/alice/permission`;
  it.each([
    ["owner", 2, true],
    ["admin", 2, true],
    ["write", 2, true],
    ["read", 2, false],
    ["none", 2, false],
    ["write", 9, false],
  ])("%s of account %s: %s", async (permission, id, may) => {
    stub.expect(asked, { status: 200, body: { permission, role_name: permission, user: { login: "alice", id } } });
    expect(await open().mayWrite({ login: "alice", id: "2" }, signal)).toBe(may);
  });

  it("is nobody who is unknown or gone", async () => {
    stub.expect(asked, { status: 404, body: { message: "user does not exist" } });
    expect(await open().mayWrite({ login: "alice", id: "2" }, signal)).toBe(false);
    expect(await open().mayWrite({ login: "ghost", id: "" }, signal)).toBe(false);
  });

  it("is told to administrators only, and the refusal says so", async () => {
    stub.expect(asked, { status: 403, body: { message: "Only admins can query all permissions" } });
    const error = await failure(open().mayWrite({ login: "alice", id: "2" }, signal));
    expect(error.code).toBe("forge-refused");
    expect(error.message).toContain("must be an administrator of the repository");
  });
});

describe("doctor", () => {
  it.each([
    ["forgejo", "10.0.0+gitea-1.22.0", []],
    ["gitea", "1.22.3", []],
    ["gitea", "1.24.0+dev-12-gabcdef", []],
    ["gitea", "10.0.0+gitea-1.22.0", ["this is forgejo 10.0.0+gitea-1.22.0; the configuration says type: gitea"]],
    ["gitea", "1.18.5", [expect.stringContaining("older than Gitea 1.20")]],
  ] as const)("of type %s at version %s", async (flavour, version, findings) => {
    expectCheck(version, { admin: true, push: true, pull: true });
    expectProbes();
    expect(await open(flavour).check(signal)).toEqual({ login: "kraken-bot", findings });
  });

  it("says which rights are missing", async () => {
    expectCheck("1.22.3", { admin: false, push: true, pull: true });
    expectProbes();
    expect((await open().check(signal)).findings).toEqual([expect.stringContaining("not an administrator")]);
    expectCheck("1.22.3", { admin: false, push: false, pull: true });
    expect((await open().check(signal)).findings).toEqual([expect.stringContaining("no write permission")]);
  });
});

describe("doctor, by writing on what does not exist,", () => {
  it("says which scopes are missing", async () => {
    expectCheck("1.22.3", { admin: true, push: true, pull: true });
    const refused = (scope: string) => ({ status: 403, body: { message: `required scope(s): [${scope}]` } });
    expectProbes(refused("write:repository"), refused("write:issue"));
    expect((await open().check(signal)).findings).toEqual([
      expect.stringMatching(/^commit statuses cannot be written: .*\[write:repository\]/),
      expect.stringMatching(/^comments cannot be written: .*\[write:issue\]/),
    ]);
  });
});

describe("the repository", () => {
  it("is followed when it was renamed", async () => {
    stub.expect(listed, { status: 307, headers: { location: `${stub.url}/api/v1/repos/acme/new` } });
    stub.expect("GET /api/v1/repos/acme/new", { status: 200, headers: { "x-total-count": "0" }, body: [] });
    stub.expect(posted, { status: 307, headers: { location: `${stub.url}/api/v1/repos/acme/new` } });
    stub.expect(`GET ${repo}`, { status: 200, body: { full_name: "acme/new" } });
    stub.expect(`POST /api/v1/repos/acme/new/statuses/${sha}`, { status: 201, body: row("success", "Synced 🚀") });
    await open().ensureCommitStatus(sha, synced, signal);
  });

  it("has pages of files below the path of the installation", () => {
    const forge = openGitea({ ...options(), apiUrl: "https://git.example/forge/api/v1/" });
    expect(forge.fileUrl(sha, "vms/a b.yaml", 7)).toBe(
      `https://git.example/forge/acme/fleet/src/commit/${sha}/vms/a%20b.yaml#L7`,
    );
  });

  it("keeps no deployments", async () => {
    expect(open("forgejo").limits.deployments).toBe(false);
    const deployment = { environment: "x", revision: sha, branch: "main", description: "", targetUrl: undefined };
    await open().ensureDeployment({ ...deployment, state: "success" }, signal);
  });
});

const theirs: PullRequestComment = {
  id: "1",
  pullRequest: 7,
  author: { login: "alice", id: "2" },
  own: false,
  body: "/kraken plan",
  url: undefined,
  updatedAtMs: 0,
};

function expectCheck(version: string, permissions: object): void {
  stub.expect("GET /api/v1/version", { status: 200, body: { version } });
  stub.expect("GET /api/v1/user", { status: 200, body: { login: "kraken-bot", id: 3 } });
  stub.expect(`GET ${repo}`, { status: 200, body: { full_name: "acme/fleet", archived: false, permissions } });
  stub.expect(`GET ${repo}/pulls?state=open&limit=1`, { status: 200, body: [pull(1)] });
  stub.expect(`GET ${repo}/issues/comments?limit=1`, { status: 200, body: null });
}

const unknown = { status: 404, body: { message: "not found" } };

function expectProbes(status: StubReply = unknown, comment: StubReply = { status: 500, body: {} }): void {
  stub.expect(`POST ${repo}/statuses/${"f".repeat(40)}`, status);
  stub.expect(`POST ${repo}/issues/0/comments`, comment);
}

function options() {
  const token = (): Promise<string> => Promise.resolve(secret);
  return { flavour: "gitea", apiUrl: `${stub.url}/api/v1`, owner: "acme", repository: "fleet", token } as const;
}

function open(flavour: GiteaFlavour = "gitea"): Forge {
  return openGitea({ ...options(), flavour });
}

function row(status: string, description: string) {
  return { id: 1, status, context: synced.context, description, target_url: "" };
}

function pull(number: number) {
  return {
    number,
    title: `change ${number}`,
    html_url: `https://git.example/acme/fleet/pulls/${number}`,
    state: "open",
    draft: false,
    merged: false,
    merge_commit_sha: null as string | null,
    user: { login: "alice", id: 2 },
    head: { label: `topic-${number}`, ref: `topic-${number}`, sha, repo_id: 1, repo: { full_name: "acme/fleet" } },
    base: { label: "main", ref: "main", sha: other, repo_id: 1, repo: { full_name: "acme/fleet" } },
  };
}

function merged(number: number, head: string, commit: string) {
  const opened = pull(number);
  return { ...opened, state: "closed", merged: true, merge_commit_sha: commit, head: { ...opened.head, sha: head } };
}

function comment(id: number) {
  return {
    id,
    html_url: `https://git.example/acme/fleet/pulls/7#issuecomment-${id}`,
    pull_request_url: "https://git.example/acme/fleet/pulls/7",
    issue_url: "",
    user: { login: "alice", id: 2 },
    body: `first\n\nsaid ${id}`,
    created_at: "2026-01-01T00:00:00Z",
    updated_at: "2026-01-02T00:00:00Z",
  };
}

async function failure(work: Promise<unknown>): Promise<WatcherError> {
  const error: unknown = await work.catch((cause: unknown) => cause);
  return error as WatcherError;
}
