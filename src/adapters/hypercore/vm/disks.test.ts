import { describe, expect, it } from "vitest";
import type { DesiredDisk, DesiredVirdomain } from "../../../fleet/desired-state.ts";
import { defaultPolicy } from "../../../manifest/document.ts";
import { placeDisks, placeNewDisks, planDisks } from "./disks.ts";
import { readOwnership } from "../marks/ownership.ts";
import { shortUuid } from "./to-virdomain.ts";
import { type VirDomain, toVirDomainWire } from "../rest/wire.ts";

function disk(name: string, overrides: Partial<DesiredDisk> = {}): DesiredDisk {
  return { name, type: "virtio_disk", asset: undefined, capacityBytes: 10, boot: undefined, ...overrides };
}

function wanted(disks: readonly DesiredDisk[]): DesiredVirdomain {
  const identity = { repository: "fleet", application: "shop", resource: "web", ordinal: 0 };
  return {
    identity,
    deployment: undefined,
    formerIdentities: [],
    name: "web",
    description: "",
    os: undefined,
    cpu: 1,
    memoryBytes: 1,
    machineType: "bios",
    state: "running",
    tags: [],
    disks,
    nics: [],
    cloudInit: undefined,
    step: 0,
    readiness: undefined,
    policy: defaultPolicy,
    position: { file: "a.yaml", line: 1, column: 1 },
  };
}

function vmWith(tags: string, ...blockDevs: readonly Readonly<Record<string, unknown>>[]): VirDomain {
  return toVirDomainWire({ uuid: "aaaaaaaa-0", state: "SHUTOFF", mem: 1, numVCPU: 1, tags, netDevs: [], blockDevs });
}

const asset = {
  name: "debian",
  type: "virtual_disk",
  format: "raw",
  url: "https://images.example/debian.img",
  id: "new",
} as const;

describe("slots of a new VM", () => {
  it("follow the manifest's order on each bus, with room for the platform's drives on IDE", () => {
    const disks = [
      disk("a"),
      disk("cd", { type: "ide_cdrom" }),
      disk("i", { type: "ide_disk" }),
      disk("b"),
      disk("s", { type: "scsi_disk" }),
    ];
    expect(Object.fromEntries(placeNewDisks(wanted(disks), 2))).toEqual({
      a: { bus: "virtio", slot: 0 },
      cd: { bus: "ide", slot: 0 },
      i: { bus: "ide", slot: 3 },
      b: { bus: "virtio", slot: 1 },
      s: { bus: "scsi", slot: 0 },
    });
  });
});

describe("slots of additional disks", () => {
  const vm = vmWith(
    "",
    { uuid: "d0", type: "VIRTIO_DISK", slot: 0 },
    { uuid: "d2", type: "VIRTIO_DISK", slot: 2 },
    { uuid: "c0", type: "IDE_CDROM", slot: 0, name: "cloud-init-aaaaaaaa.iso" },
  );

  it("are the lowest free ones of their bus", () => {
    const places = placeDisks(vm, [disk("x"), disk("y"), disk("cd", { type: "ide_cdrom" })], new Map());
    expect([...places.values()]).toEqual([
      { bus: "virtio", slot: 1 },
      { bus: "virtio", slot: 3 },
      { bus: "ide", slot: 1 },
    ]);
  });

  it("are the noted ones as long as they are free, whoever asks first", () => {
    const notes = new Map([
      ["y", { bus: "virtio" as const, slot: 1, assetId: undefined }],
      ["z", { bus: "virtio" as const, slot: 2, assetId: undefined }],
    ]);
    const places = placeDisks(vm, [disk("x"), disk("y"), disk("z")], notes);
    expect(Object.fromEntries([...places].map(([name, { slot }]) => [name, slot]))).toEqual({ x: 3, y: 1, z: 4 });
  });
});

describe("what is to be done to disks", () => {
  const marked =
    "kg-own:e/f/s/web,kg-vm:aaaaaaaa,kg-disk:root=11111111.old,kg-disk:data=22222222,kg-disk:later=virtio5";
  const root = { uuid: "11111111-a", type: "VIRTIO_DISK", slot: 0 };
  const data = { uuid: "22222222-b", type: "VIRTIO_DISK", slot: 1 };
  const theirs = { uuid: "33333333-c", type: "VIRTIO_DISK", slot: 2 };

  it("leaves devices without a name alone", () => {
    const vm = vmWith(marked, root, data, theirs);
    const work = planDisks(vm, readOwnership(vm), wanted([]), false);
    expect(work.remove.map(({ name }) => name)).toEqual(["root", "data"]);
  });

  it("replaces a disk only when another image is asked for by name", () => {
    const vm = vmWith(marked, root, data);
    const plan = (disks: readonly DesiredDisk[]) => planDisks(vm, readOwnership(vm), wanted(disks), false);
    const replaced = plan([disk("root", { asset }), disk("data")]);
    expect([replaced.remove.map(({ name }) => name), replaced.add.map(({ name }) => name)]).toEqual([
      ["root"],
      ["root"],
    ]);
    const kept = plan([disk("root"), disk("data")]);
    expect([kept.remove, kept.add]).toEqual([[], []]);
  });

  it("recognises a noted disk in its slot, so that it is not added twice", () => {
    const inSlot = (capacity: number) =>
      vmWith(marked, root, data, { uuid: "44444444-d", type: "VIRTIO_DISK", slot: 5, capacity });
    const plan = (vm: VirDomain) =>
      planDisks(vm, readOwnership(vm), wanted([disk("root"), disk("data"), disk("later")]), false);
    const work = plan(inSlot(10));
    expect(work.add).toEqual([]);
    expect(work.keep.map(({ device }) => device.uuid)).toEqual(["11111111-a", "22222222-b", "44444444-d"]);
    expect(plan(inSlot(5_000_000)).add.map(({ name }) => name)).toEqual(["later"]);
  });

  it("takes over unnamed devices by type and slot when adopting", () => {
    const vm = vmWith("", { ...data, slot: 4 }, root, { uuid: "cd", type: "IDE_CDROM", slot: 0, path: "" });
    const work = planDisks(
      vm,
      readOwnership(vm),
      wanted([disk("drive", { type: "ide_cdrom" }), disk("a", { asset }), disk("b"), disk("c")]),
      true,
    );
    expect(work.keep.map(({ disk: { name }, device }) => [name, device.uuid])).toEqual([
      ["drive", "cd"],
      ["a", root.uuid],
      ["b", data.uuid],
    ]);
    expect(work.add.map(({ name }) => name)).toEqual(["c"]);
  });
});

it("abbreviates uuids as far as they stay apart", () => {
  expect(shortUuid("11111111-2222", ["11111111-2222", "33333333-0"])).toBe("11111111");
  expect(shortUuid("11111111-2222", ["11111111-2222", "11111111-2333"])).toBe("11111111-22");
});
