import type { DesiredAsset, DesiredDisk, DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import type { Chance } from "../crash/chance.ts";
import { blankDisk, cdrom, cloudInit, imageDisk, MiB } from "../support/desired-vm.ts";

export interface Media {
  image(): Promise<DesiredAsset>;
  iso(): Promise<DesiredAsset>;
}

/** One thing people change on a VM; undefined when it does not fit this one. */
export type Change = (
  vm: DesiredVirdomain,
  chance: Chance,
  media: Media,
) => Promise<DesiredVirdomain | undefined> | DesiredVirdomain | undefined;

const mostDisks = 5;

/** Changes that a VM does not survive. */
export const rebuilds: ReadonlySet<string> = new Set(["cloud-init", "machine-type"]);

export const changes: Readonly<Record<string, Change>> = {
  memory: (vm, chance) => ({ ...vm, memoryBytes: 256 * MiB * chance.between(1, 6) }),
  cpu: (vm, chance) => ({ ...vm, cpu: chance.between(1, 8) }),
  description: (vm, chance) => ({ ...vm, description: `text ${chance.between(1, 1_000_000)}` }),
  tags: (vm, chance) => ({
    ...vm,
    tags: chance.some(["tier:web", "tier:db", "blue", "green", "x"], chance.between(0, 4)),
  }),
  os: (vm, chance) => ({ ...vm, os: chance.pick(["linux", "windows", "other"]) }),
  power: (vm) => ({ ...vm, state: vm.state === "running" ? "shutoff" : "running" }),
  name: (vm, chance) => ({ ...vm, name: `${vm.identity.resource}-as-${chance.between(1, 1_000_000)}` }),
  identity: (vm, chance) => ({
    ...vm,
    identity: { ...vm.identity, resource: `${vm.identity.resource.split("~")[0]}~${chance.between(1, 1_000_000)}` },
    formerIdentities: [vm.identity, ...vm.formerIdentities],
  }),
  "cloud-init": (vm, chance) => ({ ...vm, cloudInit: cloudInit(`#cloud-config\n# ${chance.between(1, 1_000_000)}\n`) }),
  "machine-type": (vm, chance) => ({ ...vm, machineType: chance.pick(["bios", "uefi", "tpm"]) }),
  "grow-disk": (vm, chance) => {
    const disk = chance.some(
      vm.disks.filter(({ type }) => type !== "ide_cdrom"),
      1,
    )[0];
    return disk === undefined
      ? undefined
      : withDisk(vm, { ...disk, capacityBytes: largest(disk) + chance.between(1, 3) * MiB });
  },
  "add-disk": async (vm, chance, media) => {
    if (vm.disks.length >= mostDisks) return undefined;
    const name = unused(vm.disks, "extra");
    const boot = chance.isTrue(0.3) ? Math.max(0, ...vm.disks.map((disk) => disk.boot ?? 0)) + 1 : undefined;
    const disk = chance.isTrue(0.5)
      ? imageDisk(name, await media.image(), { boot })
      : blankDisk(name, chance.between(1, 6) * MiB, { boot });
    return { ...vm, disks: [...vm.disks, disk] };
  },
  "remove-disk": (vm, chance) => {
    const [gone] = chance.some(vm.disks.slice(1), 1);
    return gone === undefined ? undefined : { ...vm, disks: vm.disks.filter((disk) => disk !== gone) };
  },
  "rebase-disk": async (vm, chance, media) => {
    const [disk] = chance.some(
      vm.disks.filter(({ asset, type }) => asset !== undefined && type !== "ide_cdrom"),
      1,
    );
    return disk === undefined ? undefined : withDisk(vm, { ...disk, asset: await media.image() });
  },
  "boot-order": (vm, chance) => {
    const order = chance.some(
      vm.disks.filter(({ type }) => type !== "ide_cdrom"),
      chance.between(0, 3),
    );
    const boot = (disk: DesiredDisk): number | undefined =>
      order.includes(disk) ? order.indexOf(disk) + 1 : undefined;
    return { ...vm, disks: vm.disks.map((disk) => ({ ...disk, boot: boot(disk) })) };
  },
  drive: async (vm, chance, media) => {
    const drive = vm.disks.find(({ type }) => type === "ide_cdrom");
    const medium = chance.isTrue(0.7) ? await media.iso() : undefined;
    if (drive !== undefined && chance.isTrue(0.3)) return { ...vm, disks: vm.disks.filter((disk) => disk !== drive) };
    if (drive !== undefined) return withDisk(vm, { ...drive, asset: medium });
    return vm.disks.length >= mostDisks ? undefined : { ...vm, disks: [...vm.disks, cdrom("drive", medium)] };
  },
  "add-nic": (vm, chance) =>
    vm.nics.length >= 4
      ? undefined
      : {
          ...vm,
          nics: [...vm.nics, { name: unused(vm.nics, "nic"), type: "virtio", network: { vlan: chance.between(0, 2) } }],
        },
  "remove-nic": (vm, chance) => {
    const [gone] = chance.some(vm.nics, 1);
    return gone === undefined ? undefined : { ...vm, nics: vm.nics.filter((nic) => nic !== gone) };
  },
  "change-nic": (vm, chance) => {
    const [chosen] = chance.some(vm.nics, 1);
    const next = {
      type: chance.pick(["virtio", "e1000", "rtl8139"] as const),
      network: { vlan: chance.between(0, 4) },
    };
    return { ...vm, nics: vm.nics.map((nic) => (nic === chosen ? { ...nic, ...next } : nic)) };
  },
};

function withDisk(vm: DesiredVirdomain, disk: DesiredDisk): DesiredVirdomain {
  return { ...vm, disks: vm.disks.map((other) => (other.name === disk.name ? disk : other)) };
}

/** A disk without a capacity of its own is as large as its image, which is at most 3 MiB. */
function largest(disk: DesiredDisk): number {
  return disk.capacityBytes ?? 3 * MiB;
}

function unused(items: readonly { readonly name: string }[], stem: string): string {
  for (let number = 1; ; number += 1) {
    const name = `${stem}-${number}`;
    if (items.every((item) => item.name !== name)) return name;
  }
}
