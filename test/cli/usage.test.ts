import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { main } from "../../src/cli/main.ts";
import { buildProgram, type Ran, runProgram, startProgram } from "../support/built-program.ts";

let folder = "";
beforeAll(async () => {
  await buildProgram();
  folder = await mkdtemp(join(tmpdir(), "kraken-usage-"));
}, 90_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const run = (...args: readonly string[]): Promise<Ran> => runProgram(args, { cwd: folder });

/** The same command line in this process, for what ends before anything is opened: saves the start of a process. */
async function runHere(...args: readonly string[]): Promise<Ran> {
  const texts = { stdout: "", stderr: "" };
  const spies = (["stdout", "stderr"] as const).map((stream) =>
    vi.spyOn(process[stream], "write").mockImplementation((text) => {
      texts[stream] += String(text);
      return true;
    }),
  );
  vi.stubEnv("KRAKEN_GITOPS_CONFIG", join(folder, "kraken-gitops.yaml"));
  try {
    return { code: await main(args), ...texts };
  } finally {
    for (const spy of spies) spy.mockRestore();
    vi.unstubAllEnvs();
  }
}

/** Every line of trouble is for people: no stack traces, no bare system errors. */
function expectWords(ran: Ran): void {
  expect(ran.code).toBe(1);
  expect(ran.stderr).not.toMatch(/internal error|\n\s+at |ENOENT|undefined/);
}

describe("help", () => {
  const commands = ["run", "watch", "work", "validate", "plan", "status", "history", "sync", "wait", "doctor", "demo"];
  const nested = ["config show", "config check", "simulate hypercore", "simulate forge"];

  it.each([...commands, ...nested])("of %s shows an example and the options for all commands", async (command) => {
    const { code, stdout, stderr } = await runHere(...command.split(" "), "--help");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/Examples?:\n {2}.*kraken-gitops/);
    expect(stdout).toContain("--config <file>");
  });

  it("names the exit codes and the way to try things", async () => {
    const { stdout } = await runHere("--help");
    expect(stdout).toContain("Exit codes: 0 done or no change, 1 error, 2 changes pending.");
    expect(stdout).toContain("kraken-gitops demo");
  });
});

describe("a wrong command line", () => {
  it.each([
    [["stat"], /unknown command 'stat'\n\(Did you mean status\?\)\n\(kraken-gitops --help/],
    [["plan", "--of"], /unknown option '--of'[\s\S]*\(kraken-gitops plan --help tells more\)/],
    [["wait"], /required option '--commit <sha>' not specified/],
    [["wait", "--commit", "HEAD"], /--commit HEAD is no commit id: give 7 to 40 hex digits/],
    [["wait", "--commit", "abcdef1", "--timeout", "soon"], /Write a duration like 90s, 10m or 1h\./],
    [["history", "--limit", "few"], /It must be a whole number\./],
    [["plan", "--json", "--markdown"], /give --markdown or --json, not both/],
    [["plan", "--path", "nowhere"], /there is no folder nowhere: --path takes the folder of the manifests/],
    [["validate", "nowhere"], /there is no file or folder nowhere/],
    [["simulate", "hypercore", "--port", "70000"], /A port is at most 65535\./],
    [["simulate", "forge", "--repository", "fleet"], /--repository fleet is no repository: write owner\/name/],
    [["simulate", "forge", "--repository", "a/b/c"], /groups of groups exist with --dialect gitlab only/],
    [["simulate", "forge", "--dialect", "svn"], /Allowed choices are github, gitlab/],
  ])("%j is told with a way out", async (args, message) => {
    const ran = await runHere(...args);
    expectWords(ran);
    expect(ran.stderr).toMatch(message);
  });

  it("does not repeat a token that stands alone", async () => {
    const ran = await runHere("simulate", "forge", "--user", "planted-token");
    expectWords(ran);
    expect(ran.stderr).toMatch(/login:token/);
    expect(ran.stderr + ran.stdout).not.toContain("planted-token");
  });

  it.each(["hypercore", "forge"])("simulate %s says that its port is taken", async (what) => {
    await using server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    const { port } = server.address() as AddressInfo;
    const ran = await runHere("simulate", what, "--port", String(port));
    expectWords(ran);
    expect(ran.stderr).toContain(`port ${port} of 127.0.0.1 is taken: choose another with --port, or 0 for any`);
  });
});

describe("the configuration", () => {
  it.each([["run"], ["work"], ["plan"], ["status"], ["history"], ["sync"], ["doctor"], ["config check"]])(
    "%s without one says where it was looked for and how to begin",
    async (command) => {
      const { code, stdout, stderr } = await runHere(...command.split(" "));
      expect(code).toBe(1);
      expect(stdout + stderr).toContain(`there is no configuration file ${join(folder, "kraken-gitops.yaml")}`);
      expect(stdout + stderr).toMatch(
        /--config or KRAKEN_GITOPS_CONFIG, or begin with a copy of .*config\/example\.yaml/,
      );
    },
  );

  it("tells every mistake of a file at once, each with its place", async () => {
    const file = join(folder, "wrong.yaml");
    await writeFile(
      file,
      [
        "instanze: edge",
        "repositories:",
        "  - { name: fleet, url: https://forge.example/acme/fleet.git, pol: 15s }",
        "clusters:",
        "  - { name: lab, hypercore: { endpoints: [https://10.0.0.1], username: x, password: planted-secret } }",
      ].join("\n"),
    );
    const ran = await runHere("config", "check", "--config", file);
    expectWords(ran);
    expect(ran.stderr).toContain(`${file}:1:1 instanze: unknown key (did you mean "instance"?)`);
    expect(ran.stderr).toContain(`${file}:3:63 repositories[0].pol: unknown key (did you mean "poll"?)`);
    expect(ran.stderr).toContain("clusters[0].hypercore.password: unknown key");
    expect(ran.stderr).not.toContain("planted-secret");
  });

  it("names secrets that cannot be read", async () => {
    const file = join(folder, "secrets.yaml");
    await writeFile(
      file,
      [
        "repositories: []",
        "clusters:",
        "  - { name: a, hypercore: { endpoints: [https://10.0.0.1], username: x, passwordFile: gone } }",
        "  - { name: b, hypercore: { endpoints: [https://10.0.0.2], username: x, passwordEnv: NOT_SET_HERE } }",
      ].join("\n"),
    );
    const { code, stderr } = await run("config", "check", "--config", file);
    expect(code).toBe(1);
    expect(stderr).toMatch(/cluster a: cannot read the secret in file .*\/gone/);
    expect(stderr).toMatch(/cluster b: the secret in environment variable NOT_SET_HERE is empty or not set/);
  });

  it("gives errors as JSON too", async () => {
    const { code, stdout } = await runHere("status", "--json");
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toEqual({
      schemaVersion: 1,
      error: { code: "config-invalid", message: expect.stringMatching(/^there is no configuration file/) },
    });
    const usage = await runHere("history", "--json", "--limit", "few");
    expect(JSON.parse(usage.stdout)).toMatchObject({ error: { code: "usage" } });
  });

  it("ends `run` with words when redis.url does not answer", async () => {
    const file = join(folder, "redis.yaml");
    await writeFile(file, "redis: { url: 'redis://127.0.0.1:1' }\nrepositories: []\nclusters: []\n");
    const ran = await run("run", "--config", file);
    expectWords(ran);
    expect(ran.stderr).toMatch(
      /redis at redis:\/\/127\.0\.0\.1:1 does not answer as it should: it cannot be connected to; check that it runs \[redis-unavailable\]/,
    );
  });
});

it("ends quietly when nobody reads its output any more", async () => {
  await using running = startProgram(["validate", ...Array.from({ length: 40 }, () => "/etc/hostname")], {
    cwd: folder,
  });
  running.child.stdout?.destroy();
  expect(await running.ended).toBe(1);
  expect(running.stderr()).toBe("");
});
