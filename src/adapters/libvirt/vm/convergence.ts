import type { DesiredDisk, DesiredVirdomain } from "../../../fleet/desired-state.ts";
import type { OwnershipMark } from "../../../plan/live-state.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { idOfSource } from "../domain/devices.ts";
import type { NamedDisk } from "../domain/domain.ts";
import type { DiskNote, NicNote } from "../domain/ownership.ts";
import type { Host } from "../host.ts";
import type { ImageLibrary, ReadyAsset } from "../storage/image-library.ts";
import type { Pool } from "../storage/pool.ts";
import { capacitiesOf } from "../storage/volumes.ts";
import type { DeviceWork } from "./plan-devices.ts";

/** One VM on its way to its desired state. */
export interface Convergence {
  readonly host: Host;
  readonly library: ImageLibrary;
  readonly pool: Pool;
  readonly desired: DesiredVirdomain;
  /** The mark to leave on the VM at the end. */
  readonly mark: OwnershipMark;
  /** Unnamed devices are taken over by position. */
  readonly adopt: boolean;
  /** What is on the host already, where the caller has just looked. */
  readonly present?: Present;
  readonly context: ChangeContext;
}

/** Names and addresses that new volumes and NICs must not have. */
export interface Present {
  readonly volumes: readonly string[];
  readonly macs: readonly string[];
}

/** What a disk, drive or seed of the VM will be, noted before it is made. */
export interface Assignment {
  readonly note: DiskNote;
  /** Undefined for the seed. */
  readonly disk: DesiredDisk | undefined;
  readonly asset: ReadyAsset | undefined;
  /** The volume is there already, with what is on it. */
  readonly exists: boolean;
}

/** Everything that is to be put into the definition. */
export interface Changes {
  readonly work: DeviceWork;
  readonly assignments: readonly Assignment[];
  readonly nics: readonly NicNote[];
  readonly media: ReadonlyMap<string, ReadyAsset>;
}

/** Disks that are smaller than desired, read anew: QEMU shrinks a disk without a question. */
export async function toGrow(
  host: Host,
  { disks }: DeviceWork,
  signal: AbortSignal,
): Promise<{ readonly disk: DesiredDisk; readonly found: NamedDisk }[]> {
  const sized = disks.keep.filter(({ disk }) => disk.type !== "ide_cdrom" && disk.capacityBytes !== undefined);
  const sources = sized.flatMap(({ found }) => (found.device.source === undefined ? [] : [found.device.source]));
  const capacities = await capacitiesOf(host, sources, signal);
  return sized.filter(({ disk, found: { device } }) => {
    const bytes = device.source === undefined ? undefined : capacities.get(idOfSource(device.source));
    return bytes !== undefined && disk.capacityBytes !== undefined && bytes < disk.capacityBytes;
  });
}

/** Disks are made of sectors. */
export function wholeSectors(bytes: number): number {
  return Math.ceil(bytes / 512) * 512;
}
