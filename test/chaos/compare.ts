import { isAside } from "../crash/fleet.ts";
import type { DesiredDisk, DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import type { BlockDevice, VirDomain } from "../../src/simulator/hypercore/wire.ts";
import { MiB } from "../support/desired-vm.ts";
import { instance } from "../support/hypercore-lab.ts";
import { type ClusterState, namedDevices } from "./cluster-state.ts";
import { additionsTo, compareStrangers, type Strangers } from "./strangers.ts";

/** What is looked at when everything is over. */
export interface Evidence {
  readonly wishes: readonly DesiredVirdomain[];
  readonly state: ClusterState;
  readonly strangers: Strangers;
}

type Fact = readonly [what: string, is: unknown, should: unknown];

/** Everything in which the cluster is not as it should be, in words; empty when it is. Looks without the product's own code. */
export function compareAll({ wishes, state, strangers }: Evidence): readonly string[] {
  const foreign = new Set(strangers.virdomains.map((text) => (JSON.parse(text) as VirDomain).uuid));
  const ours = state.virdomains.filter(({ uuid }) => !foreign.has(uuid));
  const names = new Set(wishes.map(({ name }) => name));
  const extra = ours
    // A VM of which no revision planned before tells the policy goes into quarantine.
    .filter((vm) => !names.has(vm.name) && !isAside(vm))
    .map(({ name, uuid, state }) => `VM ${name} (${uuid}) should not be (${state})`);
  return [
    ...extra,
    ...wishes.flatMap((wish) => compareVm(wish, ours, state, strangers)),
    ...compareImages(state),
    ...compareStrangers(strangers, state),
  ];
}

function compareVm(
  wish: DesiredVirdomain,
  all: readonly VirDomain[],
  state: ClusterState,
  strangers: Strangers,
): string[] {
  const found = all.filter(({ name }) => name === wish.name);
  const [vm] = found;
  if (vm === undefined || found.length > 1) return [`VM ${wish.name} exists ${found.length} times`];
  const additions = additionsTo(strangers, vm.uuid);
  const tags = vm.tags.split(",");
  const { application, resource } = wish.identity;
  const first = tags.findIndex((tag) => tag.startsWith("kg-"));
  const facts: readonly Fact[] = [
    [
      "owners",
      tags.filter((tag) => tag.startsWith("kg-own:")).map(decodeURIComponent),
      [`kg-own:${instance}/fleet/${application}/${resource}`],
    ],
    ["under construction", tags.includes("kg-building"), false],
    ["tags", tags.slice(0, first), wish.tags],
    ["people's tags", tags.slice(first).filter((tag) => !tag.startsWith("kg-")), additions.tags],
    ["description", vm.description, wish.description],
    [
      "windows",
      vm.operatingSystem.startsWith("os_windows"),
      wish.os === undefined ? vm.operatingSystem.startsWith("os_windows") : wish.os === "windows",
    ],
    ["memory", vm.mem, wish.memoryBytes],
    ["CPUs", vm.numVCPU, wish.cpu],
    ["machine type", vm.machineTypeKeyword, wish.machineType],
    ["state", vm.state === "CRASHED" ? "SHUTOFF" : vm.state, wish.state === "running" ? "RUNNING" : "SHUTOFF"],
    ["cloud-init user data", decode(state.guests[vm.uuid]?.cloudInitData?.userData), wish.cloudInit?.userData ?? ""],
    ["cloud-init meta data", decode(state.guests[vm.uuid]?.cloudInitData?.metaData), wish.cloudInit?.metaData ?? ""],
    ["NVRAM devices", ofType(vm, "NVRAM").length, wish.machineType === "bios" ? 0 : 1],
    ["VTPM devices", ofType(vm, "VTPM").length, wish.machineType === "tpm" ? 1 : 0],
    [
      "cloud-init drives",
      vm.blockDevs.filter(({ name }) => name.startsWith("cloud-init-")).length,
      wish.cloudInit === undefined ? 0 : 1,
    ],
    ...diskFacts(wish, vm, state, additions.disks),
    ...nicFacts(wish, vm, additions.nics),
  ];
  return facts
    .map(([what, is, should]) => [what, JSON.stringify(is), JSON.stringify(should)] as const)
    .filter(([, is, should]) => is !== should)
    .map(([what, is, should]) => `${what} of ${wish.name}: ${is} instead of ${should}`);
}

function ofType(vm: VirDomain, type: string): readonly BlockDevice[] {
  return vm.blockDevs.filter((device) => device.type === type);
}

function decode(text: string | undefined): string {
  return Buffer.from(text ?? "", "base64").toString("utf8");
}

function diskFacts(wish: DesiredVirdomain, vm: VirDomain, state: ClusterState, foreign: number): Fact[] {
  const named = namedDevices(vm, "disk", vm.blockDevs);
  const own = vm.blockDevs.filter(
    ({ type, name }) => !["NVRAM", "VTPM"].includes(type) && !/^cloud-init-|guest-tools/.test(name),
  );
  const places = own.map(({ type, slot }) => `${busOf(type)}${slot}`);
  const order = vm.bootDevices.flatMap((uuid) => {
    const name = [...named].find(([, devices]) => devices.some((device) => device.uuid === uuid))?.[0];
    return name ?? [];
  });
  const wanted = wish.disks
    .filter(({ boot }) => boot !== undefined)
    .sort((a, b) => (a.boot ?? 0) - (b.boot ?? 0))
    .map(({ name }) => name);
  return [
    ["names of disks", [...named.keys()].toSorted(), wish.disks.map(({ name }) => name).toSorted()],
    ["number of disks", own.length, wish.disks.length + foreign],
    ["places in use twice", places.length - new Set(places).size, 0],
    ["boot order", order, wanted],
    ...wish.disks.flatMap((disk) => oneDisk(disk, named.get(disk.name) ?? [], vm, state)),
  ];
}

function busOf(type: string): string {
  return type === "VIRTIO_DISK" ? "virtio" : type === "SCSI_DISK" ? "scsi" : "ide";
}

function oneDisk(wish: DesiredDisk, found: readonly BlockDevice[], vm: VirDomain, state: ClusterState): Fact[] {
  const what = `disk ${wish.name}`;
  const [device] = found;
  if (device === undefined || found.length > 1) return [[`${what}: number`, found.length, 1]];
  if (wish.type === "ide_cdrom") {
    const iso = state.isos.find(({ path }) => path !== "" && path === device.path);
    return [
      [`${what}: type`, device.type, "IDE_CDROM"],
      [`${what}: medium`, iso?.name.replace(/-[0-9a-f]{12}\.iso$/, ""), wish.asset?.name],
    ];
  }
  const origin = state.guests[vm.uuid]?.origins?.[device.uuid];
  const smallest = wish.capacityBytes ?? MiB;
  return [
    [`${what}: type`, device.type, wish.type.toUpperCase()],
    [`${what}: origin`, origin?.name.replace(/-[0-9a-f]{12}\.img$/, ""), wish.asset?.name],
    [`${what}: identity kept`, origin?.regenerateDiskID ?? false, false],
    // An image larger than the wish gives the disk its own size.
    [`${what}: capacity`, device.capacity, Math.max(smallest, device.physical)],
  ];
}

function nicFacts(wish: DesiredVirdomain, vm: VirDomain, foreign: number): Fact[] {
  const named = namedDevices(vm, "nic", vm.netDevs);
  const types = { virtio: "VIRTIO", e1000: "INTEL_E1000", rtl8139: "RTL8139" } as const;
  return [
    ["names of NICs", [...named.keys()].toSorted(), wish.nics.map(({ name }) => name).toSorted()],
    ["number of NICs", vm.netDevs.length, wish.nics.length + foreign],
    ...wish.nics.map(
      ({ name, type, network }): Fact => [
        `NIC ${name}`,
        named.get(name)?.map((device) => `${device.type} on ${device.vlan}`),
        [`${types[type]} on ${network.vlan ?? 0}`],
      ],
    ),
  ];
}

/** Images of one name beyond the first: two uploads met, and the answer to one was lost. They cost room and nothing else. */
export function doubledImages({ images }: ClusterState): number {
  return images.length - new Set(images.map(({ name }) => name)).size;
}

/** Records nobody feeds any more are in nobody's way only when the image they were to become is there. */
function compareImages({ images, isos }: ClusterState): string[] {
  const ready = new Set(images.map(({ name }) => name));
  const orphans = images.filter(
    ({ name }) => /^(uploading|converting)-/.test(name) && !ready.has(name.replace(/^\w+?-/, "")),
  );
  const unready = isos.filter(({ name, readyForInsert }) => !readyForInsert && name !== "theirs.iso");
  const blocked = unready.filter(({ name }) => !isos.some((iso) => iso.name === name && iso.readyForInsert));
  return [
    ...orphans.map(({ name }) => `image ${name} was left behind`),
    ...blocked.map(({ name }) => `ISO ${name} was left behind`),
  ];
}
