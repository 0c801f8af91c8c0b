import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { watchConfig } from "../../src/config/watch.ts";

const text = (instance: string): string => `instance: ${instance}\nrepositories: []\nclusters: []\n`;
let folder: string;
let seen: string[];
beforeEach(async () => {
  seen = [];
  folder = await mkdtemp(path.join(tmpdir(), "kraken-gitops-config-"));
});
afterEach(() => rm(folder, { recursive: true }));

function watch(file: string): Promise<AsyncDisposable> {
  return watchConfig(
    file,
    {},
    {
      onChange: (config) => seen.push(config.instance),
      onProblems: (problems) => seen.push(`${problems.length} problem`),
    },
  );
}

it("tells of a file that was written, and of one that an editor renamed over it", async () => {
  const file = path.join(folder, "kraken-gitops.yaml");
  await writeFile(file, text("one"));
  await using _ = await watch(file);
  await writeFile(file, text("two"));
  await expect.poll(() => seen, { timeout: 5_000 }).toEqual(["two"]);
  await writeFile(`${file}.new`, text("three"));
  await rename(`${file}.new`, file);
  await expect.poll(() => seen, { timeout: 5_000 }).toEqual(["two", "three"]);
});

it("says why a bad file is not used, and goes on with the next good one", async () => {
  const file = path.join(folder, "kraken-gitops.yaml");
  await writeFile(file, text("one"));
  await using _ = await watch(file);
  await writeFile(file, text("NOT GOOD"));
  await expect.poll(() => seen, { timeout: 5_000 }).toEqual(["1 problem"]);
  await writeFile(file, text("two"));
  await expect.poll(() => seen, { timeout: 5_000 }).toEqual(["1 problem", "two"]);
});

it("sees the link of a Kubernetes volume being swapped", async () => {
  for (const version of ["one", "two"]) {
    await mkdir(path.join(folder, `..${version}`));
    await writeFile(path.join(folder, `..${version}`, "kraken-gitops.yaml"), text(version));
  }
  await symlink("..one", path.join(folder, "..data"));
  const file = path.join(folder, "kraken-gitops.yaml");
  await symlink(path.join("..data", "kraken-gitops.yaml"), file);
  await using _ = await watch(file);
  await symlink("..two", path.join(folder, "..data_tmp"));
  await rename(path.join(folder, "..data_tmp"), path.join(folder, "..data"));
  await expect.poll(() => seen, { timeout: 5_000 }).toEqual(["two"]);
});
