import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildProgram, type Ran, runProgram } from "../support/built-program.ts";
import { CliLab } from "../support/cli-lab.ts";
import { manifest } from "../support/world.ts";

const bad = "type: Application\nversion: '1'\nmetadata: { name: bad }\nspec: { resorces: [] }\n";
const shop = manifest("shop", [{ name: "web" }]);

let folder = "";
beforeAll(async () => {
  await buildProgram();
  folder = await mkdtemp(join(tmpdir(), "kraken-manifests-"));
}, 90_000);
afterAll(() => rm(folder, { recursive: true, force: true }));

const run = (...args: readonly string[]): Promise<Ran> => runProgram(args, { cwd: folder });

async function files(name: string, contents: Readonly<Record<string, string>>): Promise<string> {
  await mkdir(join(folder, name), { recursive: true });
  for (const [file, text] of Object.entries(contents)) await writeFile(join(folder, name, file), text);
  return name;
}

describe("validate", () => {
  it("answers 0 for good manifests and counts them", async () => {
    const ran = await run("validate", await files("good", { "shop.yaml": shop }));
    expect(ran).toEqual({ code: 0, stdout: "Valid: 1 file, 1 application, 1 VM.\n", stderr: "" });
  });

  it("answers 1 with every problem, each with its place and a hint", async () => {
    const name = await files("bad", { "bad.yaml": bad, "broken.yaml": "type: [\n", "shop.yaml": shop });
    const { code, stdout } = await run("validate", name);
    expect(code).toBe(1);
    expect(stdout).toMatch(
      /^error: bad\/bad\.yaml:4:9 spec\.resorces: unknown key "resorces" \(did you mean "resources"\?\)$/m,
    );
    expect(stdout).toMatch(/^error: bad\/broken\.yaml:2:1: /m);
    expect(stdout).toMatch(/^Not valid: \d+ errors in 3 files, \d applications?, 1 VM\.$/m);
  });

  it("gives the same as JSON", async () => {
    const { code, stdout } = await run("validate", "--json", await files("json", { "bad.yaml": bad }));
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      schemaVersion: 1,
      files: 1,
      problems: [{ severity: "error", code: "unknown-key", position: { file: "json/bad.yaml", line: 4 } }],
    });
  });

  it("finds with --strict what the published schema refuses, and accepts it without", async () => {
    const name = await files("dialect", { "shop.yaml": shop });
    expect((await run("validate", name)).code).toBe(0);
    const strict = await run("validate", "--strict", name);
    expect(strict.code).toBe(1);
    expect(strict.stdout).toMatch(/strict|published/i);
  });

  it("says that there was nothing to check", async () => {
    const ran = await run("validate", await files("nothing", { "notes.txt": "words" }));
    expect(ran).toEqual({ code: 0, stdout: "No manifests: there is no .yaml or .yml file in nothing.\n", stderr: "" });
  });
});

describe("plan of a working tree", () => {
  const git = (...args: readonly string[]): Promise<unknown> =>
    promisify(execFile)("git", ["-c", "user.name=T", "-c", "user.email=t@example.invalid", ...args], {
      cwd: join(folder, "tree"),
    });

  it("compares with the last commit: 0 without changes, 2 with some, 1 when broken", async () => {
    await files("tree/manifests", { "shop.yaml": shop });
    await git("init", "--quiet");
    await git("add", ".");
    await git("commit", "--quiet", "--message", "Shop");
    expect(await run("plan", "--path", "tree/manifests", "--offline")).toMatchObject({
      code: 0,
      stdout: "No changes.\n",
    });
    await files("tree/manifests", { "shop.yaml": manifest("shop", [{ name: "web", cpu: 2 }]) });
    const changed = await run("plan", "--path", "tree/manifests", "--offline");
    expect(changed.code).toBe(2);
    expect(changed.stdout).toMatch(/~ web .*reboot/);
    await files("tree/manifests", { "bad.yaml": bad });
    const broken = await run("plan", "--path", "tree/manifests", "--offline");
    expect(broken.code).toBe(1);
    expect(broken.stdout).toMatch(/tree\/manifests\/bad\.yaml:4:9/);
  });

  it("takes everything for new outside of git", async () => {
    const ran = await run("plan", "--path", await files("loose", { "shop.yaml": shop }));
    expect(ran.code).toBe(2);
    expect(ran.stdout).toContain("Plan: 1 to create, 0 to update, 0 to replace, 0 to delete.");
  });
});

describe("plan of a branch", () => {
  it("answers 2, 0 and 1 as the cluster stands, in text, JSON and Markdown", async () => {
    await using lab = await CliLab.open();
    await lab.world.push({ "manifests/shop.yaml": shop }, "Add the shop");
    const open = await lab.run("plan", "--json");
    expect(open.code).toBe(2);
    const plan: unknown = JSON.parse(open.stdout);
    const schema = JSON.parse(
      await readFile(new URL("../../config/plan.schema.json", import.meta.url), "utf8"),
    ) as object;
    const valid = new Ajv2020({ strict: false }).compile(schema);
    expect(valid(plan), JSON.stringify(valid.errors)).toBe(true);
    expect(plan).toMatchObject({ operations: [{ kind: "create", virdomain: "web", cluster: "lab" }] });
    const markdown = await lab.run("plan", "--markdown");
    expect(markdown.code).toBe(2);
    expect(markdown.stdout).toMatch(/1 to create/);
    expect(await lab.world.vms()).toEqual([]);

    await lab.world.control(lab.world.clusterUrl(), "POST", "nodes", { state: "bad-gateway" });
    const away = await lab.run("plan");
    expect(away.code).toBe(1);
    expect(away.stdout).toMatch(/lab/);
    expect(away.stdout + away.stderr).not.toMatch(/internal error|undefined/);
  }, 60_000);
});
