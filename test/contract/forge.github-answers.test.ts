import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type GithubOptions, openGithub } from "../../src/adapters/forge/github.ts";
import type { WatcherError } from "../../src/lib/errors.ts";
import { startStubServer, type StubServer } from "../support/stub-server.ts";

const sha = "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432";
const secret = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";
const listed = `GET /repos/acme/fleet/commits/${sha}/statuses?per_page=100`;
const posted = `POST /repos/acme/fleet/statuses/${sha}`;
const pulls = "GET /repos/acme/fleet/pulls?state=open&base=main&sort=updated&direction=desc&per_page=100";
const synced = {
  context: "kraken-gitops/sync",
  state: "success",
  description: "Synced",
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

describe("reads", () => {
  it("are tried again after 502, 503 and a broken connection", async () => {
    stub.expect(listed, { status: 502, body: "<html><title>Bad Gateway</title></html>" });
    stub.expect(listed, { status: 503, headers: { "retry-after": "0" } });
    stub.expect(listed, { cut: true });
    stub.expect(listed, { status: 200, body: [] });
    expect(await open().findCommitStatus(sha, "x", signal)).toBeUndefined();
  });

  it("give up after four tries with the forge's own words, HTML or not", async () => {
    for (let attempt = 0; attempt < 4; attempt += 1) {
      stub.expect(listed, { status: 502, body: "<html><head><title>Unicorn! 502</title></head><body>x</body></html>" });
    }
    const error = await failure(open().findCommitStatus(sha, "x", signal));
    expect(error).toMatchObject({ code: "forge-unreachable", retry: "transient" });
    expect(error.message).toContain("GitHub answered 502 to GET /repos/acme/fleet/commits");
    expect(error.message).toContain("Unicorn! 502");
  });

  it("are not tried again when they are refused", async () => {
    stub.expect(listed, { status: 404, body: { message: "Not Found" } });
    const error = await failure(open().findCommitStatus(sha, "x", signal));
    expect(error.code).toBe("forge-refused");
    expect(error.message).toContain("Not Found. It does not exist, or the token may not see it");
  });

  it("end at the deadline when the answer or its body hangs", async () => {
    for (const hang of ["answer", "body", "answer", "body"] as const) stub.expect(listed, { hang });
    const error = await failure(open({ timeoutMs: 150 }).findCommitStatus(sha, "x", signal));
    expect(error).toMatchObject({ code: "forge-unreachable" });
    expect(error.message).toMatch(/timeout/i);
  });

  it("cost a conditional request when nothing changed, also with several pages", async () => {
    const second = "/repositories/77/pulls?page=2";
    const link = `<${stub.url}${second}>; rel="next", <${stub.url}${second}>; rel="last"`;
    stub.expect(pulls, { status: 200, headers: { etag: 'W/"one"', link }, body: [pull(7)] });
    stub.expect(`GET ${second}`, { status: 200, headers: { etag: 'W/"two"' }, body: [pull(8), pull(7)] });
    stub.expect(pulls, { status: 304, headers: { etag: 'W/"one"' } });
    stub.expect(`GET ${second}`, { status: 304 });
    const forge = open();
    const first = await forge.listOpenPullRequests("main", signal);
    expect(first.map(({ number }) => number)).toEqual([7, 8]);
    expect(await forge.listOpenPullRequests("main", signal)).toEqual(first);
    expect(stub.requests.map(({ headers }) => headers["if-none-match"])).toEqual([
      undefined,
      undefined,
      'W/"one"',
      'W/"two"',
    ]);
  });

  it("do not offer one token what another was shown", async () => {
    stub.expect(listed, { status: 200, headers: { etag: '"a"' }, body: [] });
    stub.expect(listed, { status: 200, headers: { etag: '"b"' }, body: [] });
    const tokens = ["first-token", "second-token"];
    const forge = open({ token: () => Promise.resolve(tokens.shift() ?? "none") });
    await forge.findCommitStatus(sha, "x", signal);
    await forge.findCommitStatus(sha, "x", signal);
    expect(stub.requests[1]?.headers["if-none-match"]).toBeUndefined();
  });

  it("follow the redirect of a renamed repository, and no further than the API's own address", async () => {
    stub.expect(listed, { status: 301, headers: { location: "/repositories/77/statuses" } });
    stub.expect("GET /repositories/77/statuses", { status: 200, body: [] });
    stub.expect(listed, { status: 301, headers: { location: "http://127.0.0.1:9/steal" } });
    const forge = open();
    await forge.findCommitStatus(sha, "x", signal);
    const error = await failure(forge.findCommitStatus(sha, "x", signal));
    expect(error.message).toContain("points to another address (http://127.0.0.1:9)");
  });

  it("do not go on to a page on another address", async () => {
    stub.expect(listed, { status: 200, headers: { link: '<https://evil.example/2>; rel="next"' }, body: [] });
    expect((await failure(open().findCommitStatus(sha, "x", signal))).code).toBe("forge-refused");
  });

  it("say so when the answer is no JSON or not of the expected shape", async () => {
    for (let attempt = 0; attempt < 4; attempt += 1) {
      stub.expect(listed, { status: 200, body: "<title>Sign in to the proxy</title>" });
    }
    expect((await failure(open().findCommitStatus(sha, "x", signal))).message).toContain("Sign in to the proxy");
    stub.expect(listed, { status: 200, body: { not: "a list" } });
    expect((await failure(open().findCommitStatus(sha, "x", signal))).message).toContain("lacks a list (got object)");
  });
});

describe("writes", () => {
  it("go out once, whatever the answer", async () => {
    stub.expect(listed, { status: 200, body: [] });
    stub.expect(posted, { status: 502, body: "bad gateway" });
    expect((await failure(open().ensureCommitStatus(sha, synced, signal))).code).toBe("forge-unreachable");
  });

  it("of one token go out one after the other, also from two repositories", async () => {
    const server = await startCountingServer();
    const forges = ["fleet", "boats"].map((repository) => open({ apiUrl: server.url, repository }));
    await Promise.all(forges.map((forge) => forge.ensureCommitStatus(sha, synced, signal)));
    await server.close();
    expect(server).toMatchObject({ writes: 2, most: 1 });
  });

  it("find a renamed repository again and go there from then on", async () => {
    stub.expect(listed, { status: 200, body: [] });
    stub.expect(posted, { status: 307, headers: { location: "/repositories/77/statuses" } });
    stub.expect("GET /repos/acme/fleet", { status: 301, headers: { location: "/repositories/77" } });
    stub.expect("GET /repositories/77", { status: 200, body: { full_name: "acme/boats" } });
    stub.expect(`POST /repos/acme/boats/statuses/${sha}`, { status: 201, body: {} });
    stub.expect(`GET /repos/acme/boats/commits/${sha}/statuses?per_page=100`, { status: 200, body: [wireStatus()] });
    const forge = open();
    await forge.ensureCommitStatus(sha, synced, signal);
    await forge.ensureCommitStatus(sha, synced, signal);
  });

  it("leave out an address no browser should open", async () => {
    stub.expect(listed, { status: 200, body: [] });
    stub.expect(posted, { status: 201, body: {} });
    await open().ensureCommitStatus(sha, { ...synced, targetUrl: "file:///etc/passwd" }, signal);
    expect(stub.requests.at(-1)?.body).toEqual({ context: synced.context, state: "success", description: "Synced" });
  });

  it("say what GitHub says when they are refused", async () => {
    stub.expect(listed, { status: 200, body: [] });
    stub.expect(posted, {
      status: 422,
      body: { message: "Validation Failed", errors: [{ message: "No commit found for SHA", field: "sha" }] },
    });
    const error = await failure(open().ensureCommitStatus(sha, synced, signal));
    expect(error).toMatchObject({ code: "forge-refused", retry: "terminal" });
    expect(error.message).toContain("Validation Failed: No commit found for SHA");
  });

  it("name the permission that is missing", async () => {
    stub.expect(listed, { status: 200, body: [] });
    stub.expect(posted, {
      status: 403,
      headers: { "x-accepted-github-permissions": "statuses=write", "x-ratelimit-remaining": "4999" },
      body: { message: "Resource not accessible by personal access token" },
    });
    const error = await failure(open().ensureCommitStatus(sha, synced, signal));
    expect(error.code).toBe("forge-refused");
    expect(error.message).toContain(
      "not accessible by personal access token. The token needs one of these permissions: statuses=write",
    );
  });
});

describe("rate limits", () => {
  it("wait as long as Retry-After says, and nothing is asked meanwhile", async () => {
    stub.expect(listed, { status: 403, headers: { "retry-after": "30" }, body: { message: "secondary rate limit" } });
    const forge = open();
    expect(await failure(forge.findCommitStatus(sha, "x", signal))).toMatchObject({
      code: "forge-rate-limited",
      retry: "wait",
      retryAfterMs: 30_000,
    });
    const next = await failure(forge.findCommitStatus(sha, "x", signal));
    expect(next.code).toBe("forge-rate-limited");
    expect(next.retryAfterMs).toBeGreaterThan(25_000);
  });

  it("wait for the reset of an exhausted budget by the forge's own clock", async () => {
    const now = Date.UTC(2030, 0, 1);
    stub.expect(listed, {
      status: 403,
      headers: {
        "x-ratelimit-remaining": "0",
        "x-ratelimit-reset": String(now / 1_000 + 90),
        date: new Date(now).toUTCString(),
      },
      body: { message: "API rate limit exceeded" },
    });
    expect((await failure(open().findCommitStatus(sha, "x", signal))).retryAfterMs).toBe(90_000);
  });

  it("make requests scarce when less than a tenth is left, until more are", async () => {
    const forge = open();
    expect(forge.isScarce()).toBe(false);
    for (const [remaining, scarce] of [
      ["499", true],
      ["500", false],
    ] as const) {
      const headers = { "x-ratelimit-limit": "5000", "x-ratelimit-remaining": remaining };
      stub.expect(listed, { status: 200, headers, body: [] });
      await forge.findCommitStatus(sha, "x", signal);
      expect(forge.isScarce()).toBe(scarce);
    }
  });

  it("wait a minute when a secondary limit gives no time", async () => {
    stub.expect(listed, { status: 403, body: { message: "You have exceeded a secondary rate limit." } });
    expect((await failure(open().findCommitStatus(sha, "x", signal))).retryAfterMs).toBe(60_000);
    stub.expect(listed, { status: 429, body: "slow down" });
    expect((await failure(open().findCommitStatus(sha, "x", signal))).retryAfterMs).toBe(60_000);
  });
});

describe("the token", () => {
  it("is read again once when it expired between two calls", async () => {
    const tokens = ["old-token", "old-token", "new-token"];
    stub.expect(listed, { status: 200, body: [] });
    stub.expect(listed, { status: 401, body: { message: "Bad credentials" } });
    stub.expect(listed, { status: 200, body: [] });
    const forge = open({ token: () => Promise.resolve(tokens.shift() ?? "none") });
    await forge.findCommitStatus(sha, "x", signal);
    await forge.findCommitStatus(sha, "x", signal);
    expect(stub.requests.at(-1)?.headers.authorization).toBe("Bearer new-token");
  });

  it("that is wrong stops at the first answer", async () => {
    stub.expect(listed, { status: 401, body: { message: "Bad credentials" } });
    expect(await failure(open().findCommitStatus(sha, "x", signal))).toMatchObject({
      code: "forge-auth-failed",
      retry: "terminal",
    });
  });

  it("never shows in an error, even when the forge repeats it", async () => {
    stub.expect(listed, { status: 422, body: { message: `token ${secret} is odd, Bearer ${secret}` } });
    const error = await failure(open().findCommitStatus(sha, "x", signal));
    expect(`${error.message}${error.stack}${JSON.stringify(error)}`).not.toContain(secret);
    expect(error.message).toContain("(masked)");
  });

  it("is refused before anything is sent when it holds a line break or nothing", async () => {
    for (const token of ["", "two\nlines"]) {
      const error = await failure(open({ token: () => Promise.resolve(token) }).findCommitStatus(sha, "x", signal));
      expect(error.code).toBe("forge-auth-failed");
      expect(error.message).not.toContain("two");
    }
  });
});

describe("comments of a token that may not read its own name", () => {
  const marker = "<!-- kraken-gitops:plan:edge:fleet -->";
  const comments = "/repos/acme/fleet/issues/7/comments";

  it("are recognised by a bot as their author", async () => {
    stub.expect(`GET ${comments}?per_page=100`, {
      status: 200,
      body: [
        wireComment(1, "alice", "User", `${marker} quoted`),
        wireComment(2, "fleet-app[bot]", "Bot", `${marker} old`),
      ],
    });
    stub.expect("GET /user", { status: 403, body: { message: "Resource not accessible by integration" } });
    stub.expect("PATCH /repos/acme/fleet/issues/comments/2", {
      status: 200,
      body: wireComment(2, "fleet-app[bot]", "Bot", `${marker} new`),
    });
    await open().ensureComment(7, marker, `${marker} new`, signal);
  });

  it("are recognised by the author of what it wrote itself", async () => {
    stub.expect(`GET ${comments}?per_page=100`, { status: 200, body: [] });
    stub.expect(`POST ${comments}`, { status: 201, body: wireComment(3, "fleet-app[bot]", "Bot", `${marker} a`) });
    stub.expect(`GET ${comments}?per_page=100`, {
      status: 200,
      body: [wireComment(3, "fleet-app[bot]", "Bot", `${marker} a`)],
    });
    stub.expect("GET /repos/acme/fleet/issues/comments/3", { status: 404, body: { message: "Not Found" } });
    stub.expect(`GET ${comments}?per_page=100`, {
      status: 200,
      body: [
        wireComment(4, "other-app[bot]", "Bot", `${marker} a`),
        wireComment(5, "fleet-app[bot]", "Bot", `${marker} a`),
      ],
    });
    stub.expect("PATCH /repos/acme/fleet/issues/comments/5", {
      status: 200,
      body: wireComment(5, "fleet-app[bot]", "Bot", "x"),
    });
    const forge = open();
    await forge.ensureComment(7, marker, `${marker} a`, signal);
    await forge.ensureComment(7, marker, `${marker} b`, signal);
  });
});

describe("a comment", () => {
  const marker = "<!-- kraken-gitops:plan:edge:fleet -->";
  const comments = "/repos/acme/fleet/issues/7/comments";
  const me = { status: 200, body: { login: "kraken-bot", type: "User" } };
  const mine = (id: number, text: string): object => wireComment(id, "kraken-bot", "User", `${marker} ${text}`);

  it("that another process wrote just before is kept with our text, and ours goes", async () => {
    stub.expect(`GET ${comments}?per_page=100`, { status: 200, body: [] });
    stub.expect(`POST ${comments}`, { status: 201, body: mine(9, "ours") });
    stub.expect(`GET ${comments}?per_page=100`, { status: 200, body: [mine(8, "theirs"), mine(9, "ours")] });
    stub.expect("PATCH /repos/acme/fleet/issues/comments/8", { status: 200, body: mine(8, "ours") });
    stub.expect("DELETE /repos/acme/fleet/issues/comments/9", { status: 204 });
    await open().ensureComment(7, marker, `${marker} ours`, signal);
  });

  it("that another process wrote just after gives its text to ours, which stays", async () => {
    stub.expect(`GET ${comments}?per_page=100`, { status: 200, body: [] });
    stub.expect(`POST ${comments}`, { status: 201, body: mine(8, "ours") });
    stub.expect(`GET ${comments}?per_page=100`, { status: 200, body: [mine(8, "ours"), mine(9, "theirs")] });
    stub.expect("PATCH /repos/acme/fleet/issues/comments/8", { status: 200, body: mine(8, "theirs") });
    stub.expect("DELETE /repos/acme/fleet/issues/comments/9", { status: 404, body: { message: "Not Found" } });
    await open().ensureComment(7, marker, `${marker} ours`, signal);
  });

  it("that is there twice since a crash is left once", async () => {
    stub.expect(`GET ${comments}?per_page=100`, { status: 200, body: [mine(8, "old"), mine(9, "old")] });
    stub.expect("GET /user", me);
    stub.expect("DELETE /repos/acme/fleet/issues/comments/9", { status: 204 });
    stub.expect("PATCH /repos/acme/fleet/issues/comments/8", { status: 200, body: mine(8, "new") });
    await open().ensureComment(7, marker, `${marker} new`, signal);
  });

  it.each([
    [403, "Unable to create comment because issue is locked.", "The conversation is locked: unlock it"],
    [410, "Issues are disabled for this repo", "It is gone, or comments are switched off there"],
  ])("that cannot be written there (%d) is refused for a clear reason", async (status, message, advice) => {
    stub.expect(`GET ${comments}?per_page=100`, { status: 200, body: [] });
    stub.expect(`POST ${comments}`, { status, body: { message } });
    const error = await failure(open().ensureComment(7, marker, `${marker} text`, signal));
    expect(error).toMatchObject({ code: "forge-refused", retry: "terminal" });
    expect(error.message).toContain(message);
    expect(error.message).toContain(advice);
  });
});

describe("check", () => {
  it("finds what will fail later", async () => {
    stub.expect("GET /user", {
      status: 200,
      headers: { "x-oauth-scopes": "gist, read:org" },
      body: { login: "kraken-bot", type: "User" },
    });
    stub.expect("GET /repos/acme/fleet", {
      status: 200,
      headers: { "github-authentication-token-expiration": "2026-12-01 00:00:00 UTC", "x-ratelimit-remaining": "12" },
      body: { full_name: "acme/fleet", archived: true, permissions: { push: false } },
    });
    expect(await open().check(signal)).toEqual({
      login: "kraken-bot",
      findings: [
        "acme/fleet is archived: nothing can be written",
        "no write permission on acme/fleet: commit statuses will be refused",
        'the token\'s scopes (gist, read:org) lack "repo"; for a public repository "public_repo" and "repo:status" will do',
        "the token expires at 2026-12-01T00:00:00.000Z",
        "only 12 requests are left until the rate limit ends",
      ],
    });
  });
});

it("goes through a proxy and keeps the proxy's password out of its errors", async () => {
  stub.expect(listed, { status: 200, body: [] });
  const seen: (string | undefined)[] = [];
  const proxy = createServer();
  proxy.on("connect", (request, client) => {
    seen.push(request.headers["proxy-authorization"]);
    const [host = "", port = ""] = (request.url ?? "").split(":");
    const upstream = connect(Number(port), host, () => {
      client.write("HTTP/1.1 200 Connection established\r\n\r\n");
      upstream.pipe(client).pipe(upstream);
    });
    upstream.on("error", () => client.destroy());
    client.on("error", () => upstream.destroy());
  });
  await new Promise<void>((resolve) => {
    proxy.listen(0, "127.0.0.1", resolve);
  });
  const address = `ada:pr0xy-secret@127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  await open({ proxy: `http://${address}` }).findCommitStatus(sha, "x", signal);
  expect(seen).toEqual([`Basic ${Buffer.from("ada:pr0xy-secret").toString("base64")}`]);
  proxy.close();
  const nowhere = await failure(
    open({ proxy: "http://ada:pr0xy-secret@127.0.0.1:1" }).findCommitStatus(sha, "x", signal),
  );
  expect(nowhere.code).toBe("forge-unreachable");
  expect(`${nowhere.message}${String(nowhere.cause)}`).not.toContain("pr0xy-secret");
});

it("says which caFile cannot be read", async () => {
  const error = await failure(open({ caFile: "/nowhere/ca.pem" }).findCommitStatus(sha, "x", signal));
  expect(error).toMatchObject({ code: "config-invalid" });
  expect(error.message).toContain("/nowhere/ca.pem");
});

it("fails with the reason when nobody listens", async () => {
  const options = { apiUrl: "http://127.0.0.1:1" };
  const error = await failure(open(options).findCommitStatus(sha, "x", signal));
  expect(error.code).toBe("forge-unreachable");
  expect(error.message).toContain("ECONNREFUSED");
});

function open(options: Partial<GithubOptions> = {}) {
  return openGithub({
    apiUrl: stub.url,
    owner: "acme",
    repository: "fleet",
    token: () => Promise.resolve(secret),
    ...options,
  });
}

/** Answers writes after a while and counts how many were under way together. */
async function startCountingServer() {
  const counts = { writes: 0, most: 0 };
  let under = 0;
  const server = createServer((incoming, response) => {
    if (incoming.method === "GET") {
      response.end("[]");
      return;
    }
    under += 1;
    counts.writes += 1;
    counts.most = Math.max(counts.most, under);
    setTimeout(() => {
      under -= 1;
      response.writeHead(201).end("{}");
    }, 50);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    await promisify(server.close.bind(server))();
  };
  return Object.assign(counts, { url, close });
}

async function failure(promise: Promise<unknown>): Promise<WatcherError> {
  return promise.then(
    () => {
      throw new Error("it did not fail");
    },
    (error: unknown) => error as WatcherError,
  );
}

function wireStatus(): object {
  return { context: synced.context, state: "success", description: "Synced", target_url: null };
}

function wireComment(id: number, login: string, type: string, body: string): object {
  return { id, body, html_url: `https://github.example/c/${id}`, user: { login, type } };
}

function pull(number: number): object {
  const repository = { full_name: "acme/fleet" };
  return {
    number,
    title: `change ${number}`,
    html_url: `https://github.example/acme/fleet/pull/${number}`,
    draft: false,
    user: { login: "alice" },
    head: { sha, ref: "topic", repo: repository },
    base: { ref: "main", sha, repo: repository },
  };
}
