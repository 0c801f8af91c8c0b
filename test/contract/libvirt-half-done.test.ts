import { stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import type { ChangeContext } from "../../src/ports/hypervisor.ts";
import { blankDisk, cdrom, cloudInit, desiredVm, freeContext, imageDisk, markOf, MiB } from "../support/desired-vm.ts";
import { instance, type LibvirtLab, onUserNetwork, openLibvirtLab } from "../support/libvirt-lab.ts";

/** As a process that dies right before its n-th change: nothing after it happens, and nobody tidies up. */
function dyingAt(change: number): ChangeContext {
  let count = 0;
  const beforeChange = (): void => {
    count += 1;
    if (count >= change) throw new Error("the process died here");
  };
  return { ...freeContext(60_000), beforeChange };
}

/** Cuts a piece of work off before each of its changes in turn, then lets it run to its end. */
async function cutEverywhere(work: (context: ChangeContext) => Promise<unknown>): Promise<number> {
  for (let change = 1; ; change += 1) {
    try {
      await work(dyingAt(change));
      return change;
    } catch (error) {
      if (!(error instanceof Error) || error.message !== "the process died here") throw error;
    }
  }
}

/** Cuts off once, after `changes`, and lets the next attempt run to its end; answers false when there are not so many. */
async function cutOnce(changes: number, work: (context: ChangeContext) => Promise<unknown>): Promise<boolean> {
  const died = await work(dyingAt(changes)).then(
    () => false,
    () => true,
  );
  if (died) await work(freeContext(60_000));
  return died;
}

/** The least VM with an image to copy and to enlarge, and a seed. */
async function smallVm(lab: LibvirtLab): Promise<DesiredVirdomain> {
  const disks = [imageDisk("root", await lab.image("debian"), { capacityBytes: 8 * MiB })];
  return onUserNetwork(desiredVm("web-1", { disks, cloudInit: cloudInit("#cloud-config\n") }));
}

async function fullVm(lab: LibvirtLab): Promise<DesiredVirdomain> {
  return onUserNetwork(
    desiredVm("web-1", {
      machineType: "uefi",
      disks: [
        imageDisk("root", await lab.image("debian"), { capacityBytes: 8 * MiB }),
        blankDisk("data", 3 * MiB),
        cdrom("tools", await lab.iso("drivers")),
      ],
      cloudInit: cloudInit("#cloud-config\n"),
    }),
  );
}

/** Everything in the pool but images. */
async function ownVolumes(lab: LibvirtLab): Promise<string[]> {
  return (await lab.volumes()).filter((name) => !name.includes("-asset-"));
}

async function found(lab: LibvirtLab, { id }: LiveVirdomain): Promise<LiveVirdomain> {
  const live = await lab.driver.findVirdomain(id, AbortSignal.timeout(20_000));
  if (live === undefined) throw new Error("the VM is gone");
  return live;
}

describe("a process that dies between any two steps", () => {
  it("leaves a creation that the next attempt completes, with nothing doubled and nothing left over", async () => {
    await using lab = await openLibvirtLab();
    const desired = await smallVm(lab);
    const mark = markOf(desired, instance);
    for (let changes = 1; ; changes += 1) {
      if (!(await cutOnce(changes, (context) => lab.driver.create(desired, mark, context)))) break;
      const { virdomains } = await lab.driver.readLiveState(AbortSignal.timeout(20_000));
      expect(virdomains).toHaveLength(1);
      expect(virdomains[0]?.mark).toMatchObject({ building: false });
      expect(await ownVolumes(lab)).toHaveLength(2);
      await lab.driver.delete(virdomains[0] as LiveVirdomain, freeContext());
      expect(await ownVolumes(lab)).toEqual([]);
    }
  });

  it("leaves a deletion that the next attempt completes", async () => {
    await using lab = await openLibvirtLab();
    const desired = await fullVm(lab);
    const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
    const changes = await cutEverywhere((context) => lab.driver.delete(live, context));
    expect(changes).toBeGreaterThan(4);
    expect((await lab.daemon.virsh("-q", "list", "--all", "--name")).trim()).toBe("");
    expect(await ownVolumes(lab)).toEqual([]);
  });

  it("leaves a half deleted VM that is made anew when it is wanted again, and never started before", async () => {
    await using lab = await openLibvirtLab();
    const desired = await fullVm(lab);
    const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
    await expect(lab.driver.delete(live, dyingAt(3))).rejects.toThrow("died");
    expect((await found(lab, live)).mark).toMatchObject({ building: true });
    await expect(lab.driver.start(live.id, freeContext())).rejects.toMatchObject({ code: "virdomain-changed" });
    const again = await lab.driver.create(desired, markOf(desired, instance), freeContext());
    expect(again.disks.map(({ name }) => name)).toEqual(live.disks.map(({ name }) => name));
    expect(await ownVolumes(lab)).toHaveLength(3);
  });

  it("leaves a change of disks and NICs that the next attempt completes", async () => {
    await using lab = await openLibvirtLab();
    const first = await fullVm(lab);
    const other = onUserNetwork(
      desiredVm("web-1", {
        name: "web-renamed",
        machineType: "uefi",
        disks: [
          imageDisk("root", await lab.image("alpine")),
          blankDisk("logs", 2 * MiB),
          cdrom("tools", await lab.iso("other")),
        ],
        nics: [{ name: "dmz", type: "virtio", network: {} }],
        cloudInit: first.cloudInit,
      }),
    );
    let live = await lab.driver.create(first, markOf(first, instance), freeContext());
    for (let changes = 1, there = true; there; changes += 1) {
      const wanted = changes % 2 === 1 ? other : first;
      there = await cutOnce(changes, (context) => lab.driver.update(live, wanted, markOf(wanted, instance), context));
      live = await found(lab, live);
      expect(new Set(live.disks.map(({ name }) => name))).toEqual(new Set(wanted.disks.map(({ name }) => name)));
      expect(live.name).toBe(wanted.name);
      expect(live.unmadeDisks).toBeUndefined();
      expect(await ownVolumes(lab)).toHaveLength(3);
    }
  });

  it("removes nothing that was ever whole: a disk people detached comes back with what is on it", async () => {
    await using lab = await openLibvirtLab();
    const desired = await fullVm(lab);
    const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
    const before = await ownVolumes(lab);
    const data = live.disks.find(({ name }) => name === "data");
    await lab.daemon.virsh("detach-disk", live.id, "vdb", "--config");
    expect((await found(lab, live)).disks.map(({ name }) => name)).not.toContain("data");
    const again = await lab.driver.update(await found(lab, live), desired, markOf(desired, instance), freeContext());
    expect(again.disks.find(({ name }) => name === "data")?.id).toBe(data?.id);
    expect(await ownVolumes(lab)).toEqual(before);
  });

  it("makes a disk anew from its image when its volume is gone, and does not attach nothing", async () => {
    await using lab = await openLibvirtLab();
    const desired = await smallVm(lab);
    const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
    const volume = live.disks[0]?.id.split("/")[1] ?? "";
    await lab.daemon.virsh("detach-disk", live.id, "vda", "--config");
    await lab.daemon.virsh("vol-delete", volume, "--pool", "lab");
    const again = await lab.driver.update(await found(lab, live), desired, markOf(desired, instance), freeContext());
    expect(again.disks.map(({ name }) => name)).toEqual(["root"]);
    const file = join(lab.daemon.poolDir, again.disks[0]?.id.split("/")[1] ?? "");
    // The image is the word "debian" over and over; an empty disk would take no room.
    expect((await stat(file)).size).toBeGreaterThan(MiB);
  });

  it("plugs in no NIC and no disk twice, and loses none, on a VM that runs", async () => {
    await using lab = await openLibvirtLab();
    const first = onUserNetwork(desiredVm("web-1", { disks: [blankDisk("root", MiB, { boot: 1 })] }));
    const live = await lab.driver.create(first, markOf(first, instance), freeContext());
    await lab.driver.start(live.id, freeContext());
    let wanted = first;
    // Before the volume, the disk, the NIC and the definition. No guest runs that would let go of anything: every turn adds.
    for (const changes of [2, 3, 4, 5]) {
      const [disk, nic] = [blankDisk(`more-${changes}`, MiB), { name: `nic-${changes}`, type: "virtio" as const }];
      wanted = {
        ...wanted,
        disks: [...wanted.disks, disk],
        nics: [...wanted.nics, { ...nic, network: { user: true as const } }],
      };
      const before = await found(lab, live);
      const update = (context: ChangeContext) => lab.driver.update(before, wanted, markOf(wanted, instance), context);
      expect(await cutOnce(changes, update)).toBe(true);
      const now = await found(lab, live);
      expect(now.power).toBe("running");
      expect(now.disks.map(({ name }) => name)).toEqual(wanted.disks.map(({ name }) => name));
      expect(now.nics.map(({ name }) => name)).toEqual(wanted.nics.map(({ name }) => name));
      expect(new Set(now.nics.map(({ id }) => id)).size).toBe(wanted.nics.length);
      expect((await ownVolumes(lab)).length).toBe(wanted.disks.length + 1);
    }
    await lab.driver.stop(live.id, { graceMs: 100, force: true }, freeContext());
    const off = await found(lab, live);
    expect(off.disks).toHaveLength(wanted.disks.length);
    expect(off.nics).toHaveLength(wanted.nics.length);
  });

  it("keeps a disk that another VM uses, also when the VM it was made for is deleted", async () => {
    await using lab = await openLibvirtLab();
    const desired = await smallVm(lab);
    const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
    const definition = await lab.daemon.virsh("dumpxml", "--inactive", live.id);
    const file = join(lab.folder, "rescue.xml");
    await writeFile(
      file,
      definition.replace(/<name>.*<\/name>/, "<name>rescue</name>").replace(/<uuid>.*<\/uuid>/, ""),
    );
    await lab.daemon.virsh("define", file);
    const volumes = await ownVolumes(lab);
    await lab.driver.delete(live, freeContext());
    expect(await ownVolumes(lab)).toEqual(volumes);
  });

  it("does not take half an image for a whole one after somebody removed the image", async () => {
    await using lab = await openLibvirtLab();
    const disks = [imageDisk("root", await lab.image("debian"))];
    await lab.driver.prepare(disks, freeContext());
    const image = (await lab.volumes()).find((name) => name.endsWith(".raw")) ?? "";
    await lab.daemon.virsh("vol-delete", image, "--pool", "lab");
    for (let changes = 1; await cutOnce(changes, (context) => lab.driver.prepare(disks, context)); changes += 1) {
      expect((await stat(join(lab.daemon.poolDir, image))).size).toBe(2 * MiB);
      await lab.daemon.virsh("vol-delete", image, "--pool", "lab");
    }
  });

  it("leaves an upload that is begun anew, and removed when nobody wants it any more", async () => {
    await using lab = await openLibvirtLab();
    const asset = await lab.image("debian");
    const disks = [imageDisk("root", asset)];
    await expect(lab.driver.prepare(disks, dyingAt(5))).rejects.toThrow("died");
    expect((await lab.volumes()).filter((name) => name.endsWith(".complete"))).toEqual([]);
    await lab.driver.prepare(disks, freeContext());
    expect((await lab.volumes()).filter((name) => name.includes("-asset-"))).toHaveLength(2);
    await expect(lab.driver.prepare([imageDisk("root", await lab.image("other"))], dyingAt(5))).rejects.toThrow("died");
    expect(await lab.driver.removeOrphanedUploads(freeContext())).toEqual([]);
    expect(await lab.driver.removeOrphanedUploads(freeContext())).toHaveLength(1);
    expect((await lab.volumes()).filter((name) => name.includes("-asset-"))).toHaveLength(2);
  });

  it("touches no volume of another instance, and none it does not know", async () => {
    await using lab = await openLibvirtLab();
    const desired = await fullVm(lab);
    const theirs = await lab.open({ instance: "other" });
    await theirs.create(desired, markOf({ ...desired, name: "web-2" }, "other"), freeContext()).catch(() => undefined);
    const strange = "kg-000000-00000000-0000-0000-0000-000000000000-data.qcow2";
    await lab.daemon.virsh("vol-create-as", "lab", strange, "1MiB", "--format", "qcow2");
    const before = await lab.volumes();
    const ours = { ...desired, name: "web-3" };
    const live = await lab.driver.create(ours, markOf(ours, instance), freeContext());
    await lab.driver.delete(live, freeContext());
    await lab.driver.removeOrphanedUploads(freeContext());
    expect((await lab.volumes()).filter((name) => before.includes(name))).toEqual(before);
  });
});
