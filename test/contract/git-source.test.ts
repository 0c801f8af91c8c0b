import { chmod, mkdir, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { randomBytes } from "node:crypto";
import { execFileSync } from "node:child_process";
import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type GitSourceOptions, openGitSource } from "../../src/adapters/git/simple-git-source.ts";
import type { GitSource } from "../../src/ports/git-source.ts";
import { ForwardProxy, GitHttpServer, makeCertificate } from "../support/git-http-server.ts";
import { TestRepository, temporaryFolder } from "../support/git-repository.ts";
import { gitSourceContract } from "./git-source.contract.ts";

/** What the tests' own machine has in its proxies and GIT_* variables must not matter. */
const environment = { PATH: process.env["PATH"] };
const password = "t0ken-of-the-tests";
const auth = { kind: "token", token: () => Promise.resolve(password) } as const;

function signal(): AbortSignal {
  return AbortSignal.timeout(20_000);
}

/** What fetching the branch fails with. */
async function failure(git: GitSource): Promise<{ code: string; message: string }> {
  const error: unknown = await git.fetchBranch(signal()).then(
    () => new Error("the fetch was expected to fail"),
    (reason: unknown) => reason,
  );
  expect(error).toMatchObject({ name: "WatcherError" });
  return error as { code: string; message: string };
}

/** Command lines of processes that mention this test's server. */
function processesOf(server: GitHttpServer): string[] {
  const listing = execFileSync("ps", ["-eo", "stat=,args="]).toString();
  return listing.split("\n").filter((line) => !line.startsWith("Z") && line.includes(`127.0.0.1:${server.port}`));
}

describe("simple-git on a folder", () => {
  gitSourceContract(({ root, name, ...rest }) => openGitSource({ ...rest, url: join(root, name), environment }));
});

describe("simple-git over smart HTTP with a token", () => {
  const servers: GitHttpServer[] = [];
  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server[Symbol.asyncDispose]()));
  });
  gitSourceContract(async ({ root, name, ...rest }) => {
    const server = await GitHttpServer.start({ root, auth: { password } });
    servers.push(server);
    return await openGitSource({ ...rest, url: server.url(name), auth, environment });
  });
});

describe("simple-git and its remotes", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  let root: string;
  let repository: TestRepository;
  let mirrorDir: string;
  let closing: AsyncDisposable[] = [];

  beforeEach(async () => {
    folder = await temporaryFolder();
    root = join(folder.path, "root");
    mirrorDir = join(folder.path, "mirror");
    repository = await TestRepository.create(join(root, "fleet.git"));
  });

  afterEach(async () => {
    for (const one of closing.toReversed()) await one[Symbol.asyncDispose]();
    closing = [];
    await folder[Symbol.asyncDispose]();
  });

  function keep<T extends AsyncDisposable>(one: T): T {
    closing.push(one);
    return one;
  }

  async function open(options: Partial<GitSourceOptions> = {}): Promise<GitSource> {
    const base = { url: repository.path, branch: "main", path: "", mirrorDir, environment };
    return keep(await openGitSource({ ...base, ...options }));
  }

  async function serve(options: Partial<Parameters<typeof GitHttpServer.start>[0]> = {}): Promise<GitHttpServer> {
    return keep(await GitHttpServer.start({ root, ...options }));
  }

  it("asks for the remote tip with one round trip after the login, whatever the repository holds", async () => {
    const tip = await repository.commit({ a: "a" });
    for (let index = 0; index < 30; index += 1) await repository.setRef(`refs/pull/${index}/head`, tip);
    const server = await serve({ auth: { password }, latencyMs: 30 });
    const git = await open({ url: server.url("fleet.git"), auth });
    expect(await git.remoteTip(signal())).toBe(tip);
    const authorized = server.requests.filter((request) => request.authorized);
    expect(authorized.map(({ method }) => method)).toEqual(["GET", "POST"]);
  });

  it("transfers only what a commit changed", async () => {
    await repository.commit({ a: "a", large: randomBytes(2_000_000) });
    const server = await serve();
    const git = await open({ url: server.url("fleet.git") });
    await git.fetchBranch(signal());
    const before = server.sentBytes;
    await repository.commit({ a: "b" });
    await git.fetchBranch(signal());
    expect(server.sentBytes - before).toBeLessThan(5_000);
  });

  it("asks for the token before each call, and tells a wrong token from a missing repository", async () => {
    await repository.commit({ a: "a" });
    const server = await serve({ auth: { password } });
    let token = "wrong-one";
    const renewing = { kind: "token", token: () => Promise.resolve(token) } as const;
    const git = await open({ url: server.url("fleet.git"), auth: renewing });
    expect((await failure(git)).code).toBe("git-auth-failed");
    token = `${password}\n`;
    expect(await git.fetchBranch(signal())).toBeDefined();
    token = "";
    expect((await failure(git)).message).toContain("is empty");
    const other = await open({ url: server.url("nothere.git"), auth, mirrorDir: `${mirrorDir}2` });
    expect((await failure(other)).code).toBe("git-repository-missing");
  });

  it("keeps the token out of errors, command lines and the mirror", async () => {
    await repository.commit({ a: "a" });
    const server = await serve({ auth: { password } });
    const git = await open({ url: server.url("fleet.git"), auth });
    await git.fetchBranch(signal());
    server.mood = { kind: "hang" };
    const controller = new AbortController();
    const polling = git.remoteTip(controller.signal);
    await expect.poll(() => processesOf(server).length).toBeGreaterThan(0);
    const commandLines = processesOf(server).join("\n");
    controller.abort(new Error("enough"));
    await expect(polling).rejects.toThrow("enough");
    server.mood = { kind: "status", code: 403 };
    const { code, message } = await failure(git);
    expect(code).toBe("git-auth-failed");
    const encoded = Buffer.from(`x-access-token:${password}`).toString("base64");
    const onDisk = await Promise.all(
      ["config", "logs/refs/kraken/branch/main"].map((name) => readFile(join(mirrorDir, name), "utf8")),
    );
    for (const text of [commandLines, message, ...onDisk]) {
      expect(text).not.toContain(password);
      expect(text).not.toContain(encoded);
    }
  });

  it("gives the token to no other server that it is redirected to", async () => {
    await repository.commit({ a: "a" });
    const server = await serve({ auth: { password } });
    const stranger = await serve({ auth: { password } });
    server.mood = { kind: "status", code: 302, location: `http://127.0.0.1:${stranger.port}` };
    const git = await open({ url: server.url("fleet.git"), auth });
    expect((await failure(git)).code).toBe("git-auth-failed");
    expect(stranger.requests.map(({ authorized }) => authorized)).toEqual([false]);
  });

  it.each([429, 500, 503])("calls a server that answers %i unreachable for now", async (code) => {
    const server = await serve();
    server.mood = { kind: "status", code };
    expect((await failure(await open({ url: server.url("fleet.git") }))).code).toBe("git-unreachable");
  });

  it("ends every process of a call that is aborted or too slow", async () => {
    const server = await serve();
    server.mood = { kind: "hang" };
    const git = await open({ url: server.url("fleet.git"), timeoutMs: 700 });
    const started = Date.now();
    expect(await failure(git)).toMatchObject({
      code: "git-unreachable",
      message: expect.stringContaining("sent nothing for 0.7 s"),
    });
    expect(Date.now() - started).toBeLessThan(5_000);
    await expect.poll(() => processesOf(server)).toEqual([]);
    const controller = new AbortController();
    const polling = git.remoteTip(controller.signal);
    await expect.poll(() => processesOf(server).length).toBeGreaterThan(1);
    controller.abort(new Error("stop"));
    await expect(polling).rejects.toThrow("stop");
    await expect.poll(() => processesOf(server)).toEqual([]);
  });

  it("lets a slow transfer go on while it makes progress, up to the limit of the whole fetch", async () => {
    await repository.commit({ large: randomBytes(1_400_000) });
    const server = await serve();
    server.mood = { kind: "slow", bytesPerSecond: 600_000 };
    const patient = await open({ url: server.url("fleet.git"), timeoutMs: 3_000 });
    const started = Date.now();
    expect(await patient.fetchBranch(signal())).toBe(await repository.tip("main"));
    expect(Date.now() - started).toBeGreaterThan(3_000);
    const hasty = await open({ url: server.url("fleet.git"), fetchTimeoutMs: 1_000, mirrorDir: `${mirrorDir}2` });
    expect((await failure(hasty)).message).toContain("did not finish within 1 s");
  });

  it("stops a fetch that brings more than it may", async () => {
    await repository.commit({ large: randomBytes(4_000_000) });
    const server = await serve();
    server.mood = { kind: "slow", bytesPerSecond: 1_000_000 };
    const git = await open({ url: server.url("fleet.git"), maxFetchBytes: 500_000 });
    expect(await failure(git)).toMatchObject({
      code: "git-failed",
      message: expect.stringContaining("raise maxFetchBytes"),
    });
  });

  it("recovers from a connection that broke in the middle of a pack", async () => {
    const tip = await repository.commit({ large: randomBytes(1_000_000) });
    const server = await serve();
    server.mood = { kind: "drop", afterBytes: 300_000 };
    const git = await open({ url: server.url("fleet.git") });
    expect((await failure(git)).code).toBe("git-unreachable");
    server.mood = { kind: "normal" };
    expect(await git.fetchBranch(signal())).toBe(tip);
  });

  it("keeps answering from the mirror while the remote is away", async () => {
    const tip = await repository.commit({ "a.yaml": "a" });
    const server = await serve();
    const git = await open({ url: server.url("fleet.git") });
    await git.fetchBranch(signal());
    await server[Symbol.asyncDispose]();
    expect((await failure(git)).code).toBe("git-unreachable");
    expect([...(await git.listFiles(tip, signal())).keys()]).toEqual(["a.yaml"]);
  });

  it.each([
    ["http://127.0.0.1:1/x.git", "git-unreachable"],
    ["ssh://git@127.0.0.1:1/x.git", "git-unreachable"],
    ["git://127.0.0.1:1/x.git", "git-unreachable"],
    ["https://nothing.invalid/x.git", "git-unreachable"],
    ["git@nothing.invalid:x.git", "git-unreachable"],
    ["/nonexistent/x.git", "git-repository-missing"],
    ["file:///nonexistent/x.git", "git-repository-missing"],
  ])("explains that %s cannot be fetched", async (url, code) => {
    const error = await failure(await open({ url }));
    expect(error.code).toBe(code);
    expect(error.message).toContain(url);
  });

  it.each([
    "ext::sh -c true",
    "ext::sh",
    "--upload-pack=x",
    "relative/path",
    "ftp://host/x.git",
    "https://user:secret@host/x.git",
  ])("refuses the address %s before git sees it", async (url) => {
    await expect(open({ url })).rejects.toMatchObject({
      code: "config-invalid",
      message: expect.not.stringContaining("secret@"),
    });
  });

  it.each(["a..b", "a b", "a:b", "", "a*", "a.lock"])("refuses the branch name %j", async (branch) => {
    await expect(open({ branch })).rejects.toMatchObject({ code: "config-invalid" });
  });

  it("accepts a server certificate of its own authority and no other", async () => {
    const tip = await repository.commit({ a: "a" });
    const certificate = makeCertificate(folder.path);
    const wrong = makeCertificate(folder.path, "wrong");
    const server = await serve({ auth: { password }, tls: certificate });
    const url = server.url("fleet.git");
    expect(await (await open({ url, auth, caFile: certificate.caFile })).fetchBranch(signal())).toBe(tip);
    for (const caFile of [undefined, wrong.caFile]) {
      const error = await failure(await open({ url, auth, caFile, mirrorDir: `${mirrorDir}2` }));
      expect(error).toMatchObject({ code: "git-unreachable", message: expect.stringContaining("set caFile") });
    }
    await expect(open({ url, caFile: join(folder.path, "absent.pem") })).rejects.toMatchObject({
      code: "config-invalid",
    });
  });

  it("goes through the configured proxy, for HTTP and for HTTPS", async () => {
    const tip = await repository.commit({ a: "a" });
    const certificate = makeCertificate(folder.path);
    const plain = await serve();
    const secure = await serve({ tls: certificate });
    const through = keep(await ForwardProxy.start("user:pr0xy-secret"));
    const proxy = `http://user:pr0xy-secret@127.0.0.1:${through.port}`;
    expect(await (await open({ url: plain.url("fleet.git"), proxy })).remoteTip(signal())).toBe(tip);
    const { caFile } = certificate;
    const tunnelled = await open({ url: secure.url("fleet.git"), caFile, proxy, mirrorDir: `${mirrorDir}2` });
    expect(await tunnelled.fetchBranch(signal())).toBe(tip);
    expect(through.asked.some((line) => line.startsWith(`GET http://127.0.0.1:${plain.port}/`))).toBe(true);
    expect(through.asked).toContain(`CONNECT 127.0.0.1:${secure.port}`);
    const refused = `http://user:not-it-at-all@127.0.0.1:${through.port}`;
    const error = await failure(
      await open({ url: secure.url("fleet.git"), caFile, proxy: refused, mirrorDir: `${mirrorDir}2` }),
    );
    expect(error).toMatchObject({ code: "git-auth-failed", message: expect.stringContaining("proxy") });
    expect(error.message).not.toContain("not-it-at-all");
  });

  it("starts ssh with its key, strict host keys and nothing from the user's configuration", async () => {
    const tip = await repository.commit({ a: "a" });
    const bin = join(folder.path, "bin");
    await mkdir(bin);
    const stub = `#!/bin/sh\nprintf '%s\\n' "$@" > '${folder.path}/ssh-arguments'\nfor last; do :; done\nexec sh -c "$last"\n`;
    await writeFile(join(bin, "ssh"), stub);
    await chmod(join(bin, "ssh"), 0o755);
    const keyFile = join(folder.path, "deploy key");
    const knownHostsFile = join(folder.path, "known hosts");
    await writeFile(keyFile, "key");
    await writeFile(knownHostsFile, "");
    const git = await open({
      url: `ssh://example.com${repository.path}`,
      auth: { kind: "ssh", keyFile, knownHostsFile, user: "git" },
      environment: { PATH: `${bin}:${process.env["PATH"]}` },
    });
    expect(await git.fetchBranch(signal())).toBe(tip);
    const given = (await readFile(join(folder.path, "ssh-arguments"), "utf8")).split("\n");
    for (const option of ["BatchMode=yes", "StrictHostKeyChecking=yes", "IdentitiesOnly=yes", "User=git"])
      expect(given).toContain(option);
    expect(given).toContain(`UserKnownHostsFile="${knownHostsFile}"`);
    expect(given[given.indexOf("-i") + 1]).toBe(keyFile);
    expect(given[given.indexOf("-F") + 1]).toBe("none");
  });

  it("gives up on an SSH server that never says hello", async () => {
    const sockets = new Set<{ destroy(): void }>();
    const silent: Server = createServer((socket) => sockets.add(socket));
    await new Promise<void>((resolve) => silent.listen(0, "127.0.0.1", resolve));
    const { port } = silent.address() as AddressInfo;
    const git = await open({ url: `ssh://git@127.0.0.1:${port}/x.git`, timeoutMs: 800 });
    expect((await failure(git)).code).toBe("git-unreachable");
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => silent.close(resolve));
  });

  it("needs the key and known_hosts files to be there", async () => {
    const keyFile = join(folder.path, "absent");
    await expect(open({ auth: { kind: "ssh", keyFile } })).rejects.toMatchObject({ code: "config-invalid" });
  });

  it("is not misled by the machine's git configuration and variables", async () => {
    const tip = await repository.commit({ a: "a" });
    await writeFile(join(folder.path, ".gitconfig"), `[url "/nonexistent/"]\n\tinsteadOf = ${root}/\n`);
    const misleading = { ...environment, HOME: folder.path, GIT_DIR: "/nonexistent", GIT_SSL_CAINFO: "/nonexistent" };
    expect(await (await open({ environment: misleading })).fetchBranch(signal())).toBe(tip);
  });

  it("shares one mirror between two sources that fetch at the same time", async () => {
    await repository.commit({ a: "0" });
    const first = await open();
    const second = await open();
    for (let round = 1; round <= 5; round += 1) {
      const tip = await repository.commit({ a: String(round) });
      await repository.setRef("refs/pull/1/head", tip);
      const wanted = [{ revision: tip, ref: "refs/pull/1/head" }];
      const tips = await Promise.all([
        first.fetchBranch(signal()),
        second.fetchBranch(signal()),
        first.ensureRevisions(wanted, signal()),
        second.ensureRevisions(wanted, signal()),
      ]);
      expect(tips.slice(0, 2)).toEqual([tip, tip]);
    }
  });

  it("makes one mirror when two sources open it for the first time at once", async () => {
    const tip = await repository.commit({ a: "a" });
    const sources = await Promise.all([open(), open(), open()]);
    expect(await Promise.all(sources.map((git) => git.fetchBranch(signal())))).toEqual([tip, tip, tip]);
    expect((await readdir(folder.path)).filter((name) => name.startsWith("mirror"))).toEqual(["mirror"]);
  });

  it("sets a mirror of another address aside and starts a new one", async () => {
    const tip = await repository.commit({ a: "a" });
    await (await open()).fetchBranch(signal());
    const other = await TestRepository.create(join(root, "other.git"));
    const otherTip = await other.commit({ b: "b" });
    const git = await open({ url: other.path });
    expect(await git.fetchBranch(signal())).toBe(otherTip);
    await expect(git.readCommit(tip, signal())).rejects.toMatchObject({ code: "git-revision-missing" });
    expect((await readdir(folder.path)).filter((name) => name.startsWith("mirror.aside-"))).toHaveLength(1);
  });

  it("never deletes a folder that is no mirror, only moves it out of the way", async () => {
    const tip = await repository.commit({ a: "a" });
    await mkdir(mirrorDir);
    await writeFile(join(mirrorDir, "precious.txt"), "mine");
    const git = await open();
    expect(await git.fetchBranch(signal())).toBe(tip);
    await rm(join(mirrorDir, "HEAD"));
    await open();
    await rm(join(mirrorDir, "HEAD"));
    await open();
    const asides = (await readdir(folder.path)).filter((name) => name.startsWith("mirror.aside-"));
    const kept = await Promise.all(asides.map((name) => readdir(join(folder.path, name))));
    expect(kept.flat()).toContain("precious.txt");
  });

  it.each(["HEAD", "config", "objects", "refs"])("makes a new mirror when %s is gone at the start", async (part) => {
    const tip = await repository.commit({ a: "a" });
    await (await open()).fetchBranch(signal());
    await rm(join(mirrorDir, part), { recursive: true });
    expect(await (await open()).fetchBranch(signal())).toBe(tip);
  });

  it("mends a mirror whose objects were lost or cut short while it was open", async () => {
    const first = await repository.commit({ a: "a" });
    const git = await open();
    await git.fetchBranch(signal());
    const packs = join(mirrorDir, "objects", "pack");
    for (const name of await readdir(packs)) {
      await chmod(join(packs, name), 0o644);
      await truncate(join(packs, name), 20);
    }
    const fresh = await open();
    const second = await repository.commit({ a: "b" });
    expect(await fresh.fetchBranch(signal())).toBe(second);
    expect((await fresh.readCommit(first, signal())).revision).toBe(first);
  });

  it("notices a lost pack while reading and mends it with the next fetch", async () => {
    await repository.commit({ "old.yaml": "old" });
    const git = await open();
    await git.fetchBranch(signal());
    const packs = join(mirrorDir, "objects", "pack");
    const before = await readdir(packs);
    const tip = await repository.commit({ "new.yaml": "new" });
    await git.fetchBranch(signal());
    for (const name of before) await rm(join(packs, name), { force: true });
    const rereading = await open();
    await expect(rereading.listFiles(tip, signal())).rejects.toMatchObject({ retry: "transient" });
    expect(await rereading.fetchBranch(signal())).toBe(tip);
    expect([...(await rereading.listFiles(tip, signal())).keys()]).toEqual(["new.yaml", "old.yaml"]);
  });

  it("mends a mirror that was deleted while it was open", async () => {
    const tip = await repository.commit({ a: "a" });
    const git = await open();
    await git.fetchBranch(signal());
    await rm(mirrorDir, { recursive: true });
    expect(await git.fetchBranch(signal())).toBe(tip);
    expect([...(await git.listFiles(tip, signal())).keys()]).toEqual(["a"]);
  });

  it("keeps force-pushed commits through a clean-up of the mirror", async () => {
    const base = await repository.commit({ a: "base" });
    const lost = await repository.commit({ a: "lost" });
    const git = await open();
    await git.fetchBranch(signal());
    await repository.commit({ a: "forced" }, { from: base });
    await git.fetchBranch(signal());
    execFileSync("git", ["gc", "--quiet", "--prune=now"], { cwd: mirrorDir });
    expect((await git.readCommit(lost, signal())).revision).toBe(lost);
  });

  it("survives the death of its reading process", async () => {
    const tip = await repository.commit({ a: "a" });
    const git = await open();
    await git.fetchBranch(signal());
    const readers = execFileSync("ps", ["-eo", "pid=,ppid=,args="])
      .toString()
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .filter(([, parent, ...args]) => parent === String(process.pid) && args.join(" ").includes("cat-file"));
    expect(readers.length).toBeGreaterThan(0);
    for (const [pid] of readers) process.kill(Number(pid), "SIGKILL");
    await expect.poll(() => git.readCommit(tip, signal()).catch(() => undefined)).toMatchObject({ revision: tip });
  });
});
