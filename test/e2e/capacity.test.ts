import { describe, expect, it } from "vitest";
import { openRecorded } from "../support/recorded-log.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest } from "../support/world.ts";

const shop = (memory: string): Record<string, string> => ({
  "manifests/shop.yaml": manifest("shop", [{ name: "web", memory }, { name: "db" }]),
});

describe("a VM larger than any node", () => {
  it("is named in the review with both numbers, and fails the commit before anything is made of it", async () => {
    await using stage = await openRecorded({ simulator: { nodeMemoryBytes: 8 * 2 ** 30 } });
    const { w } = stage;
    expect(await w.final(await w.push(shop("1 GiB"), "Add the shop"))).toMatchObject({ state: "success" });
    await w.tree.branch("more");
    await w.commit(shop("16 GiB"), "Give web more memory");
    await w.tree.push("more");
    const pull = await w.forge.openPullRequest("More memory", "more");
    const body = await waitFor(async () => (await w.forge.comments(pull))[0]?.body, { what: "the plan comment" });
    expect(body).toMatch(/16 GiB of memory, and the largest node of lab has 8 GiB/);
    await w.tree.git("switch", "main");
    const commit = await w.push(shop("16 GiB"), "Give web more memory all the same");
    expect(await w.final(commit)).toMatchObject({ state: "failure" });
    expect(await w.vms()).toMatchObject([
      { name: "db", state: "RUNNING" },
      { name: "web", state: "RUNNING" },
    ]);
  });
});
