import { expect, it } from "vitest";
import type { DesiredAsset } from "../../src/fleet/desired-state.ts";
import type { Exclusive } from "../../src/ports/exclusive.ts";
import type { Hypervisor } from "../../src/ports/hypervisor.ts";
import { MiB, cdrom, desiredVm, freeContext, imageDisk, markOf } from "../support/desired-vm.ts";
import { exclusiveTurns } from "../support/exclusive-turns.ts";
import { type HypercoreLab, instance, openHypercoreLab, quickTimeouts } from "../support/hypercore-lab.ts";

interface Image {
  readonly name: string;
  readonly uuid: string;
}

async function images(lab: HypercoreLab): Promise<Image[]> {
  return (await lab.admin("GET", "VirtualDisk")) as Image[];
}

async function createFrom(
  driver: Hypervisor,
  name: string,
  asset: DesiredAsset,
  context = freeContext(),
): Promise<unknown> {
  const disk = asset.type === "iso" ? cdrom("drive", asset) : imageDisk("root", asset);
  const desired = desiredVm(name, { disks: [disk] });
  return driver.create(desired, markOf(desired, instance), context);
}

async function uploads(lab: HypercoreLab): Promise<number> {
  return (await lab.changingCalls())["PUT /rest/v1/VirtualDisk/upload"] ?? 0;
}

it("uploads an image once for all VMs that ask for it, and tells each of the progress", async () => {
  await using lab = await openHypercoreLab();
  const image = await lab.image("debian", 4 * MiB);
  const contexts = ["a", "b", "c"].map((name) => ({ name, context: freeContext() }));
  await Promise.all(contexts.map(async ({ name, context }) => createFrom(lab.driver, name, image, context)));
  expect(await uploads(lab)).toBe(1);
  for (const { context } of contexts) expect(context.lines).toContain("uploading debian 100%");
  expect((await images(lab)).map(({ name }) => name)).toEqual([expect.stringMatching(/^debian-[0-9a-f]{12}\.img$/)]);
});

it("ends with one image when two processes upload the same one at once", async () => {
  await using lab = await openHypercoreLab();
  const image = await lab.image("debian", 4 * MiB);
  const other = await lab.open();
  await Promise.all([createFrom(lab.driver, "a", image), createFrom(other, "b", image)]);
  expect(await images(lab)).toHaveLength(1);
  expect((await lab.read()).virdomains).toHaveLength(2);
});

it("lets no other process upload, or take for an orphan, what is on its way", async () => {
  // An upload shows no growth while it is on its way: nobody promises that it does.
  const timeouts = { ...quickTimeouts, orphanMs: 1 };
  await using lab = await openHypercoreLab({ convertMs: 300 }, { exclusive: exclusiveTurns(), timeouts });
  const image = await lab.image("debian", 24 * MiB);
  const iso = await lab.iso("drivers");
  const other = await lab.open();
  const driver = (index: number): Hypervisor => (index % 2 === 0 ? lab.driver : other);
  await Promise.all(
    [image, iso, image, iso].map(async (asset, index) => createFrom(driver(index >> 1), `vm-${index}`, asset)),
  );
  expect(await lab.changingCalls()).toMatchObject({ "PUT /rest/v1/VirtualDisk/upload": 1, "POST /rest/v1/ISO": 1 });
  expect(Object.keys(await lab.changingCalls()).filter((call) => call.startsWith("DELETE"))).toEqual([]);
});

it("spares what was finished while the clean-up waited for its turn", async () => {
  let meanwhile = async (): Promise<void> => {};
  const exclusive: Exclusive = async (_name, signal, work) => {
    await meanwhile();
    return work(signal);
  };
  await using lab = await openHypercoreLab({}, { exclusive });
  const iso = await lab.iso("drivers");
  await lab.fault({ match: { method: "PATCH", path: "/ISO/" }, kind: "drop-before", times: 1 });
  await expect(createFrom(lab.driver, "a", iso)).rejects.toMatchObject({ code: "cluster-outcome-unknown" });
  expect(await lab.driver.removeOrphanedUploads(freeContext())).toEqual([]);
  meanwhile = async () => {
    const [left] = (await lab.admin("GET", "ISO")) as { uuid: string }[];
    await lab.admin("PATCH", `ISO/${left?.uuid}`, { readyForInsert: true });
  };
  expect(await lab.driver.removeOrphanedUploads(freeContext())).toEqual([]);
  expect(await lab.admin("GET", "ISO")).toMatchObject([{ readyForInsert: true }]);
});

it("keeps another content of the same asset apart from the first", async () => {
  await using lab = await openHypercoreLab();
  const image = await lab.image("debian", 2 * MiB);
  await createFrom(lab.driver, "a", image);
  await createFrom(lab.driver, "b", await lab.image("debian", 3 * MiB));
  expect(await images(lab)).toHaveLength(2);
});

it("removes an upload that broke off, and only then uploads again", async () => {
  await using lab = await openHypercoreLab();
  const image = await lab.image("debian", 8 * MiB);
  const stop = new AbortController();
  const context = {
    ...freeContext(),
    stop: stop.signal,
    progress: (text: string) => text.startsWith("uploading") && stop.abort(),
  };
  await expect(createFrom(lab.driver, "a", image, context)).rejects.toMatchObject({ code: "stopped" });
  await createFrom(lab.driver, "a", image);
  expect((await images(lab)).map(({ name }) => name)).toEqual([expect.stringMatching(/^debian-[0-9a-f]{12}\.img$/)]);
});

it("waits for the conversion that no task covers", async () => {
  await using lab = await openHypercoreLab({ convertMs: 300 });
  await createFrom(lab.driver, "a", await lab.image("debian"));
  expect((await lab.read()).virdomains[0]?.disks[0]?.name).toBe("root");
});

it("finishes an ISO that somebody began and left", async () => {
  await using lab = await openHypercoreLab();
  const iso = await lab.iso("drivers");
  await lab.fault({ match: { method: "PATCH", path: "/ISO/" }, kind: "drop-before", times: 1 });
  await expect(createFrom(lab.driver, "a", iso)).rejects.toMatchObject({ code: "cluster-outcome-unknown" });
  await createFrom(lab.driver, "a", iso);
  const isos = (await lab.admin("GET", "ISO")) as { readyForInsert: boolean }[];
  expect(isos.map(({ readyForInsert }) => readyForInsert)).toEqual([true]);
});

it("makes no VM when an asset is missing, and says which one", async () => {
  await using lab = await openHypercoreLab();
  const missing: DesiredAsset = {
    name: "gone",
    type: "virtual_disk",
    format: "raw",
    url: "https://images.example/gone.img",
    id: "abc",
  };
  const failed = createFrom(lab.driver, "a", missing);
  await expect(failed).rejects.toMatchObject({
    code: "asset-missing",
    message: expect.stringContaining('"gone"') as string,
  });
  expect((await lab.read()).virdomains).toEqual([]);
});

it("says that the cluster is full, in the cluster's own words", async () => {
  await using lab = await openHypercoreLab();
  await createFrom(lab.driver, "a", await lab.image("debian"));
  await lab.control("POST", "cluster", { storageFull: true });
  await expect(createFrom(lab.driver, "b", await lab.image("debian"))).rejects.toMatchObject({
    code: "cluster-full",
    message: expect.stringContaining("torage") as string,
  });
});
