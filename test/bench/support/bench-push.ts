import { join } from "node:path";
import { WorkTree } from "../../../src/cli/demo/work-tree.ts";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";

/** A person's clone: writes files, commits and pushes, and answers the commit. */
export async function openPusher(
  folder: string,
  forgeUrl: string,
): Promise<(files: Readonly<Record<string, string>>, message: string) => Promise<string>> {
  const work = join(folder, "work");
  const tree = await WorkTree.start(work, `${forgeUrl}/acme/fleet.git`, "alice-token");
  return async (files, message) => {
    for (const [name, text] of Object.entries(files)) {
      const file = join(work, name);
      await mkdir(dirname(file), { recursive: true });
      await writeFile(file, text);
    }
    const commit = await tree.commit(message);
    await tree.push("main");
    return commit;
  };
}
