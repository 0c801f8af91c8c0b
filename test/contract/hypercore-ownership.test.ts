import { expect, it } from "vitest";
import { readOwnership } from "../../src/adapters/hypercore/marks/ownership.ts";
import { diffVirdomain } from "../../src/plan/diff-virdomain.ts";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import { MiB, blankDisk, desiredVm, freeContext, imageDisk, markOf } from "../support/desired-vm.ts";
import { type HypercoreLab, instance, openHypercoreLab, type RawVm } from "../support/hypercore-lab.ts";

const soon = (): AbortSignal => AbortSignal.timeout(20_000);

async function createOne(lab: HypercoreLab): Promise<LiveVirdomain> {
  const desired = desiredVm("web-1", {
    disks: [imageDisk("root", await lab.image("debian")), blankDisk("data", 2 * MiB)],
  });
  return lab.driver.create(desired, markOf(desired, instance), freeContext());
}

function placeOf(vm: RawVm): string {
  const labels = vm.labels as Readonly<Record<string, { readonly value: string }>> | undefined;
  const known = labels && new Map(Object.entries(labels).map(([name, { value }]) => [name, value]));
  return readOwnership({ uuid: vm.uuid, tags: vm.tags, labels: known }).place;
}

it("keeps marks in tags before 9.7 and in labels since, where tags are people's alone", async () => {
  await using older = await openHypercoreLab({ icosVersion: "9.6.27.225000" });
  const before = await older.rawVm((await createOne(older)).id);
  expect(placeOf(before)).toBe("tags");
  await using newer = await openHypercoreLab({ icosVersion: "9.7.4.228000" });
  const after = await newer.rawVm((await createOne(newer)).id);
  expect(placeOf(after)).toBe("labels");
  expect(after.tags).toBe("tier:web,role:front");
});

it("moves the marks when the cluster was updated, as a live change that the plan names, and keeps people's tags and labels", async () => {
  await using lab = await openHypercoreLab();
  const created = await createOne(lab);
  const raw = await lab.rawVm(created.id);
  await lab.admin("PATCH", `VirDomain/${created.id}`, { tags: `${raw.tags},rack-4` });
  await lab.control("POST", "cluster", { icosVersion: "9.8.2.231000" });
  await lab.admin("PATCH", `VirDomain/${created.id}`, { labels: { owner: { value: "bWU=" } } });
  const desired = desiredVm("web-1", {
    disks: [imageDisk("root", await lab.image("debian")), blankDisk("data", 2 * MiB)],
  });
  await lab.driver.start(created.id, freeContext());
  const live = (await lab.driver.findVirdomain(created.id, soon())) as LiveVirdomain;
  const { changes } = diffVirdomain(desired, live, lab.driver.traits);
  expect(changes).toMatchObject([{ kind: "ownership", path: "metadata.mark", disruption: "live" }]);
  await lab.driver.ensureReady(soon());
  const moved = await lab.driver.update(live, desired, markOf(desired, instance), freeContext());
  expect(moved).toMatchObject({ power: "running", mark: live.mark, disks: live.disks });
  expect(moved.nics.map(({ id, name }) => [id, name])).toEqual(live.nics.map(({ id, name }) => [id, name]));
  const after = await lab.rawVm(created.id);
  expect(placeOf(after)).toBe("labels");
  expect(after.tags).toBe("tier:web,role:front,rack-4");
  expect(after.labels).toMatchObject({ owner: { value: "bWU=" } });
  expect(diffVirdomain(desired, moved, lab.driver.traits).changes).toEqual([]);
});

it("asks for no version while the cluster is updating", async () => {
  await using lab = await openHypercoreLab({ nodes: 2 });
  await lab.control("POST", "update", { phase: "applying" });
  await expect(lab.driver.ensureReady(soon())).rejects.toMatchObject({ code: "cluster-updating" });
  const { counts } = (await lab.control("GET", "calls")) as { counts: Record<string, number> };
  expect(Object.keys(counts).filter((call) => call.includes("/Cluster"))).toEqual([]);
});
