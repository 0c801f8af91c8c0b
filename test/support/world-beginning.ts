import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { WorkTree } from "../../src/cli/demo/work-tree.ts";
import type { ForgeSimulatorOptions } from "../../src/simulator/forge/options.ts";
import { type ForgeSimulator, startForgeSimulator } from "../../src/simulator/forge/simulator.ts";

type Options = Pick<ForgeSimulatorOptions, "dialect" | "users">;

export interface Beginning {
  readonly forge: ForgeSimulator;
  readonly tree: WorkTree;
}

/** What stood in a folder, kept in memory: nothing is left behind however this process ends. */
interface Template {
  readonly folders: readonly string[];
  readonly files: ReadonlyMap<string, Buffer>;
  /** Of the forge it was pushed to. */
  readonly url: string;
}

const templates = new Map<string, Promise<Template>>();

/**
 * A forge with one repository and a person's clone of it with the first commit pushed, in `forge` and `work` of a folder.
 * Copied from one that was made the usual way: git needs some thirty processes for that, and every test begins with it.
 */
export async function beginWorld(folder: string, options: Options): Promise<Beginning> {
  const dialect = options.dialect ?? "github";
  const made = templates.get(dialect) ?? makeTemplate(options);
  templates.set(dialect, made);
  const { folders, files, url } = await made;
  for (const name of folders) await mkdir(join(folder, name), { recursive: true });
  await Promise.all([...files].map(([name, content]) => writeFile(join(folder, name), content)));
  const forge = await startForge(folder, options);
  const config = join("work", ".git", "config");
  await writeFile(join(folder, config), (files.get(config)?.toString() ?? "").replace(url, forge.url));
  return { forge, tree: WorkTree.at(join(folder, "work")) };
}

async function makeTemplate(options: Options): Promise<Template> {
  const folder = await mkdtemp(join(tmpdir(), "kraken-beginning-"));
  try {
    const forge = await startForge(folder, options);
    try {
      await WorkTree.start(join(folder, "work"), `${forge.url}/acme/fleet.git`, "alice-token");
    } finally {
      await forge.close();
    }
    return { ...(await readFolder(folder)), url: forge.url };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function readFolder(folder: string): Promise<Pick<Template, "folders" | "files">> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  // Without the samples that every `git init` brings along.
  const entries = found.filter(({ name, parentPath }) => name !== "hooks" && !parentPath.endsWith("/hooks"));
  const nameOf = (entry: (typeof entries)[number]): string => relative(folder, join(entry.parentPath, entry.name));
  const files = entries.filter((entry) => entry.isFile()).map(nameOf);
  return {
    folders: entries.filter((entry) => entry.isDirectory()).map(nameOf),
    files: new Map(await Promise.all(files.map(async (name) => [name, await readFile(join(folder, name))] as const))),
  };
}

function startForge(folder: string, options: Options): Promise<ForgeSimulator> {
  const repositories = [{ owner: "acme", name: "fleet" }];
  return startForgeSimulator({ ...options, dataDir: join(folder, "forge"), repositories });
}
