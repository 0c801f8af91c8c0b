import { describe, expect, it } from "vitest";
import { type Dialect, type ForgePeople, forgePeople } from "../support/forge-people.ts";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const open = useWorld();

const shop = (names: readonly string[], cpu = 1): Record<string, string> => ({
  "manifests/shop.yaml": manifest(
    "shop",
    names.map((name) => ({ name, cpu })),
  ),
});

/** The one comment of ours on a pull request, once it says this. */
async function ourComment(people: ForgePeople, pull: number, says: RegExp): Promise<string> {
  const comments = await waitFor(
    async () => {
      const found = (await people.comments(pull)).filter(({ author }) => author === "kraken-bot");
      return found.some(({ body }) => says.test(body)) ? found : undefined;
    },
    { what: `a comment with ${says}`, timeoutMs: 60_000 },
  );
  expect(comments).toHaveLength(1);
  return comments[0]?.body ?? "";
}

async function pushBranch(w: World, branch: string, files: Record<string, string>, message: string): Promise<string> {
  const head = await w.commit(files, message);
  await w.tree.git("push", "-q", "--force", "origin", branch);
  return head;
}

/** Brings the local main to what the forge made of it. */
async function followMain(w: World): Promise<void> {
  await w.tree.git("checkout", "-q", "main");
  await w.tree.git("fetch", "-q", "origin", "main");
  await w.tree.git("reset", "-q", "--hard", "FETCH_HEAD");
}

describe.each<Dialect>(["github", "gitlab", "gitea"])("the whole road on %s", (dialect) => {
  it("plans what is pushed, rebased and pushed again, deploys what is merged in each style, and takes it back", async () => {
    const w = await open({ dialect });
    const people = forgePeople(dialect, w.apiUrl);
    await w.final(await w.push(shop(["web"]), "Add the shop"));

    await w.tree.branch("grow");
    const first = await pushBranch(w, "grow", shop(["web"], 2), "Two CPUs");
    const grow = await people.openPullRequest("Two CPUs", "grow");
    expect(await w.final(first, "kraken-gitops/plan")).toMatchObject({ state: "success" });
    await ourComment(people, grow, new RegExp(first.slice(0, 7)));
    const second = await pushBranch(w, "grow", shop(["web"], 3), "Three CPUs");
    await w.final(second, "kraken-gitops/plan");
    await ourComment(people, grow, new RegExp(second.slice(0, 7)));

    await followMain(w);
    await w.final(await w.push({ "docs/notes.md": "words" }, "Meanwhile"));
    await w.tree.git("checkout", "-q", "grow");
    await w.tree.git("rebase", "-q", "main");
    await w.tree.git("push", "-q", "--force", "origin", "grow");
    const rebased = await w.tree.git("rev-parse", "HEAD");
    await w.final(rebased, "kraken-gitops/plan");
    await ourComment(people, grow, new RegExp(rebased.slice(0, 7)));

    const merged = await people.merge(grow, "merge");
    expect(await w.final(merged)).toMatchObject({ state: "success", description: expect.stringMatching(/^Synced: 1/) });
    await ourComment(people, grow, /### ✅ Synced: 1 operation/);

    for (const [style, name] of [
      ["squash", "db"],
      ["rebase", "api"],
    ] as const) {
      await followMain(w);
      await w.tree.branch(name);
      await pushBranch(w, name, { [`manifests/${name}.yaml`]: manifest(name, [{ name }]) }, `Add ${name}`);
      const pull = await people.openPullRequest(`Add ${name}`, name);
      await ourComment(people, pull, /1 to create/);
      expect(await w.final(await people.merge(pull, style))).toMatchObject({ state: "success" });
      await ourComment(people, pull, /### ✅ Synced: 1 operation/);
    }

    await followMain(w);
    await w.tree.git("revert", "--no-edit", "HEAD");
    await w.tree.push("main");
    expect(await w.final(await w.tree.git("rev-parse", "HEAD"))).toMatchObject({
      state: "success",
      description: expect.stringMatching(/back at/),
    });
    const running = (await w.vms()).filter(({ state }) => state === "RUNNING").map(({ name }) => name);
    expect(running).toEqual(["db", "web"]);
  }, 240_000);
});
