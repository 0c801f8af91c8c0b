import { execFile } from "node:child_process";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import { startProgram } from "../support/built-program.ts";
import { CliLab } from "../support/cli-lab.ts";
import { sshSigner } from "../support/signing.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type WorldOptions } from "../support/world.ts";

let lab: CliLab | undefined;
afterEach(async () => {
  await lab?.[Symbol.asyncDispose]();
  lab = undefined;
}, 60_000);

async function open(options: WorldOptions = {}): Promise<CliLab> {
  lab = await CliLab.open(options);
  return lab;
}

const ready = '"msg":"kraken-gitops is ready"';
const shop = (cpu: number) => ({ "manifests/shop.yaml": manifest("shop", [{ name: "web", cpu }]) });

describe("run", () => {
  it("serves status, history, wait and sync from another process, and ends on SIGTERM with 0", async () => {
    const l = await open();
    const running = l.start("run");
    await running.says(ready);

    const unseen = await l.run("wait", "--commit", "abcdef1", "--timeout", "1s", "--json");
    expect(unseen.code).toBe(2);
    expect(unseen.stderr).toMatch(/abcdef1 was not seen on a tracked branch of fleet within 1 s; is it pushed/);
    expect(JSON.parse(unseen.stdout)).toMatchObject({ standing: "unknown" });

    const commit = await l.world.push(shop(1), "Add the shop");
    const waited = await l.run("wait", "--commit", commit, "--timeout", "30s");
    expect(waited).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/ success: Synced: 1 operation on 1 cluster/),
    });
    const [status, statusJson, history] = await Promise.all([
      l.run("status"),
      l.run("status", "--json"),
      l.run("history", "--json", "--application", "shop"),
    ]);
    expect(status).toMatchObject({ code: 0, stdout: expect.stringMatching(/fleet[\s\S]*"Add the shop" success/) });
    expect(JSON.parse(statusJson.stdout)).toMatchObject({
      schemaVersion: 1,
      repositories: [{ repository: "fleet", branch: { synced: commit }, condition: { ok: true } }],
    });
    expect(JSON.parse(history.stdout)).toMatchObject({
      schemaVersion: 1,
      entries: [{ revision: commit, verdict: { state: "success" } }],
    });
    const synced = await l.run("sync", "--wait", "--json", "--timeout", "30s");
    expect(synced.code).toBe(0);
    expect(JSON.parse(synced.stdout)).toMatchObject({ verdict: { state: "success" } });

    const failing = await l.world.push({ "manifests/bad.yaml": "type: [\n" }, "A broken file");
    expect(await l.run("wait", "--commit", failing.slice(0, 10), "--timeout", "30s")).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/ failure: .*problem/),
    });
    expect((await l.run("status")).code).toBe(1);

    running.child.kill("SIGTERM");
    expect(await running.ended).toBe(0);
    expect(running.stderr()).toBe("");
  }, 90_000);

  it("lets a second one stand by in the same dataDir, and ends both on SIGINT", async () => {
    const l = await open();
    const first = l.start("run");
    await first.says(ready);
    const second = l.start("run");
    await second.says(ready);
    await second.says("another process watches this repository, standing by");
    first.child.kill("SIGINT");
    expect(await first.ended).toBe(0);
    const commit = await l.world.push(shop(1), "Add the shop");
    expect(await l.world.final(commit)).toMatchObject({ state: "success" });
    second.child.kill("SIGINT");
    expect(await second.ended).toBe(0);
  }, 60_000);

  it("keeps trying while the remote and a cluster are away, with a line each, and goes on by itself", async () => {
    const l = await open();
    const { world } = l;
    await world.control(world.clusterUrl(), "POST", "nodes", { state: "bad-gateway" });
    await world.control(world.forgeUrl, "POST", "faults", { kind: "status", status: 503, match: { path: "/acme/" } });
    const running = l.start("run");
    await running.says(/"level":40.*"code":"git-[a-z]+".*"msg":"poll failed, nothing was changed"/);
    await world.control(world.forgeUrl, "DELETE", "faults");
    const commit = await world.push(shop(1), "Add the shop");
    await running.says(/"level":40.*"msg":"cluster cannot be read, held"/);
    await world.control(world.clusterUrl(), "POST", "nodes", { state: "up" });
    expect(await world.final(commit)).toMatchObject({ state: "success" });
  }, 60_000);

  it("follows its configuration, and keeps the old one when the new one is broken", async () => {
    const l = await open({ clusters: ["lab", "store"] });
    const running = l.start("run");
    await running.says(ready);
    await l.world.final(await l.world.push(shop(1), "Add the shop"));
    await writeFile(l.configFile, "repositories: [\n");
    await running.says(/kraken-gitops\.yaml:2:1.*"msg":"the changed configuration cannot be used, the old one stays"/);
    await l.world.final(await l.world.push(shop(2), "Two CPUs"));
    await l.configure(["lab", "store"]);
    await running.says('"msg":"configuration reloaded"');
    expect(await l.run("sync", "--wait", "--timeout", "30s")).toMatchObject({ code: 0 });
    expect(await l.world.vms("store")).toMatchObject([{ name: "web", state: "RUNNING" }]);
  }, 60_000);
});

describe("watch and work", () => {
  it("share one private Redis as two processes", async () => {
    const l = await open();
    const watch = l.start("watch");
    const work = l.start("work");
    await Promise.all([watch.says(ready), work.says(ready)]);
    const commit = await l.world.push(shop(1), "Add the shop");
    expect(await l.world.final(commit)).toMatchObject({ state: "success" });
    expect(work.stdout()).toContain('"msg":"operation ended"');
    expect(watch.stdout()).not.toContain('"msg":"operation ended"');
    watch.child.kill("SIGTERM");
    work.child.kill("SIGTERM");
    expect(await Promise.all([watch.ended, work.ended])).toEqual([0, 0]);
  }, 60_000);
});

describe("serve", () => {
  it("takes webhooks for a watcher in another process, and says what it lacks", async () => {
    const l = await open();
    const without = await l.run("serve");
    expect(without).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/serve needs server.listen.*config-invalid/),
    });

    await writeFile(join(l.folder, "webhook-secret"), "known-to-both\n");
    await l.configure(["lab"], { server: { listen: "127.0.0.1:0" } });
    const text = await readFile(l.configFile, "utf8");
    await writeFile(
      l.configFile,
      text
        .replace("poll: 1s", "poll: 1h")
        .replace("tokenFile: forge-token", "$&\n      webhookSecretFile: webhook-secret"),
    );
    const watch = l.start("watch");
    const work = l.start("work");
    await Promise.all([watch.says(ready), work.says(ready)]);
    const serve = l.start("serve");
    await serve.says(ready);
    const url = /"url":"([^"]+)","msg":"http server listens"/.exec(serve.stdout())?.[1] ?? "";
    const commit = await l.world.push(shop(1), "Add the shop");
    const headers = { authorization: "Bearer known-to-both" };
    const answer = await fetch(`${url}/webhooks/generic/fleet`, { method: "POST", headers });
    expect(answer.status).toBe(202);
    expect(await l.world.final(commit)).toMatchObject({ state: "success" });
    expect((await l.run("status")).stdout).toMatch(/webhooks {3}1 received, the last one .*; 0 ignored, 0 missed/);
    const taken = await l.run("serve", "--config", await takenConfig(l, url));
    expect(taken).toMatchObject({ code: 1, stderr: expect.stringMatching(/another program has it.*server-failed/) });
    for (const each of [watch, work, serve]) each.child.kill("SIGTERM");
    expect(await Promise.all([watch.ended, work.ended, serve.ended])).toEqual([0, 0, 0]);
  }, 60_000);
});

/** The same configuration with an address that somebody has. */
async function takenConfig(l: CliLab, url: string): Promise<string> {
  const file = join(l.folder, "taken.yaml");
  await writeFile(file, (await readFile(l.configFile, "utf8")).replace("127.0.0.1:0", new URL(url).host));
  return file;
}

describe("looking at a set-up", () => {
  it("checks, shows and examines a good one", async () => {
    const l = await open();
    const { publicKey } = await sshSigner(l.folder, "ada@example.com");
    await writeFile(join(l.folder, "allowed_signers"), publicKey);
    const allowedSigners = join(l.folder, "allowed_signers");
    await l.configure(["lab"], {}, { signatures: { allowedSigners: "./allowed_signers" } });
    expect(await l.run("config", "check")).toMatchObject({
      code: 0,
      stdout: `${l.configFile} is valid: 1 repository, 1 cluster.\n`,
    });
    const shown = await l.run("config", "show", "--json");
    expect(JSON.parse(shown.stdout)).toMatchObject({
      repositories: [{ name: "fleet", signatures: { allowedSigners } }],
      clusters: [{ name: "lab", hypercore: { password: `(file ${join(l.folder, "cluster-password")})` } }],
    });
    expect(shown.stdout).not.toContain("bot-token");
    const doctor = await l.run("doctor", "--json");
    expect(doctor.code).toBe(0);
    const { findings } = JSON.parse(doctor.stdout) as {
      findings: { subject: string; ok: boolean; message: string }[];
    };
    expect(findings).toContainEqual({
      subject: "signed commits of fleet",
      ok: true,
      message: `1 SSH key in ${allowedSigners}`,
    });
    expect(findings.map(({ subject }) => subject)).toEqual(
      expect.arrayContaining(["node", "git", "configuration", "dataDir", "repository fleet", "cluster lab"]),
    );
    expect(findings.every(({ ok }) => ok)).toBe(true);
  }, 60_000);

  it("examines one where everything is wrong to its end, and says each time what to do", async () => {
    const l = await open();
    await writeFile(join(l.folder, "cluster-password"), "planted-wrong-password");
    await writeFile(join(l.folder, "forge-token"), "planted-wrong-token");
    const assets = { mirrors: [{ prefix: "https://x.example/", to: "file:///nowhere/" }] };
    await l.configure(["lab"], { assets }, { signatures: { allowedSigners: "nowhere" } });
    const { code, stdout, stderr } = await l.run("doctor");
    expect(code).toBe(1);
    for (const subject of [
      "mirror https://x.example/",
      "signed commits of fleet",
      "repository fleet",
      "forge of fleet",
      "cluster lab",
    ])
      expect(stdout).toMatch(new RegExp(`^FAIL +${subject}: .{20,}`, "m"));
    expect(stdout).toMatch(/^ok +redis \(private\)/m);
    expect(stdout + stderr).not.toMatch(/planted|internal error|ENOENT/);
  }, 60_000);
});

/** Command lines of running processes that hold a text. */
async function processesNaming(text: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)("ps", ["-eo", "args"]);
  return stdout.split("\n").filter((line) => line.includes(text));
}

it("leaves no process and no file behind when its demo is interrupted", async () => {
  const l = await open();
  const temporary = join(l.folder, "tmp");
  await mkdir(temporary);
  await using demo = startProgram(["demo"], { cwd: l.folder, env: { TMPDIR: temporary } });
  await demo.says(/kraken-gitops\/sync +pending/);
  expect(await processesNaming(temporary)).not.toEqual([]);
  demo.child.kill("SIGINT");
  expect(await demo.ended).toBe(0);
  expect(demo.stdout()).toContain("Interrupted.");
  await waitFor(async () => ((await processesNaming(temporary)).length === 0 ? true : undefined), {
    what: "the end of its processes",
    describe: async () => (await processesNaming(temporary)).join("\n"),
  });
  expect(await readdir(temporary)).toEqual([]);
}, 60_000);
