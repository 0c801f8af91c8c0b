import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { parseRemote } from "../../src/adapters/git/git-remote.ts";
import { tidyMirror } from "../../src/adapters/git/maintenance.ts";
import { MirrorCommands } from "../../src/adapters/git/mirror-commands.ts";
import { git, TestRepository, temporaryFolder } from "../support/git-repository.ts";

const wantedRefs = "refs/kraken/wanted";

it("packs a mirror of many fetches and forgets the oldest pull-request heads, but nothing that is still needed", async () => {
  await using folder = await temporaryFolder();
  const mirrorDir = join(folder.path, "mirror");
  const mirror = await TestRepository.create(mirrorDir);
  await mirror.git("config", "fastimport.unpackLimit", "1");
  const commits: string[] = [];
  for (let index = 0; index < 42; index += 1) commits.push(await mirror.commit({ "a.yaml": String(index) }));
  const [oldest = "", newest = ""] = [commits[0], commits.at(-1)];
  const creations = Array.from(
    { length: 500 },
    (_unused, index) => `create ${wantedRefs}/pull,${index},head ${newest}\n`,
  );
  await git(
    mirrorDir,
    ["update-ref", "--stdin"],
    [...creations, `create ${wantedRefs}/pull,old,head ${oldest}\n`].join(""),
  );
  const commands = new MirrorCommands({
    mirrorDir,
    remote: parseRemote("/nonexistent"),
    auth: undefined,
    caFile: undefined,
    proxy: undefined,
    timeoutMs: 30_000,
    fetchTimeoutMs: 30_000,
    maxFetchBytes: undefined,
    inherited: { PATH: process.env["PATH"] },
  });
  const packs = async (): Promise<number> => {
    const names = await readdir(join(mirrorDir, "objects", "pack"));
    return names.filter((name) => name.endsWith(".pack")).length;
  };
  expect(await packs()).toBeGreaterThan(40);
  await tidyMirror(commands, wantedRefs, AbortSignal.timeout(20_000));
  expect(await packs()).toBe(1);
  const left = (await mirror.git("for-each-ref", "--format=%(refname)", wantedRefs)).split("\n");
  expect(left).toHaveLength(500);
  expect(left).not.toContain(`${wantedRefs}/pull,old,head`);
  expect(await mirror.git("rev-list", "--count", "main")).toBe("42");
});
