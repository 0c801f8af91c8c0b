import { describe, expect, it } from "vitest";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const open = useWorld();

const app = (name: string, cpu = 1): Record<string, string> => ({
  [`manifests/${name}.yaml`]: manifest(name, [{ name, cpu }]),
});

/** Opens a pull request that is one commit on a branch of its own, and waits for its plan. */
async function openPull(w: World, branch: string, files: Record<string, string | undefined>): Promise<number> {
  await w.tree.git("checkout", "-q", "main");
  await w.tree.branch(branch);
  const head = await w.commit(files, `Change by ${branch}`);
  await w.tree.push(branch);
  const number = await w.forge.openPullRequest(`Change by ${branch}`, branch);
  await w.final(head, "kraken-gitops/plan");
  return number;
}

async function edit(w: World, pull: number, change: object): Promise<void> {
  await w.forgeCall("PATCH", `/repos/acme/fleet/pulls/${pull}`, change);
}

async function theComment(w: World, pull: number, text: RegExp): Promise<string> {
  const comments = await waitFor(
    async () => {
      const found = await w.forge.comments(pull);
      return found.some(({ body }) => text.test(body)) ? found : undefined;
    },
    { what: `a comment on pull request ${pull} with ${text}`, timeoutMs: 60_000 },
  );
  expect(comments).toHaveLength(1);
  return comments[0]?.body ?? "";
}

describe("after the merge", () => {
  it.each(["merge", "squash", "rebase"] as const)("the comment becomes the deploy log (%s)", async (style) => {
    const w = await open();
    await w.final(await w.push(app("shop"), "Add the shop"));
    const pull = await openPull(w, "cafe", app("cafe"));
    const merged = await w.forge.merge(pull, style);
    expect(await w.final(merged)).toMatchObject({ state: "success" });
    const log = await theComment(w, pull, /### \u2705 Synced: 1 operation on 1 cluster/);
    expect(log).toContain(`Merged into \`main\` as \`${merged.slice(0, 7)}\``);
    expect(log).toMatch(/create `cafe` on `lab`: done/);
  });

  it("a revert of it is planned as a way back and logged on its own pull request", async () => {
    const w = await open();
    await w.final(await w.push(app("shop"), "Add the shop"));
    const first = await openPull(w, "more", app("shop", 2));
    await w.final(await w.forge.merge(first, "squash"));
    await w.tree.git("checkout", "-q", "main");
    await w.tree.git("pull", "-q", "origin", "main");
    await w.tree.branch("back");
    await w.tree.git("revert", "--no-edit", "HEAD");
    await w.tree.push("back");
    const second = await w.forge.openPullRequest("Back", "back");
    await theComment(w, second, /returns to/i);
    await w.final(await w.forge.merge(second, "merge"));
    await theComment(w, second, /### \u2705 Synced: .*back at/);
    expect(await theComment(w, first, /### \u2705 Synced/)).not.toMatch(/back at/);
  });

  it("is noted as a deployment where that is wanted", async () => {
    const w = await open({
      config: (config) => ({
        ...config,
        repositories: config.repositories.map((repository) =>
          repository.forge.type === "github"
            ? { ...repository, forge: { ...repository.forge, deployments: true } }
            : repository,
        ),
      }),
    });
    const commit = await w.push(app("shop"), "Add the shop");
    await w.final(commit);
    const found = await waitFor(
      async () => {
        const path = "/repos/acme/fleet/deployments";
        const [deployment] = (await w.forgeCall("GET", `${path}?sha=${commit}`)) as {
          id: number;
          environment: string;
        }[];
        if (deployment === undefined) return undefined;
        const [newest] = (await w.forgeCall("GET", `${path}/${deployment.id}/statuses`)) as { state: string }[];
        return newest?.state === "success" ? deployment : undefined;
      },
      { what: "the deployment of the commit" },
    );
    expect(found.environment).toBe(w.config.instance);
  });

  it("says what failed, and on which cluster", async () => {
    const w = await open();
    await w.final(await w.push(app("shop"), "Add the shop"));
    const pull = await openPull(w, "bad", {
      "manifests/bad.yaml": "type: Application\nversion: '1'\nmetadata: { name: bad }\nspec: { resorces: [] }\n",
    });
    const merged = await w.forge.merge(pull, "merge");
    expect(await w.final(merged)).toMatchObject({ state: "failure" });
    await theComment(w, pull, /### \u274C Failed: .*problem/);
  });
});

describe("while it is open", () => {
  it("names other pull requests that touch the same VM, and forgets them when they close", async () => {
    const w = await open();
    await w.final(await w.push({ ...app("shop"), ...app("cafe") }, "Two applications"));
    const one = await openPull(w, "two-cpus", app("shop", 2));
    const other = await openPull(w, "four-cpus", app("shop", 4));
    const apart = await openPull(w, "cafe-cpus", app("cafe", 2));
    expect(await theComment(w, one, /too:\*\* #/)).toContain(`#${other}`);
    expect(await theComment(w, other, /too:\*\* #/)).toContain(`#${one}`);
    expect(await theComment(w, apart, /### /)).not.toMatch(/too:\*\*/);
    await edit(w, other, { state: "closed" });
    await waitFor(
      async () => ((await w.forge.comments(one)).some(({ body }) => /too:\*\*/.test(body)) ? undefined : true),
      { what: "the comment without the closed pull request" },
    );
  });

  it("plans the newest head after a force push, and stops when closed, and goes on when reopened", async () => {
    const w = await open();
    await w.final(await w.push(app("shop"), "Add the shop"));
    const pull = await openPull(w, "idea", app("shop", 2));
    await w.tree.git("reset", "-q", "--hard", "main");
    const forced = await w.commit(app("shop", 3), "Another idea");
    await w.tree.git("push", "-q", "--force", "origin", "idea");
    await w.final(forced, "kraken-gitops/plan");
    await theComment(w, pull, new RegExp(forced.slice(0, 7)));
    await edit(w, pull, { state: "closed" });
    const unseen = await w.commit(app("shop", 4), "While it is closed");
    await w.tree.push("idea");
    await w.tree.git("checkout", "-q", "main");
    const passed = await w.push({ "docs/notes.md": "words" }, "Meanwhile");
    await w.final(passed);
    expect(await w.statuses(unseen, "kraken-gitops/plan")).toEqual([]);
    await edit(w, pull, { state: "open" });
    await w.final(unseen, "kraken-gitops/plan");
    await theComment(w, pull, new RegExp(unseen.slice(0, 7)));
  });

  it("says so when a draft becomes ready", async () => {
    const w = await open();
    await w.final(await w.push(app("shop"), "Add the shop"));
    await w.tree.branch("draft");
    const head = await w.commit(app("shop", 2), "A draft");
    await w.tree.push("draft");
    const opened = await w.forgeCall("POST", "/repos/acme/fleet/pulls", {
      title: "A draft",
      head: "draft",
      base: "main",
      draft: true,
    });
    const pull = (opened as { number: number }).number;
    await w.final(head, "kraken-gitops/plan");
    await theComment(w, pull, /is a draft/);
    await w.forgeCall("POST", `/_simulator/repos/acme/fleet/pulls/${pull}/ready`);
    await waitFor(
      async () => ((await w.forge.comments(pull)).some(({ body }) => /is a draft/.test(body)) ? undefined : true),
      { what: "the comment of a pull request that is ready" },
    );
  });

  it("is planned only while its base is the tracked branch", async () => {
    const w = await open();
    await w.final(await w.push(app("shop"), "Add the shop"));
    await w.tree.git("push", "-q", "origin", "main:release");
    const pull = await openPull(w, "moving", app("shop", 2));
    await edit(w, pull, { base: "release" });
    await w.tree.git("checkout", "-q", "moving");
    const elsewhere = await w.commit(app("shop", 3), "For the release");
    await w.tree.push("moving");
    await w.tree.git("checkout", "-q", "main");
    const passed = await w.push({ "docs/notes.md": "words" }, "Meanwhile");
    await w.final(passed);
    expect(await w.statuses(elsewhere, "kraken-gitops/plan")).toEqual([]);
    await edit(w, pull, { base: "main" });
    await w.final(elsewhere, "kraken-gitops/plan");
  });

  it("reports on the temporary commits of a merge queue", async () => {
    const w = await open();
    await w.final(await w.push(app("shop"), "Add the shop"));
    const pull = await openPull(w, "queued", app("shop", 2));
    await w.tree.git("checkout", "-q", "main");
    await w.tree.git("checkout", "-q", "-b", "queue-head");
    await w.tree.git("merge", "-q", "--no-ff", "-m", "Merge for the queue", "queued");
    const queued = await w.tree.git("rev-parse", "HEAD");
    await w.tree.git("push", "-q", "origin", `HEAD:gh-readonly-queue/main/pr-${pull}-0123abc`);
    expect(await w.final(queued, "kraken-gitops/plan")).toMatchObject({
      state: "success",
      description: expect.stringMatching(/^Plan: 1 to update/),
    });
  });
});
