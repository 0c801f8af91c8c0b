import type { DesiredDisk } from "../../../fleet/desired-state.ts";
import { idOfSource } from "../domain/devices.ts";
import type { Domain } from "../domain/domain.ts";
import type { DiskNote } from "../domain/ownership.ts";
import type { ReadyAsset } from "../storage/image-library.ts";
import type { Changes, Convergence } from "./convergence.ts";
import { holdsMedium } from "./plan-devices.ts";

/** What is remembered of the VM's disks once everything is in place. */
export function finalNotes(domain: Domain, changes: Changes, { host, adopt }: Convergence): DiskNote[] {
  const { work, assignments, media } = changes;
  const kept = work.disks.keep.map(({ disk, found }): DiskNote => {
    const { source, target } = found.device;
    if (disk.type !== "ide_cdrom") {
      const assetId = disk.asset?.id ?? found.note?.assetId;
      return newDisk(disk, source === undefined ? undefined : idOfSource(source), assetId);
    }
    const same = !adopt && holdsMedium(found, disk) && found.note !== undefined;
    return same
      ? { ...found.note, state: undefined }
      : driveNote(disk, target, media.get(disk.name), host.options.pool);
  });
  const notes = [...kept, ...assignments.map(({ note }) => note)];
  const known = new Set(notes.map(({ source }) => source));
  const others = domain.ownership.disks.filter((note) => isStillKnown(domain, note) && !known.has(note.source));
  return inOldOrder([...notes, ...others], domain.ownership.disks);
}

/** The seed, a disk that is kept for its snapshots, and one that people detached and nobody asks for: it may hold data. */
function isStillKnown(domain: Domain, { role, source, state }: DiskNote): boolean {
  if (state === "kept") return true;
  if (state !== undefined || role === "drive") return false;
  return role === "seed" || domain.disks.every(({ device }) => !isIn(device.source, source));
}

function isIn(found: Parameters<typeof idOfSource>[0] | undefined, source: string | undefined): boolean {
  return found !== undefined && idOfSource(found) === source;
}

export function newDisk(disk: DesiredDisk, source: string | undefined, assetId = disk.asset?.id): DiskNote {
  return { name: disk.name, role: "disk", source, target: undefined, assetId, state: undefined };
}

export function driveNote(disk: DesiredDisk, target: string, asset: ReadyAsset | undefined, pool: string): DiskNote {
  const source = asset === undefined ? undefined : `${pool}/${asset.volume}`;
  return { name: disk.name, role: "drive", source, target, assetId: disk.asset?.id, state: undefined };
}

/** What was known first and in its old order, so that another order in the manifest changes nothing. */
export function inOldOrder<T extends { readonly name: string }>(notes: readonly T[], old: readonly T[]): T[] {
  const place = ({ name }: T): number => {
    const index = old.findIndex((known) => known.name === name);
    return index < 0 ? old.length : index;
  };
  return notes.toSorted((a, b) => place(a) - place(b));
}
