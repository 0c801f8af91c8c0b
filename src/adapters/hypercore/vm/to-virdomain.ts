import type { DiskType, MachineType, NicType } from "../../../manifest/document.ts";
import type { LiveDisk, LiveNic, LiveVirdomain, PowerState } from "../../../plan/live-state.ts";
import type { Bus, DiskNote, MarkNotes } from "../marks/marks.ts";
import { readOwnership } from "../marks/ownership.ts";
import { isActive } from "../rest/task-tag.ts";
import type { BlockDevice, NetDevice, VirDomain, VirDomainState } from "../rest/wire.ts";

/** A cluster's VM in the product's words. Platform-made devices are left out. */
export function toVirdomain(vm: VirDomain): LiveVirdomain {
  const record = readOwnership(vm);
  const replica = vm.sourceVirDomainUUID !== "";
  return {
    id: vm.uuid,
    name: vm.name,
    description: vm.description,
    os: toOs(vm.operatingSystem),
    cpu: vm.numVCPU,
    memoryBytes: vm.memBytes,
    machineType: toMachineType(vm),
    power: toPower(vm.state),
    tags: record.manifestTags,
    disks: toDisks(vm, record),
    ...unmadeDisks(vm, record),
    nics: toNics(vm, record),
    mark: record.mark,
    markOutdated: record.place === "tags" && vm.labels !== undefined,
    clone: record.clone,
    replica,
    busy: isActive(vm.latestTask),
    guestAgent: vm.guestAgentState === "AVAILABLE",
  };
}

const powers: Readonly<Record<VirDomainState, PowerState>> = {
  RUNNING: "running",
  BLOCKED: "running",
  PAUSED: "paused",
  SHUTDOWN: "shutting-down",
  SHUTOFF: "shutoff",
  CRASHED: "crashed",
};

export function toPower(state: VirDomainState): PowerState {
  return powers[state];
}

export function isOff(vm: VirDomain): boolean {
  return vm.state === "SHUTOFF" || vm.state === "CRASHED";
}

/** HyperCore knows many Windows values and one for the rest. */
function toOs(operatingSystem: string): string | undefined {
  if (operatingSystem === "") return undefined;
  if (operatingSystem.startsWith("os_windows")) return "windows";
  return operatingSystem === "os_other" ? "other" : operatingSystem;
}

/** What `machineType` strings mean on clusters that do not report the keyword (HyperCore REST v1 OpenAPI). */
const machineTypes: Readonly<Record<string, MachineType>> = {
  "scale-bios-9.3": "bios",
  "scale-7.2": "bios",
  "scale-5.4": "bios",
  "scale-6.4": "bios",
  "scale-bios-lsi-9.2": "bios",
  "scale-uefi-9.3": "uefi",
  "scale-8.10": "uefi",
  "scale-uefi-tpm-9.3": "tpm",
  "scale-uefi-tpm-9.2": "tpm",
};

export function toMachineType(vm: Pick<VirDomain, "machineType" | "machineTypeKeyword">): MachineType | "other" {
  const keyword = vm.machineTypeKeyword;
  if (keyword === "bios" || keyword === "uefi" || keyword === "tpm") return keyword;
  return keyword === "" ? (machineTypes[vm.machineType] ?? "other") : "other";
}

/** Block device types a manifest can name, with the bus whose slots they take. */
const diskKinds: Readonly<Record<string, { readonly type: DiskType; readonly bus: Bus }>> = {
  VIRTIO_DISK: { type: "virtio_disk", bus: "virtio" },
  IDE_DISK: { type: "ide_disk", bus: "ide" },
  SCSI_DISK: { type: "scsi_disk", bus: "scsi" },
  IDE_CDROM: { type: "ide_cdrom", bus: "ide" },
};

export function diskTypeOf(device: BlockDevice): DiskType | undefined {
  return diskKinds[device.type]?.type;
}

/** The bus a device takes a slot on; a floppy counts as IDE, NVRAM and VTPM take none. */
export function busOf(wireType: string): Bus | undefined {
  return wireType === "IDE_FLOPPY" ? "ide" : diskKinds[wireType]?.bus;
}

/** Drives the cluster adds by itself: the cloud-init drive, guest tools, and firmware storage. */
function isPlatformMade(device: BlockDevice): boolean {
  if (diskTypeOf(device) === undefined) return true;
  return (
    device.type === "IDE_CDROM" &&
    (/^cloud-init-[0-9a-f]{8}\.iso$/i.test(device.name) || device.name.includes("guest-tools"))
  );
}

/** Devices of a VM with the manifest name we remember for each, in the cluster's order. */
export interface NamedDevice {
  readonly device: BlockDevice;
  readonly name: string | undefined;
  readonly assetId: string | undefined;
  /** Known by its slot only, as written before the device existed. */
  readonly provisional: boolean;
}

export function nameDevices(vm: VirDomain, record: MarkNotes): NamedDevice[] {
  const notes = new Map<string, { name: string; note: DiskNote }>();
  for (const [name, note] of record.disks) {
    const device = vm.blockDevs.find((candidate) => isNoted(candidate, note));
    if (device !== undefined && !notes.has(device.uuid)) notes.set(device.uuid, { name, note });
  }
  return vm.blockDevs
    .filter((device) => notes.has(device.uuid) || !isPlatformMade(device))
    .map((device) => {
      const known = notes.get(device.uuid);
      return {
        device,
        name: known?.name,
        provisional: known !== undefined && !("uuidPrefix" in known.note),
        assetId: device.type === "IDE_CDROM" && device.path === "" ? undefined : known?.note.assetId,
      };
    });
}

/** A note of a place without a device: its making was cut off, or failed. */
function unmadeDisks(vm: VirDomain, { disks }: MarkNotes): Pick<LiveVirdomain, "unmadeDisks"> {
  const unmade = [...disks].filter(
    ([, note]) => !("uuidPrefix" in note) && vm.blockDevs.every((device) => !isNoted(device, note)),
  );
  return unmade.length === 0 ? {} : { unmadeDisks: unmade.map(([name]) => name).sort() };
}

function isNoted(device: BlockDevice, note: DiskNote): boolean {
  if ("uuidPrefix" in note) return device.uuid.startsWith(note.uuidPrefix);
  return !isPlatformMade(device) && busOf(device.type) === note.bus && device.slot === note.slot;
}

function toDisks(vm: VirDomain, record: MarkNotes): LiveDisk[] {
  const bootable = vm.bootDevices.filter((uuid) => vm.blockDevs.some((device) => device.uuid === uuid));
  return nameDevices(vm, record).flatMap(({ device, name, assetId, provisional }): LiveDisk[] => {
    const type = diskTypeOf(device);
    const position = bootable.indexOf(device.uuid);
    if (type === undefined) return [];
    return [
      {
        id: device.uuid,
        name,
        ...(provisional ? { provisional } : {}),
        type,
        capacityBytes: device.capacityBytes,
        assetId,
        boot: position < 0 ? undefined : position + 1,
      },
    ];
  });
}

const nicTypes: Readonly<Record<string, NicType>> = { VIRTIO: "virtio", INTEL_E1000: "e1000", RTL8139: "rtl8139" };

export function nicTypeOf(device: NetDevice): NicType | "other" {
  return nicTypes[device.type] ?? "other";
}

export function nicNameOf(device: NetDevice, record: MarkNotes): string | undefined {
  return [...record.nics].find(([, prefix]) => device.uuid.startsWith(prefix))?.[0];
}

function toNics(vm: VirDomain, record: MarkNotes): LiveNic[] {
  return vm.netDevs.map((device) => ({
    id: device.uuid,
    name: nicNameOf(device, record),
    type: nicTypeOf(device),
    network: { vlan: device.vlan },
    connected: device.connected,
    addresses: device.ipv4Addresses,
  }));
}

/** The beginning of a uuid, at least 8 characters and as long as it takes to be the only one of these. */
export function shortUuid(uuid: string, all: readonly string[]): string {
  let length = 8;
  while (length < uuid.length && all.some((other) => other !== uuid && other.startsWith(uuid.slice(0, length))))
    length++;
  return uuid.slice(0, length);
}
