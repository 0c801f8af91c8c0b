import { describe, expect, it } from "vitest";
import { useWorld } from "../support/use-world.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const open = useWorld();

const shop = (machineType: string): Record<string, string> => ({
  "manifests/shop.yaml": manifest("shop", [{ name: "web", disks: ["data"] }]).replaceAll(
    "machine_type: uefi",
    `machine_type: ${machineType}`,
  ),
});

interface WireVm {
  readonly uuid: string;
  readonly name: string;
  readonly state: string;
  readonly disks: readonly string[];
}

async function wire(w: World): Promise<readonly WireVm[]> {
  const found = (await w.hypercore("GET", "VirDomain")) as (WireVm & {
    readonly blockDevs: readonly { readonly uuid: string; readonly type: string }[];
  })[];
  return found
    .map(({ uuid, name, state, blockDevs }) => ({
      uuid,
      name,
      state,
      disks: blockDevs.filter(({ type }) => type === "VIRTIO_DISK").map((device) => device.uuid),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function commentOn(w: World, branch: string, change: () => Promise<unknown>): Promise<string> {
  await w.tree.branch(branch);
  await change();
  await w.tree.push(branch);
  const pull = await w.forge.openPullRequest(branch, branch);
  await w.tree.git("switch", "main");
  return waitFor(async () => (await w.forge.comments(pull))[0]?.body, { what: "the plan comment" });
}

describe("another machine type", () => {
  it("sets the old VM aside with its disks, and a revert puts it back in the place of the new one", async () => {
    const w = await open();
    await w.final(await w.push(shop("uefi"), "Add the shop"));
    const [before] = await wire(w);

    const comment = await commentOn(w, "bios", () => w.commit(shop("bios"), "To BIOS"));
    expect(comment).toMatch(/1 VM will be rebuilt: the old VM goes into quarantine with its disks/);
    expect(comment).toMatch(/disks made anew: .*the present ones are kept for 7 days \(until 20/);
    expect(comment).not.toContain("a snapshot is taken before");

    const changed = await w.push(shop("bios"), "To BIOS");
    expect(await w.final(changed)).toMatchObject({ state: "success" });
    const [made, aside] = await wire(w);
    expect(aside).toEqual({ ...before, name: `web.quarantined-${changed.slice(0, 7)}`, state: "SHUTOFF" });
    expect(made).toMatchObject({ name: "web", state: "RUNNING" });
    expect(made?.uuid).not.toBe(before?.uuid);

    const back = await commentOn(w, "back", () => w.tree.git("revert", "--no-edit", "HEAD"));
    expect(back).toMatch(/1 VM comes back from quarantine with its disks/);
    expect(back).toMatch(new RegExp(`the VM it was until commit .${changed.slice(0, 7)}. comes back with its disks`));

    await w.tree.git("revert", "--no-edit", "HEAD");
    await w.tree.push("main");
    const reverted = await w.tree.git("rev-parse", "HEAD");
    expect(await w.final(reverted)).toMatchObject({ state: "success" });
    const [again, other] = await wire(w);
    expect(again).toEqual(before);
    expect(other).toEqual({ ...made, name: `web.quarantined-${reverted.slice(0, 7)}`, state: "SHUTOFF" });
  }, 180_000);
});
