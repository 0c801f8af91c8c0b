import { expect, it } from "vitest";
import type { DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import { WatcherError } from "../../src/lib/errors.ts";
import type { LiveVirdomain, OwnershipMark } from "../../src/plan/live-state.ts";
import { MiB, blankDisk, cdrom, cloudInit, freeContext, imageDisk, markOf, revision } from "../support/desired-vm.ts";
import { type HypervisorBench, vmOn } from "../support/hypervisor-bench.ts";
import { quarantineContract } from "./quarantine.contract.ts";
import { replaceContract } from "./replace.contract.ts";
import { restoreContract } from "./restore.contract.ts";
import { snapshotContract } from "./snapshots.contract.ts";

const signal = (): AbortSignal => AbortSignal.timeout(25_000);

/** One suite for every driver; a skip names its reason. */
export function hypervisorContract(
  open: () => Promise<HypervisorBench>,
  skips: Readonly<Record<string, string>> = {},
): void {
  const check = (title: string, body: (bench: HypervisorBench) => Promise<void>, timeoutMs?: number): void => {
    const shown = title in skips ? `${title} (skipped: ${skips[title]})` : title;
    const work = async (): Promise<void> => {
      await using bench = await open();
      await body(bench);
    };
    it.skipIf(title in skips)(shown, work, timeoutMs);
  };
  for (const machineType of ["bios", "uefi", "tpm"] as const) {
    check(`creates a ${machineType} VM with disks, a CD-ROM, NICs and cloud-init, and it starts`, async (bench) => {
      const desired = vmOn(bench, "web-1", {
        machineType,
        disks: [
          imageDisk("root", await bench.image("debian"), { capacityBytes: 8 * MiB }),
          blankDisk("data", 3 * MiB + 512),
          cdrom("tools", await bench.iso("drivers")),
          blankDisk("logs", 5 * MiB, { boot: 2 }),
        ],
        nics: [
          { name: "lan", type: "virtio", network: { vlan: 0 } },
          { name: "dmz", type: "e1000", network: { vlan: 20 } },
          { name: "dmz-2", type: "virtio", network: { vlan: 20 } },
        ],
        cloudInit: cloudInit("#cloud-config\nhostname: web-1\n"),
      });
      const live = await create(bench, desired);
      expectLike(live, desired);
      expect(live.power).toBe("shutoff");
      expect(live.mark).toMatchObject({
        instance: bench.instance,
        identity: desired.identity,
        building: false,
        protected: false,
      });
      expect(revision.startsWith(live.mark?.revision ?? "?")).toBe(true);
      expect(desired.cloudInit?.hash.startsWith(live.mark?.cloudInitHash ?? "?")).toBe(true);
      await bench.driver.start(live.id, freeContext());
      expect((await bench.driver.findVirdomain(live.id, signal()))?.power).toBe("running");
    });
  }

  check("create twice leaves one virdomain and changes nothing", async (bench) => {
    const desired = vmOn(bench, "web-1", { disks: [imageDisk("root", await bench.image("debian"))] });
    const first = await create(bench, desired);
    const context = freeContext();
    const second = await bench.driver.create(desired, markOf(desired, bench.instance), context);
    expect(second).toEqual(first);
    expect(context.changes()).toBe(0);
    await onlyOne(bench);
  });

  check("keeps two VMs apart that share name and image", async (bench) => {
    const image = await bench.image("debian");
    const one = vmOn(bench, "web-1", { name: "web", disks: [imageDisk("root", image)] });
    const two = vmOn(bench, "web-2", { name: "web", disks: [imageDisk("root", image)] });
    const [a, b] = await Promise.all([create(bench, one), create(bench, two)]);
    expect(a.id).not.toBe(b.id);
    expect((await bench.driver.readLiveState(signal())).virdomains).toHaveLength(2);
  });

  const scalars: readonly [string, Partial<DesiredVirdomain>][] = [
    ["name", { name: "web-renamed" }],
    ["description", { description: "" }],
    ["operating system", { os: "windows" }],
    ["CPUs", { cpu: 4 }],
    ["memory", { memoryBytes: 1024 * MiB }],
    ["tags", { tags: ["tier:db", "tier:web"] }],
    ["absence of tags", { tags: [] }],
  ];
  for (const [what, overrides] of scalars) {
    check(`updates the ${what}, and then finds nothing more to do`, async (bench) => {
      const live = await create(bench, vmOn(bench, "web-1"));
      const wanted = vmOn(bench, "web-1", overrides);
      const updated = await update(bench, live, wanted);
      expectLike(updated, wanted);
      expect(await bench.driver.findVirdomain(live.id, signal())).toEqual(updated);
      const context = freeContext();
      await bench.driver.update(updated, wanted, markOf(wanted, bench.instance), context);
      expect(context.changes()).toBe(0);
    });
  }

  check("grows a disk, on a running VM too, and never shrinks one", async (bench) => {
    const live = await create(bench, withData(bench, 4 * MiB));
    await bench.driver.start(live.id, freeContext());
    const grown = await update(bench, live, withData(bench, 9 * MiB));
    expectLike(grown, withData(bench, 9 * MiB));
    expect(grown.disks[0]?.id).toBe(live.disks[0]?.id);
    expect((await update(bench, grown, withData(bench, 5 * MiB))).disks[0]?.capacityBytes).toBe(9 * MiB);
  });

  check("adds and removes disks, CD-ROMs and NICs by name and leaves the others as they are", async (bench) => {
    const root = imageDisk("root", await bench.image("debian"));
    const first = vmOn(bench, "web-1", { disks: [root, blankDisk("old", 2 * MiB)] });
    const live = await create(bench, first);
    const wanted = vmOn(bench, "web-1", {
      disks: [blankDisk("new", 3 * MiB), root, cdrom("drive", await bench.iso("drivers"))],
      nics: [
        { name: "dmz", type: "virtio", network: { vlan: 20 } },
        { name: "lan", type: "virtio", network: { vlan: 0 } },
      ],
    });
    const changed = await update(bench, live, wanted);
    expectLike(changed, wanted);
    expect(changed.disks.find(({ name }) => name === "root")?.id).toBe(live.disks[0]?.id);
    expect(changed.nics.find(({ name }) => name === "lan")?.id).toBe(live.nics[0]?.id);
    expectLike(await update(bench, changed, first), first);
  });

  check("changes the bus of a disk and keeps its content", async (bench) => {
    const live = await create(bench, vmOn(bench, "web-1", { disks: [blankDisk("root", 2 * MiB, { boot: 1 })] }));
    const wanted = vmOn(bench, "web-1", { disks: [blankDisk("root", 2 * MiB, { boot: 1, type: "scsi_disk" })] });
    const changed = await update(bench, live, wanted);
    expectLike(changed, wanted);
    expect(changed.disks[0]?.id).toBe(live.disks[0]?.id);
  });

  check("treats another order of disks and NICs as the same VM", async (bench) => {
    const disks = [
      imageDisk("root", await bench.image("debian")),
      blankDisk("data", 2 * MiB),
      blankDisk("logs", 2 * MiB),
    ];
    const nics = ["a", "b", "c"].map((name) => ({ name, type: "virtio" as const, network: { vlan: 7 } }));
    const live = await create(bench, vmOn(bench, "web-1", { disks, nics }));
    const context = freeContext();
    const reordered = vmOn(bench, "web-1", { disks: disks.toReversed(), nics: nics.toReversed() });
    expect(await bench.driver.update(live, reordered, markOf(reordered, bench.instance), context)).toEqual(live);
    expect(context.changes()).toBe(0);
  });

  check("changes the boot order", async (bench) => {
    const live = await create(bench, bootingFrom(bench, 1, 2));
    expectLike(live, bootingFrom(bench, 1, 2));
    expectLike(await update(bench, live, bootingFrom(bench, 9, 4)), bootingFrom(bench, 2, 1));
  });

  check("replaces a disk whose image changed, and only that one", async (bench) => {
    const data = blankDisk("data", 2 * MiB);
    const live = await create(
      bench,
      vmOn(bench, "web-1", { disks: [imageDisk("root", await bench.image("debian")), data] }),
    );
    const wanted = vmOn(bench, "web-1", { disks: [imageDisk("root", await bench.image("alpine")), data] });
    const replaced = await update(bench, live, wanted);
    expectLike(replaced, wanted);
    expect(replaced.disks.find(({ name }) => name === "root")?.id).not.toBe(live.disks[0]?.id);
    expect(replaced.disks.find(({ name }) => name === "data")?.id).toBe(live.disks[1]?.id);
  });

  check("changes the medium of a CD-ROM on a running VM, and ejects it", async (bench) => {
    const first = vmOn(bench, "web-1", {
      disks: [blankDisk("root", 2 * MiB, { boot: 1 }), cdrom("drive", await bench.iso("one"))],
    });
    const live = await create(bench, first);
    await bench.driver.start(live.id, freeContext());
    const wanted = {
      ...first,
      disks: [blankDisk("root", 2 * MiB, { boot: 1 }), cdrom("drive", await bench.iso("two"))],
    };
    const changed = await update(bench, live, wanted);
    expectLike(changed, wanted);
    const ejected = { ...first, disks: [blankDisk("root", 2 * MiB, { boot: 1 }), cdrom("drive", undefined)] };
    expectLike(await update(bench, changed, ejected), ejected);
  });

  check("changes type and network of a NIC without replacing it", async (bench) => {
    const live = await create(bench, vmOn(bench, "web-1"));
    const wanted = vmOn(bench, "web-1", { nics: [{ name: "lan", type: "e1000", network: { vlan: 30 } }] });
    const changed = await update(bench, live, wanted);
    expectLike(changed, wanted);
    expect(changed.nics[0]?.id).toBe(live.nics[0]?.id);
  });

  check("remembers deployment, protection and a rename of the resource", async (bench) => {
    const first = vmOn(bench, "web-1");
    const live = await create(bench, first, { deployment: "shop, east" });
    expect(live.mark).toMatchObject({ deployment: "shop, east", protected: false });
    const renamed = { ...first, identity: { ...first.identity, resource: "web {{ tier }} /=%", ordinal: 3 } };
    const mark = markOf(renamed, bench.instance, { protected: true, deployment: undefined });
    const changed = await bench.driver.update(live, renamed, mark, freeContext());
    expect(changed.mark).toMatchObject({ identity: renamed.identity, protected: true, deployment: undefined });
    // The old live state once more, as after a lost answer.
    expect((await bench.driver.update(live, renamed, mark, freeContext())).mark).toEqual(changed.mark);
  });

  check("takes over a VM made by hand, with its devices", async (bench) => {
    const id = await bench.createByHand("legacy");
    const found = await bench.driver.findVirdomain(id, signal());
    expect(found).toMatchObject({ mark: undefined, clone: false });
    const wanted = vmOn(bench, "legacy", { disks: [blankDisk("root", 4 * MiB, { boot: 1 })] });
    const adopted = await update(bench, found as LiveVirdomain, wanted);
    expectLike(adopted, wanted);
    expect(await bench.rawTags(id)).toContain("by-hand");
    expect(adopted.id).toBe(id);
    expect(adopted.disks[0]?.id).toBe(found?.disks[0]?.id);
    expect(adopted.mark).toMatchObject({ identity: wanted.identity, building: false });
  });

  check("starts, and starting again does nothing", async (bench) => {
    const live = await create(bench, vmOn(bench, "web-1", { disks: [blankDisk("root", 2 * MiB, { boot: 1 })] }));
    await bench.driver.start(live.id, freeContext());
    const context = freeContext();
    await bench.driver.start(live.id, context);
    expect(context.changes()).toBe(0);
  });

  check("stops a guest that listens, and stopping again does nothing", async (bench) => {
    const live = await create(bench, vmOn(bench, "web-1", { disks: [imageDisk("root", await bench.guest())] }));
    await bench.driver.start(live.id, freeContext());
    await bench.untilBooted(live.id);
    await bench.driver.stop(live.id, { graceMs: 60_000, force: false }, freeContext(70_000));
    expect((await bench.driver.findVirdomain(live.id, signal()))?.power).toBe("shutoff");
    const context = freeContext();
    await bench.driver.stop(live.id, { graceMs: 20_000, force: false }, context);
    expect(context.changes()).toBe(0);
  });

  check("gives up on a guest that does not listen, and switches it off when allowed", async (bench) => {
    const live = await create(bench, vmOn(bench, "web-1", { disks: [blankDisk("root", 2 * MiB, { boot: 1 })] }));
    await bench.ignoreShutdown("web-1");
    await bench.driver.start(live.id, freeContext());
    const patient = bench.driver.stop(live.id, { graceMs: 400, force: false }, freeContext());
    await expect(patient).rejects.toMatchObject({ code: "shutdown-timeout" });
    expect((await bench.driver.findVirdomain(live.id, signal()))?.power).toBe("running");
    await bench.driver.stop(live.id, { graceMs: 100, force: true }, freeContext());
    expect((await bench.driver.findVirdomain(live.id, signal()))?.power).toBe("shutoff");
  });

  check("stops waiting for a guest as soon as a newer revision appears", async (bench) => {
    const live = await create(bench, vmOn(bench, "web-1", { disks: [blankDisk("root", 2 * MiB, { boot: 1 })] }));
    await bench.ignoreShutdown("web-1");
    await bench.driver.start(live.id, freeContext());
    const stop = new AbortController();
    const context = { ...freeContext(), stop: stop.signal, beforeChange: () => stop.abort() };
    await expect(bench.driver.stop(live.id, { graceMs: 20_000, force: true }, context)).rejects.toMatchObject({
      code: "stopped",
    });
  });

  check("changes nothing once the lease is lost or a newer revision exists", async (bench) => {
    const lost = new Error("lease lost");
    const beforeChange = (): never => {
      throw lost;
    };
    const desired = vmOn(bench, "web-1");
    await expect(
      bench.driver.create(desired, markOf(desired, bench.instance), { ...freeContext(), beforeChange }),
    ).rejects.toBe(lost);
    const stop = AbortSignal.abort();
    await expect(
      bench.driver.create(desired, markOf(desired, bench.instance), { ...freeContext(), stop }),
    ).rejects.toMatchObject({ code: "stopped" });
    expect((await bench.driver.readLiveState(signal())).virdomains).toEqual([]);
  });

  check("deletes a VM that is off, and deleting it again is success", async (bench) => {
    const live = await create(bench, vmOn(bench, "web-1", { disks: [blankDisk("root", 2 * MiB)] }));
    await bench.driver.delete(live, freeContext());
    expect(await bench.driver.findVirdomain(live.id, signal())).toBeUndefined();
    await bench.driver.delete(live, freeContext());
  });

  check("refuses to delete a VM that runs", async (bench) => {
    const live = await create(bench, vmOn(bench, "web-1", { disks: [blankDisk("root", 2 * MiB, { boot: 1 })] }));
    await bench.driver.start(live.id, freeContext());
    await expect(bench.driver.delete(live, freeContext())).rejects.toMatchObject({ code: "virdomain-changed" });
    await onlyOne(bench);
  });

  check("takes neither a clone nor a VM made by hand for ours", async (bench) => {
    const desired = vmOn(bench, "web-1", { disks: [blankDisk("root", 2 * MiB)] });
    const live = await create(bench, desired);
    const cloneId = await bench.cloneByHand(live, "web-1-copy");
    const foreignId = await bench.createByHand("web-1");
    const clone = (await bench.driver.findVirdomain(cloneId, signal())) as LiveVirdomain;
    const foreign = (await bench.driver.findVirdomain(foreignId, signal())) as LiveVirdomain;
    expect(clone.mark).toBeUndefined();
    expect(foreign).toMatchObject({ clone: false, mark: undefined });
    await expect(bench.driver.delete(clone, freeContext())).rejects.toMatchObject({ code: "virdomain-conflict" });
    await expect(bench.driver.delete(foreign, freeContext())).rejects.toMatchObject({ code: "virdomain-conflict" });
    await expect(bench.driver.delete({ ...clone, mark: live.mark }, freeContext())).rejects.toThrow(WatcherError);
    // Where a platform copies marks with a VM, the copy is known for one and not even adopted.
    if (clone.clone) await expect(update(bench, clone, desired)).rejects.toMatchObject({ code: "virdomain-conflict" });
    expect((await create(bench, desired)).id).toBe(live.id);
    expect(await bench.driver.findVirdomain(cloneId, signal())).toEqual(clone);
    expect(await bench.driver.findVirdomain(foreignId, signal())).toEqual(foreign);
  });

  snapshotContract(check);
  quarantineContract(check);
  restoreContract(check);
  replaceContract(check);

  check("answers undefined for a VM that does not exist", async (bench) => {
    expect(await bench.driver.findVirdomain("5b7c9d1f-0000-4000-8000-000000000000", signal())).toBeUndefined();
  });
}

/** Everything the manifest says is on the VM, matched by name. */
export function expectLike(live: LiveVirdomain, desired: DesiredVirdomain): void {
  expect(live).toMatchObject({
    name: desired.name,
    description: desired.description,
    cpu: desired.cpu,
    memoryBytes: desired.memoryBytes,
    machineType: desired.machineType,
    tags: desired.tags,
  });
  expect(live.os === "windows").toBe(desired.os === "windows");
  expect(live.disks.toSorted(byName).map(({ name }) => name)).toEqual(
    desired.disks.toSorted(byName).map(({ name }) => name),
  );
  for (const wanted of desired.disks) {
    const disk = live.disks.find(({ name }) => name === wanted.name);
    expect(disk).toMatchObject({ type: wanted.type, assetId: wanted.asset?.id });
    if (wanted.type === "ide_cdrom" || wanted.capacityBytes === undefined) continue;
    expect(disk?.capacityBytes).toBeGreaterThanOrEqual(wanted.capacityBytes);
    expect(disk?.capacityBytes).toBeLessThan(wanted.capacityBytes + MiB);
  }
  expect(bootOrder(live.disks)).toEqual(bootOrder(desired.disks));
  expect(live.nics.map(({ name, type, network }) => ({ name, type, network })).sort(byName)).toEqual(
    desired.nics.map(({ name, type, network }) => ({ name, type, network })).sort(byName),
  );
}

function byName(a: { readonly name: string | undefined }, b: { readonly name: string | undefined }): number {
  return (a.name ?? "") < (b.name ?? "") ? -1 : 1;
}

function bootOrder(
  disks: readonly { readonly name: string | undefined; readonly boot: number | undefined }[],
): (string | undefined)[] {
  return disks
    .filter(({ boot }) => boot !== undefined)
    .toSorted((a, b) => (a.boot ?? 0) - (b.boot ?? 0))
    .map(({ name }) => name);
}

async function create(
  bench: HypervisorBench,
  desired: DesiredVirdomain,
  mark: Partial<OwnershipMark> = {},
): Promise<LiveVirdomain> {
  return bench.driver.create(desired, markOf(desired, bench.instance, mark), freeContext());
}

async function update(bench: HypervisorBench, live: LiveVirdomain, desired: DesiredVirdomain): Promise<LiveVirdomain> {
  return bench.driver.update(live, desired, markOf(desired, bench.instance), freeContext());
}

async function onlyOne({ driver }: HypervisorBench): Promise<LiveVirdomain> {
  const { virdomains } = await driver.readLiveState(signal());
  expect(virdomains).toHaveLength(1);
  return virdomains[0] as LiveVirdomain;
}

function withData(bench: HypervisorBench, capacityBytes: number): DesiredVirdomain {
  return vmOn(bench, "web-1", { disks: [blankDisk("data", capacityBytes, { boot: 1 })] });
}

function bootingFrom(bench: HypervisorBench, first: number, second: number): DesiredVirdomain {
  return vmOn(bench, "web-1", {
    disks: [blankDisk("a", 2 * MiB, { boot: first }), blankDisk("b", 2 * MiB, { boot: second })],
  });
}
