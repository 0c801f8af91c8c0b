import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ForgeLab } from "./forge-lab.ts";

/** What git says on standard error when a command fails. */
async function refusal(command: Promise<unknown>): Promise<string> {
  return command.then(
    () => "no error",
    (error: unknown) => String((error as { stderr?: unknown }).stderr),
  );
}

describe("the simulated forge over git", () => {
  let lab: ForgeLab;

  beforeEach(async () => {
    lab = await ForgeLab.open({
      users: [
        { login: "alice", token: "alice-token" },
        { login: "reader", token: "reader-token", permission: "read" },
        { login: "stranger", token: "stranger-token", permission: "none" },
        { login: "status-bot", token: "status-token", grants: { statuses: "write" } },
      ],
      repositories: [
        { owner: "acme", name: "fleet" },
        { owner: "acme", name: "secret", private: true },
      ],
      anonymousRead: true,
    });
  });
  afterEach(() => lab[Symbol.asyncDispose]());

  it("asks for credentials with a Basic challenge", async () => {
    const answer = await fetch(`${lab.url}/acme/secret.git/info/refs?service=git-upload-pack`);
    expect(answer.status).toBe(401);
    expect(answer.headers.get("www-authenticate")).toBe('Basic realm="GitHub"');
  });

  it("lets anybody read a public repository where that is switched on, and nobody push without a token", async () => {
    await lab.seeded();
    const clone = await lab.clone();
    await clone.git("remote", "set-url", "origin", `${lab.url}/acme/fleet.git`);
    expect(await clone.git("ls-remote", "origin", "refs/heads/main")).toContain("refs/heads/main");
    expect(await refusal(clone.git("push", "origin", "main:other"))).toContain("could not read Username");
  });

  it("takes the token as password of any user name", async () => {
    const clone = await lab.seeded();
    await clone.git("remote", "set-url", "origin", `${lab.url.replace("://", "://whoever:alice-token@")}/acme/fleet`);
    expect(await clone.git("ls-remote", "origin", "refs/heads/main")).toContain("refs/heads/main");
  });

  it.each([0, 2])(
    "tells the refs as they are now in version %i of the protocol, moved in whatever way",
    async (version) => {
      const clone = await lab.seeded();
      const first = await clone.git("rev-parse", "HEAD");
      const second = await clone.commit("Go on", { "base.txt": "two\n" });
      await clone.git("push", "--quiet", "origin", "main:other");
      const listed = (): Promise<string> =>
        clone.git("-c", `protocol.version=${version}`, "ls-remote", "origin", "refs/heads/*");
      const lines = (...refs: readonly string[]): string => refs.join("\n");
      expect(await listed()).toBe(lines(`${first}\trefs/heads/main`, `${second}\trefs/heads/other`));
      const bare = ["--git-dir", lab.bareRepository(1)];
      await clone.git(...bare, "update-ref", "refs/heads/main", second);
      expect(await listed()).toBe(lines(`${second}\trefs/heads/main`, `${second}\trefs/heads/other`));
      await clone.git(...bare, "pack-refs", "--all");
      expect(await listed()).toBe(lines(`${second}\trefs/heads/main`, `${second}\trefs/heads/other`));
      await clone.git(...bare, "update-ref", "-d", "refs/heads/other");
      expect(await listed()).toBe(`${second}\trefs/heads/main`);
      await clone.git("push", "--quiet", "origin", "main:refs/tags/v1");
      expect(await listed()).toBe(`${second}\trefs/heads/main`);
      expect(await clone.git("ls-remote", "--tags", "origin")).toBe(`${second}\trefs/tags/v1`);
    },
  );

  it("takes no request of another type", async () => {
    const headers = { authorization: `Basic ${btoa("alice:alice-token")}` };
    const asked = await fetch(`${lab.url}/acme/fleet.git/git-upload-pack`, { method: "POST", headers, body: "0000" });
    expect(asked.status).toBe(415);
  });

  it("refuses a wrong token, a push without write access, and a token without the contents permission", async () => {
    const clone = await lab.seeded();
    const push = async (token: string): Promise<string> => {
      await clone.git("remote", "set-url", "origin", lab.cloneUrl("acme/fleet", token));
      return refusal(clone.git("push", "origin", "main:other"));
    };
    expect(await push("wrong-token")).toContain("Authentication failed");
    expect(await push("reader-token")).toContain("Permission to acme/fleet.git denied to reader.");
    expect(await push("status-token")).toContain("Permission to acme/fleet.git denied to status-bot.");
  });

  it("hides a private repository from a user without access", async () => {
    expect(await refusal(lab.clone("acme/secret", "stranger-token"))).toContain("not found");
    expect((await lab.call("GET", "/repos/acme/secret", { token: "stranger-token" })).status).toBe(404);
  });

  it("carries a push larger than the pipe and git's request buffer, chunked", async () => {
    const clone = await lab.seeded();
    await writeFile(join(clone.directory, "large.bin"), randomBytes(6 * 1024 * 1024));
    const sha = await clone.commit("Large", {});
    await clone.git("push", "--quiet", "origin", "main");
    const other = await lab.clone();
    expect(await other.git("rev-parse", "HEAD")).toBe(sha);
    expect(await other.git("fsck", "--strict")).toBe("");
  });

  it("unpacks gzip request bodies, which git sends when it wants many commits", async () => {
    const clone = await lab.seeded();
    const other = await lab.clone();
    // Thirty branches with a commit each: the list of wants passes the 1 KiB from which git compresses.
    const branches = Array.from({ length: 30 }, (_, at) => `topic-${at}`);
    for (const branch of branches) {
      await clone.git("commit", "--quiet", "--allow-empty", "-m", branch);
      await clone.git("branch", branch);
    }
    await clone.git("push", "--quiet", "origin", ...branches);
    await using proxy = await recordingProxy(lab.url);
    const through = lab.cloneUrl("acme/fleet", "alice-token").replace(new URL(lab.url).host, proxy.host);
    await other.git("remote", "set-url", "origin", through);
    await other.git("-c", "protocol.version=0", "fetch", "--quiet", "origin");
    expect(await other.git("rev-parse", "origin/topic-29")).toBe(await clone.git("rev-parse", "HEAD"));
    expect(proxy.encodings).toContain("gzip");
  });

  it("speaks protocol version 2, fetches by commit id, and filters blobs", async () => {
    const clone = await lab.seeded();
    const sha = await clone.git("rev-parse", "HEAD");
    const answer = await fetch(`${lab.url}/acme/fleet.git/info/refs?service=git-upload-pack`, {
      headers: { "git-protocol": "version=2" },
    });
    expect(await answer.text()).toContain("version 2");
    const other = await lab.clone();
    await other.git("fetch", "--quiet", "--filter=blob:none", "--depth=1", "origin", sha);
    expect(await other.git("rev-parse", "FETCH_HEAD")).toBe(sha);
  });

  it("refuses pushes to refs/pull", async () => {
    const clone = await lab.seeded();
    expect(await refusal(clone.git("push", "origin", "main:refs/pull/9/head"))).toContain("hidden ref");
  });

  it("ends its work for a client that goes away in the middle of a push", async () => {
    const clone = await lab.seeded();
    const authorization = `Basic ${Buffer.from("x:alice-token").toString("base64")}`;
    const headers = {
      authorization,
      "content-type": "application/x-git-receive-pack-request",
      "content-length": "100000",
    };
    const call = request(`${lab.url}/acme/fleet.git/git-receive-pack`, { method: "POST", headers });
    const failed = once(call, "error");
    call.write("00");
    // A whole fetch later the push is at work too.
    await lab.refs();
    call.destroy(new Error("gone"));
    await failed;
    // Closing waits for requests at work: this one must have ended.
    await lab.restart();
    await clone.git("remote", "set-url", "origin", lab.cloneUrl("acme/fleet", "alice-token"));
    await clone.git("push", "--quiet", "origin", "main:after");
    expect((await lab.refs()).has("refs/heads/after")).toBe(true);
  });

  it("makes the first branch pushed to an empty repository its default branch", async () => {
    const clone = await lab.clone("acme/secret");
    await clone.git("checkout", "--quiet", "-B", "trunk");
    await clone.commit("Begin", { "a.txt": "1\n" });
    await clone.git("push", "--quiet", "origin", "trunk");
    expect((await lab.call("GET", "/repos/acme/secret")).json).toMatchObject({
      default_branch: "trunk",
      private: true,
    });
    const other = await lab.clone("acme/secret");
    expect(await other.git("rev-parse", "--abbrev-ref", "HEAD")).toBe("trunk");
  });
});

/** Passes requests on and notes their content encodings. */
async function recordingProxy(
  target: string,
): Promise<AsyncDisposable & { readonly host: string; readonly encodings: readonly string[] }> {
  const encodings: string[] = [];
  const server = createServer((incoming, response) => {
    const encoding = incoming.headers["content-encoding"];
    if (encoding !== undefined) encodings.push(encoding);
    const onward = request(
      `${target}${incoming.url ?? ""}`,
      { method: incoming.method, headers: incoming.headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    incoming.pipe(onward);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    encodings,
    [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve()).closeAllConnections()),
  };
}
