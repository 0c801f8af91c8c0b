import { execFile } from "node:child_process";
import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createGithubApp, type GithubApp, type GithubAppOptions } from "../../src/adapters/forge/github-app.ts";
import { readAppKey, signAppJwt } from "../../src/adapters/forge/github-app-jwt.ts";
import { type GithubOptions, openGithub } from "../../src/adapters/forge/github.ts";
import { openGithubDescription } from "../support/github-description.ts";
import type { SimulatedApp } from "../../src/simulator/forge/options.ts";
import { type ForgeSimulator, startForgeSimulator } from "../../src/simulator/forge/simulator.ts";

const run = promisify(execFile);
const signal = AbortSignal.timeout(300_000);
const marker = "<!-- kraken-gitops:plan:app:fleet -->";
const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
const pem = pair.privateKey.export({ type: "pkcs1", format: "pem" }).toString();
const publicKey = pair.publicKey.export({ type: "spki", format: "pem" }).toString();
const granted = { contents: "read", statuses: "write", pull_requests: "write" } as const;
const keeper = simulatedApp(17, "fleet-keeper", {});
const poor = simulatedApp(19, "poor", { permissions: { contents: "read", pull_requests: "read" } });
const hasty = simulatedApp(18, "hasty", { tokenLifeMs: 1_500 });

const description = openGithubDescription();
let folder: string;
let simulator: ForgeSimulator;
let revision: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "forge-app-"));
  simulator = await startForgeSimulator({
    dataDir: join(folder, "forge"),
    repositories: [
      { owner: "acme", name: "fleet", private: true },
      { owner: "acme", name: "other", private: true },
    ],
    observe: (exchange) => description.check(exchange),
    apps: [keeper, hasty, poor],
  });
  revision = await pushWork();
});
afterAll(async () => {
  await simulator.close();
  expect(description.violations()).toEqual([]);
  expect([...description.operations()]).toEqual(
    expect.arrayContaining(["apps/get-repo-installation", "apps/create-installation-access-token"]),
  );
  await rm(folder, { recursive: true, force: true });
});

describe("a GitHub App", () => {
  it("writes statuses and comments under its own name, and finds them again after a restart", async () => {
    const forge = open(app());
    expect(await forge.check(signal)).toEqual({ login: "fleet-keeper[bot]", findings: [] });
    const synced = { context: "x/sync", state: "success", description: "Synced", targetUrl: undefined } as const;
    await forge.ensureCommitStatus(revision, synced, signal);
    // Another bot quotes the marker: a bot as its author is not enough.
    await open(app({ id: "18" })).ensureComment(1, marker, `${marker}\n\nhasty`, signal);
    await forge.ensureComment(1, marker, `${marker}\n\nfirst`, signal);
    await open(app()).ensureComment(1, marker, `${marker}\n\nsecond`, signal);
    const comments = await open(app()).listComments(0, signal);
    expect(comments.map(({ author, own, body }) => [author.login, own, body.split("\n\n")[1]])).toEqual([
      ["hasty[bot]", false, "hasty"],
      ["fleet-keeper[bot]", true, "second"],
    ]);
  });

  it("is told which permissions it lacks", async () => {
    const { findings } = await open(app({ id: "19" }), { deployments: true }).check(signal);
    expect(findings).toEqual([
      'the App lacks the permission "Commit statuses: write": commit statuses will be refused',
      'the App lacks the permission "Pull requests: write": plans cannot be written as comments',
      'the App lacks the permission "Deployments: write": deployments will be refused',
    ]);
  });

  it("asks for one token, whoever needs it at the same time, and keeps it", async () => {
    const before = await tokensMade();
    const one = app();
    const [first, second] = await Promise.all([one.token(), one.token()]);
    expect(second).toBe(first);
    expect(await one.token()).toBe(first);
    expect(await one.permissions()).toEqual({ metadata: "read", ...granted });
    expect(await tokensMade()).toBe(before + 1);
  });

  it("renews its token before it ends", async () => {
    let shiftMs = 0;
    const one = app({ now: () => Date.now() + shiftMs });
    const first = await one.token();
    shiftMs = 54 * 60_000;
    expect(await one.token()).toBe(first);
    shiftMs = 56 * 60_000;
    expect(await one.token()).not.toBe(first);
  });

  it("works on with tokens that live for a moment", async () => {
    const forge = open(app({ id: "18" }));
    for (let round = 0; round < 4; round += 1) {
      await forge.findCommitStatus(revision, "never", signal);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  });

  it("gets a new token once when the old one is refused", async () => {
    const forge = open(app());
    await forge.findCommitStatus(revision, "never", signal);
    const before = await tokensMade();
    await fetch(`${simulator.url}/_simulator/installation-tokens`, { method: "DELETE" });
    await forge.findCommitStatus(revision, "never", signal);
    expect(await tokensMade()).toBe(before + 1);
  });

  it.each([-20, 20])("learns the forge's time when its own clock is off by %d minutes", async (minutes) => {
    const one = app({ now: () => Date.now() + minutes * 60_000 });
    const first = await one.token();
    expect(first).toMatch(/^ghs_/);
    expect(await one.token()).toBe(first);
  });

  it("lets git in, over HTTP", async () => {
    const address = simulator.url.replace("://", `://x-access-token:${await app().token()}@`);
    const { stdout } = await run("git", ["ls-remote", `${address}/acme/fleet.git`, "refs/heads/main"]);
    expect(stdout).toContain(revision);
    await expect(run("git", ["ls-remote", `${address}/acme/other.git`])).rejects.toThrow(/not found/i);
  });

  it("makes do with its whole installation when the repository's name is an old one", async () => {
    await expect(app({ installationId: 2017, repository: "ships" }).token()).resolves.toMatch(/^ghs_/);
  });

  it("says so when it is not installed, not there, or has another key", async () => {
    const failure = async (one: GithubApp): Promise<unknown> => one.token().catch((error: unknown) => error);
    expect(await failure(app({ repository: "other" }))).toMatchObject({
      code: "forge-auth-failed",
      message: "GitHub App 17 is not installed on acme/other: install it there",
    });
    expect(await failure(app({ installationId: 5 }))).toMatchObject({ code: "forge-auth-failed" });
    expect(await failure(app({ id: "99" }))).toMatchObject({
      code: "forge-auth-failed",
      message: expect.stringContaining("the id and the private key belong together") as string,
    });
    const elliptic = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey;
    const wrong = elliptic.export({ type: "pkcs8", format: "pem" }).toString();
    for (const key of [wrong, "no key at all"]) {
      const error = (await failure(app({ privateKey: () => Promise.resolve(key) }))) as Error;
      expect(error).toMatchObject({ code: "config-invalid" });
      expect(error.message).not.toContain(key.split("\n")[1] ?? "no key");
    }
  });
});

it("signs a JWT that is dated back a minute and lives ten minutes at most", () => {
  const now = Date.UTC(2030, 0, 1);
  const [head = "", claims = "", signature = ""] = signAppJwt("Iv1.abc", readAppKey(pem), now).split(".");
  const read = (part: string): unknown => JSON.parse(Buffer.from(part, "base64url").toString());
  expect(read(head)).toEqual({ alg: "RS256", typ: "JWT" });
  expect(read(claims)).toEqual({ iat: now / 1_000 - 60, exp: now / 1_000 + 540, iss: "Iv1.abc" });
  const signed = Buffer.from(`${head}.${claims}`);
  expect(verify("RSA-SHA256", signed, createPublicKey(publicKey), Buffer.from(signature, "base64url"))).toBe(true);
});

function simulatedApp(id: number, slug: string, more: Partial<SimulatedApp>): SimulatedApp {
  return { id, slug, publicKey, installationId: 2000 + id, installedOn: ["acme/fleet"], permissions: granted, ...more };
}

function app(options: Partial<GithubAppOptions> = {}): GithubApp {
  return createGithubApp({
    apiUrl: simulator.apiUrl,
    owner: "acme",
    repository: "fleet",
    id: "17",
    privateKey: () => Promise.resolve(pem),
    ...options,
  });
}

function open(one: GithubApp, more: Partial<GithubOptions> = {}) {
  const { apiUrl } = simulator;
  const token = (refused?: string): Promise<string> => one.token(refused);
  return openGithub({ apiUrl, owner: "acme", repository: "fleet", token, app: one, ...more });
}

async function tokensMade(): Promise<number> {
  const answer = await fetch(`${simulator.url}/_simulator/calls`);
  const { counts } = (await answer.json()) as { counts: Record<string, number> };
  return counts["POST /app/installations/:id/access_tokens"] ?? 0;
}

/** `main` and a pull request; answers the tip of `main`. */
async function pushWork(): Promise<string> {
  const work = join(folder, "work");
  const git = async (...args: string[]): Promise<string> =>
    (await run("git", ["-C", work, "-c", "user.name=t", "-c", "user.email=t@example.invalid", ...args])).stdout.trim();
  await run("git", ["init", "--quiet", "--initial-branch=main", work]);
  await git("commit", "--quiet", "--allow-empty", "--message", "one");
  const tip = await git("rev-parse", "HEAD");
  await git("checkout", "--quiet", "-b", "topic");
  await git("commit", "--quiet", "--allow-empty", "--message", "two");
  const remote = `${simulator.url.replace("://", "://alice:alice-token@")}/acme/fleet.git`;
  await git("push", "--quiet", remote, "main", "topic");
  const headers = { authorization: "Bearer alice-token", "user-agent": "test" };
  const body = JSON.stringify({ title: "topic", head: "topic", base: "main" });
  await fetch(`${simulator.apiUrl}/repos/acme/fleet/pulls`, { method: "POST", headers, body });
  return tip;
}
