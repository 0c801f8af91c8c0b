import type { DesiredDisk, DesiredNic, DesiredVirdomain } from "../../../fleet/desired-state.ts";
import { diskTypeOf, idOfSource, sameNetwork } from "../domain/devices.ts";
import type { Domain, NamedDisk, NamedNic } from "../domain/domain.ts";
import type { DiskNote } from "../domain/ownership.ts";

/** What is to be done to the devices of a VM; pure. Devices without a name belong to people and appear nowhere. */
export interface DeviceWork {
  readonly disks: {
    readonly keep: readonly KeptDisk[];
    /** In manifest order; `volume` is a disk of the VM that was detached and still has its data. */
    readonly add: readonly { readonly disk: DesiredDisk; readonly detached: DiskNote | undefined }[];
    /** No longer desired, or made from another image than desired. */
    readonly remove: readonly NamedDisk[];
  };
  readonly nics: {
    readonly keep: readonly { readonly nic: DesiredNic; readonly found: NamedNic }[];
    readonly add: readonly DesiredNic[];
    readonly remove: readonly NamedNic[];
  };
}

export interface KeptDisk {
  readonly disk: DesiredDisk;
  readonly found: NamedDisk;
}

export function planDevices(domain: Domain, desired: DesiredVirdomain, adopt: boolean): DeviceWork {
  return { disks: planDisks(domain, desired, adopt), nics: planNics(domain, desired, adopt) };
}

function planDisks(domain: Domain, desired: DesiredVirdomain, adopt: boolean): DeviceWork["disks"] {
  const ours = domain.disks.filter(({ note }) => note !== undefined && note.role !== "seed");
  const found = new Map(ours.map((disk) => [disk.note?.name ?? "", disk] as const));
  if (adopt) for (const [name, disk] of adoptByPosition(domain, desired, found)) found.set(name, disk);
  const keep = desired.disks.flatMap((disk) => {
    const candidate = found.get(disk.name);
    return candidate === undefined || mustReplace(disk, candidate) ? [] : [{ disk, found: candidate }];
  });
  const kept = new Set(keep.map(({ disk }) => disk.name));
  return {
    keep,
    add: desired.disks
      .filter(({ name }) => !kept.has(name))
      .map((disk) => ({ disk, detached: findDetached(domain, disk) })),
    remove: [...found].flatMap(([name, disk]) => (kept.has(name) ? [] : [disk])),
  };
}

/** A disk cannot be re-based on another image, nor become a drive; a drive just takes another medium. */
function mustReplace(disk: DesiredDisk, { device, note }: NamedDisk): boolean {
  const isDrive = diskTypeOf(device) === "ide_cdrom";
  if (isDrive || disk.type === "ide_cdrom") return !(isDrive && disk.type === "ide_cdrom");
  // One that was taken over was not made by us; it counts as made from what the manifest says.
  return note !== undefined && disk.asset !== undefined && note.assetId !== disk.asset.id;
}

/** A disk of this name that people detached, or that we did and still hold: it comes back with what is on it. */
function findDetached(domain: Domain, disk: DesiredDisk): DiskNote | undefined {
  const present = new Set(domain.disks.map(({ note }) => note));
  return domain.ownership.disks.find(
    (note) =>
      !present.has(note) &&
      note.role === "disk" &&
      disk.type !== "ide_cdrom" &&
      note.name === disk.name &&
      note.source !== undefined &&
      (note.state === undefined || note.state === "kept") &&
      note.assetId === disk.asset?.id,
  );
}

/** A VM taken over gets its names by position, type by type. */
function adoptByPosition(
  domain: Domain,
  desired: DesiredVirdomain,
  known: ReadonlyMap<string, NamedDisk>,
): Map<string, NamedDisk> {
  const free = domain.disks.filter(({ note }) => note === undefined);
  const adopted = new Map<string, NamedDisk>();
  for (const disk of desired.disks.filter(({ name }) => !known.has(name))) {
    const index = free.findIndex(({ device }) => diskTypeOf(device) === disk.type);
    const [found] = index < 0 ? [] : free.splice(index, 1);
    if (found !== undefined) adopted.set(disk.name, found);
  }
  return adopted;
}

function planNics(domain: Domain, desired: DesiredVirdomain, adopt: boolean): DeviceWork["nics"] {
  const found = new Map(domain.nics.flatMap((nic) => (nic.name === undefined ? [] : [[nic.name, nic] as const])));
  if (adopt) {
    const free = domain.nics.filter(({ name }) => name === undefined);
    for (const { name } of desired.nics.filter((nic) => !found.has(nic.name))) {
      const nic = free.shift();
      if (nic !== undefined) found.set(name, nic);
    }
  }
  const wanted = new Set(desired.nics.map(({ name }) => name));
  return {
    keep: desired.nics.flatMap((nic) => {
      const kept = found.get(nic.name);
      return kept === undefined ? [] : [{ nic, found: kept }];
    }),
    add: desired.nics.filter(({ name }) => !found.has(name)),
    remove: [...found].flatMap(([name, nic]) => (wanted.has(name) ? [] : [nic])),
  };
}

/** Whether a drive holds the medium that is wanted, as far as we put it there. */
export function holdsMedium({ device, note }: NamedDisk, disk: DesiredDisk): boolean {
  const { source } = device;
  if (source === undefined) return disk.asset === undefined;
  return disk.asset !== undefined && idOfSource(source) === note?.source && note.assetId === disk.asset.id;
}

export function isLike({ device }: NamedNic, { type, network }: DesiredNic): boolean {
  return device.type === type && sameNetwork(device.network, network);
}
