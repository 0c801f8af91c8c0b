import type { DesiredDisk, DesiredVirdomain } from "../../../fleet/desired-state.ts";
import type { DiskType } from "../../../manifest/document.ts";
import { sameCapacity } from "../../../plan/capacity.ts";
import type { Bus, DiskNote, MarkNotes, SlotPlace } from "../marks/marks.ts";
import { type NamedDevice, busOf, diskTypeOf, nameDevices, shortUuid } from "./to-virdomain.ts";
import type { BlockDevice, VirDomain } from "../rest/wire.ts";

export const wireDiskTypes: Readonly<Record<DiskType, string>> = {
  virtio_disk: "VIRTIO_DISK",
  ide_disk: "IDE_DISK",
  scsi_disk: "SCSI_DISK",
  ide_cdrom: "IDE_CDROM",
};

export function busOfDisk(disk: DesiredDisk): Bus {
  return busOf(wireDiskTypes[disk.type]) ?? "virtio";
}

/** What is to be done to the disks of a VM; pure. Devices without a name belong to people and appear nowhere. */
export interface DiskWork {
  /** Devices to delete: no longer desired, or made from another image than desired. */
  readonly remove: readonly { readonly device: BlockDevice; readonly name: string }[];
  /** In manifest order. */
  readonly add: readonly DesiredDisk[];
  readonly keep: readonly { readonly disk: DesiredDisk; readonly device: BlockDevice }[];
  /** CD-ROM drives that stay and hold another medium than desired. */
  readonly changeMedium: readonly { readonly disk: DesiredDisk; readonly device: BlockDevice }[];
}

export function planDisks(vm: VirDomain, record: MarkNotes, desired: DesiredVirdomain, adopt: boolean): DiskWork {
  const named = nameDevices(vm, record);
  const building = record.mark?.building === true;
  const found = new Map(
    named.flatMap((item) => {
      const trusted = !item.provisional || building || isExpected(item.device, item.name, desired);
      return item.name === undefined || !trusted ? [] : [[item.name, item] as const];
    }),
  );
  if (adopt) for (const [name, item] of adoptByPosition(named, desired)) found.set(name, item);
  const wantedNames = new Set(desired.disks.map((disk) => disk.name));
  const pairs = desired.disks.map((disk) => ({ disk, item: found.get(disk.name) }));
  const kept = pairs.flatMap(({ disk, item }) =>
    item === undefined || mustReplace(disk, item) ? [] : [{ disk, ...item }],
  );
  const keptNames = new Set(kept.map(({ disk }) => disk.name));
  return {
    remove: [...found].flatMap(([name, { device }]) =>
      wantedNames.has(name) && keptNames.has(name) ? [] : [{ device, name }],
    ),
    add: desired.disks.filter((disk) => !keptNames.has(disk.name)),
    keep: kept,
    changeMedium: kept.filter(({ disk, assetId }) => disk.type === "ide_cdrom" && assetId !== disk.asset?.id),
  };
}

export function isOfType(device: BlockDevice, disk: DesiredDisk): boolean {
  return diskTypeOf(device) === disk.type;
}

/**
 * Whether a device in a place noted for a disk can be that disk. On a VM that is complete somebody else may have put one
 * there since; it is then nobody's we know.
 */
function isExpected(device: BlockDevice, name: string | undefined, { disks }: DesiredVirdomain): boolean {
  const disk = disks.find((wanted) => wanted.name === name);
  if (disk === undefined || diskTypeOf(device) !== disk.type) return false;
  const { capacityBytes } = disk;
  if (disk.type === "ide_cdrom" || capacityBytes === undefined) return true;
  // A cluster that ignores the wished capacity gives the image's, which is enlarged next.
  const unfinished = disk.asset !== undefined && device.capacityBytes < capacityBytes;
  return unfinished || sameCapacity(capacityBytes, device.capacityBytes);
}

/** A disk cannot be re-based on another image, nor become a drive; a drive just takes another medium. */
function mustReplace(disk: DesiredDisk, { device, assetId }: NamedDevice): boolean {
  const drives = [diskTypeOf(device), disk.type].filter((type) => type === "ide_cdrom").length;
  if (drives === 1) return true;
  return disk.type !== "ide_cdrom" && disk.asset !== undefined && assetId !== disk.asset.id;
}

/** A VM taken over gets its names by position, type by type, and counts as made from what the manifest says. */
function adoptByPosition(named: readonly NamedDevice[], desired: DesiredVirdomain): Map<string, NamedDevice> {
  const adopted = new Map<string, NamedDevice>();
  const free = named.filter(({ name }) => name === undefined).sort((a, b) => a.device.slot - b.device.slot);
  const known = new Set(named.map(({ name }) => name));
  for (const disk of desired.disks.filter(({ name }) => !known.has(name))) {
    const index = free.findIndex(({ device }) => diskTypeOf(device) === disk.type);
    const [item] = index < 0 ? [] : free.splice(index, 1);
    if (item === undefined) continue;
    // A drive's medium is put right rather than believed.
    adopted.set(disk.name, {
      ...item,
      name: disk.name,
      assetId: disk.type === "ide_cdrom" ? undefined : disk.asset?.id,
    });
  }
  return adopted;
}

/** A slot for every disk to add: the one noted earlier where it is still free, else the lowest free one of its bus. */
export function placeDisks(
  vm: VirDomain,
  add: readonly DesiredDisk[],
  notes: ReadonlyMap<string, DiskNote>,
): Map<string, SlotPlace> {
  const taken = new Set(vm.blockDevs.map((device) => slotKey(busOf(device.type), device.slot)));
  const places = new Map<string, SlotPlace>();
  for (const disk of add) {
    const note = notes.get(disk.name);
    const bus = busOfDisk(disk);
    if (note === undefined || "uuidPrefix" in note || note.bus !== bus || taken.has(slotKey(bus, note.slot))) continue;
    places.set(disk.name, { bus, slot: note.slot });
    taken.add(slotKey(bus, note.slot));
  }
  for (const disk of add) {
    if (places.has(disk.name)) continue;
    const place = { bus: busOfDisk(disk), slot: 0 };
    while (taken.has(slotKey(place.bus, place.slot))) place.slot++;
    places.set(disk.name, place);
    taken.add(slotKey(place.bus, place.slot));
  }
  return places;
}

function slotKey(bus: Bus | undefined, slot: number): string {
  return `${bus}${slot}`;
}

/**
 * The slots of a VM that does not exist yet. CD-ROMs come first on the IDE bus because they are in the create body;
 * the cloud-init and guest-tools drives then take the next free slots, so IDE disks start behind those.
 */
export function placeNewDisks(desired: DesiredVirdomain, platformDrives: number): Map<string, SlotPlace> {
  const cdroms = desired.disks.filter((disk) => disk.type === "ide_cdrom");
  const next: Record<Bus, number> = { virtio: 0, scsi: 0, ide: cdroms.length + platformDrives };
  const places = new Map<string, SlotPlace>();
  for (const disk of desired.disks) {
    const bus = busOfDisk(disk);
    places.set(disk.name, disk.type === "ide_cdrom" ? { bus, slot: cdroms.indexOf(disk) } : { bus, slot: next[bus]++ });
  }
  return places;
}

export function deviceAt(vm: VirDomain | undefined, disk: DesiredDisk, place: SlotPlace): BlockDevice | undefined {
  const type = wireDiskTypes[disk.type];
  return vm?.blockDevs.find((device) => device.type === type && device.slot === place.slot);
}

export function noteDevice(vm: VirDomain, device: BlockDevice, disk: DesiredDisk): DiskNote {
  const all = vm.blockDevs.map(({ uuid }) => uuid);
  return { uuidPrefix: shortUuid(device.uuid, all), assetId: disk.asset?.id };
}
