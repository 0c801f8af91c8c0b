import { expect, it } from "vitest";
import { CliLab } from "../support/cli-lab.ts";
import { manifest } from "../support/world.ts";

const shop = (disks: readonly string[]) => ({
  "manifests/shop.yaml": manifest("shop", [{ name: "web", disks }, { name: "db" }]),
});

interface RawVm {
  readonly uuid: string;
  readonly name: string;
  readonly state: string;
  readonly blockDevs: readonly { readonly uuid: string; readonly type: string }[];
}

it("lists snapshots, shows what going back would do, does it while syncs are paused, and git goes on from there", async () => {
  await using lab = await CliLab.open();
  const running = lab.start("run");
  await running.says('"msg":"kraken-gitops is ready"');
  const good = await lab.world.push(shop(["data"]), "Add the shop");
  await lab.world.final(good);
  expect(await lab.run("restore", "web")).toMatchObject({ code: 0, stdout: "No snapshots of web.\n" });
  const bad = await lab.world.push(shop([]), "Tidy up");
  expect(await lab.world.final(bad)).toMatchObject({ state: "success" });

  const [text, json, unknown] = await Promise.all([
    lab.run("restore", "web"),
    lab.run("restore", "web", "--cluster", "lab", "--json"),
    lab.run("restore", "nobody"),
  ]);
  const [snapshot, ...others] = (JSON.parse(json.stdout) as { snapshots: { id: string; commit: string }[] }).snapshots;
  const id = snapshot?.id ?? "";
  expect(others).toEqual([]);
  expect(snapshot?.commit).toBe(bad.slice(0, 12));
  expect(text.stdout).toMatch(new RegExp(`${id} +20.* UTC .* +data-loss +${bad.slice(0, 7)} +20.* UTC +web\\n`));
  expect(unknown).toMatchObject({ code: 1, stderr: expect.stringContaining("no VM nobody") });

  const before = (await lab.world.hypercore("GET", "VirDomain")) as RawVm[];
  const [refused, missing, shown] = [
    await lab.run("restore", "web", "--snapshot", id, "--yes"),
    await lab.run("restore", "web", "--snapshot", "no-such-snapshot", "--yes"),
    await lab.run("restore", "web", "--snapshot", id),
  ];
  expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining("kraken-gitops pause --vm lab/web") });
  expect(missing).toMatchObject({ code: 1, stderr: expect.stringContaining("has no snapshot no-such-snapshot") });
  expect(shown).toMatchObject({ code: 2, stdout: expect.stringContaining("Not possible now: syncs of it are not") });
  await lab.run("pause", "--vm", "lab/web", "--reason", "going back");
  expect(await lab.run("restore", "web", "--snapshot", id)).toMatchObject({
    code: 2,
    stdout: expect.stringContaining("Nothing was changed. To do it, add --yes."),
  });
  expect(await lab.world.hypercore("GET", "VirDomain")).toMatchObject(
    before.map(({ uuid, name, state }) => ({ uuid, name, state })),
  );

  const done = await lab.run("restore", "web", "--snapshot", id.slice(-12), "--yes", "--start");
  expect(done).toMatchObject({ code: 0, stdout: expect.stringContaining("holds what the snapshot kept") });
  const restored = await vmCalled(lab, "web");
  expect(restored.state).toBe("RUNNING");
  expect(disksOf(restored)).toHaveLength(2);
  const old = before.find(({ name }) => name === "web");
  expect((await vmCalled(lab, `web.quarantined-${bad.slice(0, 7)}`)).uuid).toBe(old?.uuid);
  expect(await lab.run("quarantine")).toMatchObject({ stdout: expect.stringMatching(/lab +web +fleet\/shop\/web/) });

  const back = await lab.world.push(shop(["data"]), "Take that back");
  await lab.run("resume", "--vm", "lab/web");
  expect(await lab.world.final(back)).toMatchObject({ state: "success" });
  const after = await vmCalled(lab, "web");
  expect(after).toMatchObject({ uuid: restored.uuid, state: "RUNNING" });
  expect(disksOf(after)).toEqual(disksOf(restored));
  const everything = await lab.run("plan");
  expect(everything).toMatchObject({ code: 0 });
}, 180_000);

async function vmCalled(lab: CliLab, name: string): Promise<RawVm> {
  const all = (await lab.world.hypercore("GET", "VirDomain")) as RawVm[];
  const found = all.filter((vm) => vm.name === name);
  expect(found).toHaveLength(1);
  return found[0] as RawVm;
}

function disksOf({ blockDevs }: RawVm): readonly string[] {
  return blockDevs.filter(({ type }) => type === "VIRTIO_DISK").map(({ uuid }) => uuid);
}
