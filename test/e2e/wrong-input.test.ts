import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { waitFor } from "../support/wait-for.ts";
import { manifest, World } from "../support/world.ts";

let opened: World | undefined;
/** One world for all: every test leaves it as it found it. */
beforeAll(async () => {
  opened = await World.open();
  await opened.run();
  await opened.final(await opened.push(good, "Add the shop"));
}, 180_000);
afterAll(() => opened?.[Symbol.asyncDispose]());

function world(): World {
  if (opened === undefined) throw new Error("the world did not open");
  return opened;
}

const good = { "manifests/shop.yaml": manifest("shop", [{ name: "web" }]) };
const text = good["manifests/shop.yaml"];
const lineOf = (part: string, within = text): number => within.slice(0, within.indexOf(part)).split("\n").length;

/** A file, what is wrong with it, and the words that a person reads, with the place. */
const wrong: readonly (readonly [title: string, files: Readonly<Record<string, string>>, told: string])[] = [
  ["YAML that is none", { "manifests/bad.yaml": "type: [\n" }, "manifests/bad.yaml:2:1"],
  [
    "an unknown key",
    { "manifests/bad.yaml": manifest("bad", [{ name: "b" }]).replace("description:", "descripton:") },
    `manifests/bad.yaml:${lineOf("description:")}:9 spec.resources[0].spec.descripton: unknown key "descripton" (did you mean "description"?)`,
  ],
  [
    "an asset that is not there",
    { "manifests/bad.yaml": manifest("bad", [{ name: "b" }]).replace("source: ubuntu", "source: ubunut") },
    `manifests/bad.yaml:${lineOf("source: ubuntu")}:`,
  ],
  [
    "a name that is taken in another file",
    { "manifests/zz.yaml": manifest("shop", [{ name: "other" }]) },
    'the application "shop" is defined at manifests/zz.yaml:1 too',
  ],
  [
    "a VM's name that is taken",
    { "manifests/bad.yaml": manifest("bad", [{ name: "b" }, { name: "b" }]) },
    "manifests/bad.yaml:",
  ],
  [
    "a variable that nobody defines",
    { "manifests/bad.yaml": manifest("bad", [{ name: "b", description: '"{{ tier_nmae }}"' }]) },
    `manifests/bad.yaml:${lineOf("description:")}:`,
  ],
  [
    "a unit that means something else",
    { "manifests/bad.yaml": manifest("bad", [{ name: "b", memory: "4 Gb" }]) },
    `manifests/bad.yaml:${lineOf("memory:")}:`,
  ],
  ["a document of an unknown type", { "manifests/bad.yaml": "type: Aplication\n" }, 'did you mean "Application"'],
];

describe("a merged commit", () => {
  it.each(wrong)(
    "with %s fails with the place, leaves the others alone, and is healed by the next",
    async (_title, files, told) => {
      const w = world();
      const commit = await w.push(files, "Oops");
      const final = await w.final(commit);
      expect(final.state).toBe("failure");
      expect(final.description).toMatch(/^Failed: \d+ problems? in the manifests \(manifests\/\w+\.yaml:\d+:\d+/);
      expect((await w.statuses(commit)).filter(({ state }) => state !== "pending")).toHaveLength(1);
      const [entry] = await w.product().engine.store.listHistory("fleet", 1);
      expect(entry?.verdict.description).toContain(told);
      expect(await w.vms()).toMatchObject([{ name: "web", state: "RUNNING" }]);
      const removed = Object.fromEntries(Object.keys(files).map((file) => [file, undefined]));
      expect(await w.final(await w.push(removed, "Mend it"))).toMatchObject({ state: "success" });
      expect(await w.vms()).toMatchObject([{ name: "web", state: "RUNNING" }]);
    },
  );
});

describe("a pull request", () => {
  it("with every kind of mistake gets all of them in one comment, each with its place", async () => {
    const w = world();
    await w.tree.branch("wrong");
    const files = Object.fromEntries(
      wrong.flatMap(([, contents], index) =>
        Object.entries(contents).map(([, content]) => [`manifests/wrong-${index}.yaml`, content] as const),
      ),
    );
    const head = await w.commit(files, "Everything wrong");
    await w.tree.push("wrong");
    const pull = await w.forge.openPullRequest("Everything wrong", "wrong");
    expect(await w.final(head, "kraken-gitops/plan")).toMatchObject({
      state: "failure",
      description: expect.stringMatching(
        /^Plan failed: \d+ problems in manifests\/shop\.yaml, manifests\/wrong-0\.yaml and 7 more$/,
      ),
    });
    const comment = await waitFor(
      async () => (await w.forge.comments(pull)).find(({ body }) => body.includes(head.slice(0, 7))),
      { what: "the comment" },
    );
    for (const file of Object.keys(files)) expect(comment.body).toMatch(new RegExp(`${file}:\\d+`));
    expect(comment.body).toMatch(/did you mean/);
    expect(await w.vms()).toMatchObject([{ name: "web", state: "RUNNING" }]);
  });
});
