import type { EffectTable } from "./effect-table.ts";
import { badRequest, notNow, TaskFailure } from "./refusal.ts";
import { type ClusterState, unixSeconds } from "./state.ts";
import { ensureRoom } from "./storage.ts";
import type { BlockDevice, VirDomain } from "./wire.ts";
import type { DiskBody, Work, WorkOf } from "./work.ts";

const mebibyte = 2 ** 20;
const nvramBytes = 540_672;
const defaultTiering = 8;

/** Slots are counted per bus; NVRAM and VTPM are on none. */
function busOf(type: string): "virtio" | "ide" | "scsi" | "floppy" | "none" {
  switch (type) {
    case "VIRTIO_DISK":
      return "virtio";
    case "IDE_DISK":
    case "IDE_CDROM":
      return "ide";
    case "SCSI_DISK":
      return "scsi";
    case "IDE_FLOPPY":
      return "floppy";
    default:
      return "none";
  }
}

function nextSlot(devices: readonly BlockDevice[], type: string): number {
  const bus = busOf(type);
  if (bus === "none") return -1;
  const taken = new Set(devices.filter((device) => busOf(device.type) === bus).map((device) => device.slot));
  let slot = 0;
  while (taken.has(slot)) slot += 1;
  return slot;
}

/** Adds a device. A CD-ROM put on an occupied IDE slot moves the occupant; elsewhere an occupied slot is an error. */
function placeDevice(devices: readonly BlockDevice[], device: BlockDevice): readonly BlockDevice[] {
  const bus = busOf(device.type);
  if (bus === "none") return [...devices, { ...device, slot: -1 }];
  if (device.slot < 0) return [...devices, { ...device, slot: nextSlot(devices, device.type) }];
  const occupant = devices.find((other) => busOf(other.type) === bus && other.slot === device.slot);
  if (occupant === undefined) return [...devices, device];
  if (device.type !== "IDE_CDROM") throw new TaskFailure("Slot %@ is already in use", [String(device.slot)]);
  const placed = [...devices.filter((other) => other !== occupant), device];
  const moved = { ...occupant, slot: nextSlot(placed, occupant.type) };
  return devices.map((other) => (other === occupant ? moved : other)).concat(device);
}

/** A device from a body, with what the cluster decides: sizes of firmware stores and CDs, names, defaults. */
function buildDisk(state: ClusterState, vm: string, uuid: string, body: DiskBody): BlockDevice {
  const iso = body.type === "IDE_CDROM" ? findIso(state, body.path ?? "") : undefined;
  const capacity = capacityOf(body, iso?.size);
  return {
    uuid,
    virDomainUUID: vm,
    type: body.type,
    cacheMode: body.type === "NVRAM" ? "NONE" : (body.cacheMode ?? "NONE"),
    capacity,
    allocation: 0,
    physical: 0,
    slot: body.slot ?? -1,
    name: iso?.name ?? "",
    path: body.type === "IDE_CDROM" ? (body.path ?? "") : `scribe/${uuid}`,
    disableSnapshotting: body.disableSnapshotting ?? false,
    tieringPriorityFactor: 0,
    mountPoints: [],
    createdTimestamp: unixSeconds(),
    readOnly: false,
    shareUUID: "",
  };
}

function capacityOf(body: DiskBody, isoSize: number | undefined): number {
  if (body.type === "NVRAM") return nvramBytes;
  if (body.type === "IDE_CDROM") return isoSize ?? 0;
  return body.capacity ?? 0;
}

function findIso(state: ClusterState, path: string): { readonly name: string; readonly size: number } | undefined {
  if (path === "") return undefined;
  for (const iso of state.isos.values()) if (iso.readyForInsert && iso.path === path) return iso;
  throw new TaskFailure("No ISO at %@", [path]);
}

/** Adds a disk to a VM; the tiering factor reads 0 until it has settled. */
export function addDisk(
  state: ClusterState,
  vm: string,
  uuid: string,
  body: DiskBody,
  made?: Partial<BlockDevice>,
): void {
  const { blockDevs } = state.takeVirDomain(vm);
  const disk = { ...buildDisk(state, vm, uuid, body), ...made };
  ensureRoom(state, disk.type === "IDE_CDROM" ? 0 : disk.capacity);
  state.updateVirDomain(vm, { blockDevs: placeDevice(blockDevs, disk) });
  const tiering = { ...state.guests.get(vm)?.tiering, [uuid]: body.tieringPriorityFactor ?? defaultTiering };
  state.updateGuest(vm, { tiering });
  state.timers.after(state.durationOf("tiering-settle"), () => settleTiering(state, vm));
}

/** A CD-ROM the cluster adds by itself, on the next free IDE slot. */
export function addClusterCd(state: ClusterState, vm: string, name: string): void {
  const uuid = state.random.uuid();
  const path = `scribe/${state.random.uuid()}`;
  addDisk(state, vm, uuid, { type: "IDE_CDROM" }, { name, path, capacity: mebibyte });
}

export function settleTiering(state: ClusterState, vm: string): void {
  const wanted = state.guests.get(vm)?.tiering;
  const current = state.virdomains.get(vm);
  if (wanted === undefined || current === undefined || Object.keys(wanted).length === 0) return;
  const blockDevs = current.blockDevs.map((disk) => ({
    ...disk,
    tieringPriorityFactor: wanted[disk.uuid] ?? disk.tieringPriorityFactor,
  }));
  state.updateVirDomain(vm, { blockDevs });
  state.updateGuest(vm, { tiering: {} });
}

/** Refuses what the bus of a running VM cannot do: IDE, floppies and firmware stores never come or go. */
export function requirePluggable(state: ClusterState, vm: VirDomain, type: string): void {
  if (!state.isOff(vm) && !["VIRTIO_DISK", "SCSI_DISK"].includes(type)) throw notNow();
}

/** Only a CD-ROM can be told where its content is. */
export function requirePathOnCdOnly({ type, path }: DiskBody): void {
  if (path && type !== "IDE_CDROM") throw badRequest('"path" is not allowed in VirDomainBlockDevice');
}

/** A PATCH of a disk as work, or its refusal. */
export function diskPatchWork(state: ClusterState, vm: VirDomain, disk: BlockDevice, changes: Partial<DiskBody>): Work {
  const off = state.isOff(vm);
  if (changes.path !== undefined && disk.type !== "IDE_CDROM")
    throw badRequest('"path" is not allowed in VirDomainBlockDevice');
  const moved = changes.type !== undefined || changes.slot !== undefined;
  const recached = changes.cacheMode !== undefined && !state.settings.lenientWhileRunning;
  if (!off && (moved || recached)) throw notNow();
  return { kind: "disk-patch", vm: vm.uuid, uuid: disk.uuid, changes };
}

function patchDisk(state: ClusterState, { vm, uuid, changes }: WorkOf<"disk-patch">): void {
  const current = state.takeVirDomain(vm);
  const disk = takeDisk(current, uuid);
  if (changes.path !== undefined && changes.name === undefined && !state.isOff(current)) {
    throw new TaskFailure("Unable to change media of %@", [uuid]);
  }
  const kept = { name: disk.name, capacity: disk.capacity };
  const changed = { ...disk, ...changes, ...kept, ...insertion(state, changes), ...resize(state, disk, changes) };
  const others = current.blockDevs.filter((other) => other !== disk);
  if (changes.tieringPriorityFactor !== undefined) forgetYouth(state, vm, uuid);
  if (changes.slot === undefined && changes.type === undefined) {
    state.updateVirDomain(vm, { blockDevs: current.blockDevs.map((other) => (other === disk ? changed : other)) });
  } else {
    const slot = changes.slot ?? (busOf(changed.type) === busOf(disk.type) ? disk.slot : -1);
    state.updateVirDomain(vm, { blockDevs: placeDevice(others, { ...changed, slot }) });
  }
}

/** A factor that was set since counts more than the one given at creation. */
function forgetYouth(state: ClusterState, vm: string, uuid: string): void {
  const { [uuid]: _settled, ...tiering } = state.guests.get(vm)?.tiering ?? {};
  state.updateGuest(vm, { tiering });
}

function insertion(state: ClusterState, { path }: Partial<DiskBody>): Partial<BlockDevice> {
  if (path === undefined) return {};
  const iso = findIso(state, path);
  return { path, name: iso?.name ?? "", capacity: iso?.size ?? 0 };
}

/** Disks only grow, and firmware stores not even that. */
function resize(state: ClusterState, disk: BlockDevice, { capacity }: Partial<DiskBody>): Partial<BlockDevice> {
  if (capacity === undefined || capacity === disk.capacity || disk.type === "IDE_CDROM") return {};
  if (disk.type === "NVRAM") throw new TaskFailure("The size of %@ cannot change", [disk.uuid]);
  if (capacity < disk.capacity) {
    throw new TaskFailure("Cannot shrink %@ from %@ to %@ bytes", [disk.uuid, String(disk.capacity), String(capacity)]);
  }
  ensureRoom(state, capacity - disk.capacity);
  return { capacity };
}

function takeDisk(vm: VirDomain, uuid: string): BlockDevice {
  const disk = vm.blockDevs.find((device) => device.uuid === uuid);
  if (disk === undefined) throw new TaskFailure("Block device %@ does not exist", [uuid]);
  return disk;
}

/** A running guest keeps its virtio disks until it lets go, which most do not. */
function deleteDisk(state: ClusterState, { vm, uuid }: WorkOf<"disk-delete">): void {
  const current = state.takeVirDomain(vm);
  const disk = takeDisk(current, uuid);
  const released =
    state.guests.get(vm)?.releasesDisks === true || current.tags.split(",").includes("sim-releases-disks");
  if (disk.type === "VIRTIO_DISK" && !state.isOff(current) && !released) {
    throw new TaskFailure("Still in use: %@", [uuid]);
  }
  state.updateVirDomain(vm, {
    blockDevs: current.blockDevs.filter((other) => other !== disk),
    bootDevices: current.bootDevices.filter((device) => device !== uuid),
  });
}

/** A copy of an image or disk: at least as large as its source, rounded up to whole MiB. */
function copyDisk(
  state: ClusterState,
  work: WorkOf<"disk-attach" | "disk-clone">,
  sourceBytes: number,
  name: string,
): void {
  const { vm, uuid, disk, source, regenerateDiskID, readOnly } = work;
  const wanted = Math.max(disk.capacity ?? 0, sourceBytes);
  const capacity = Math.ceil(wanted / mebibyte) * mebibyte;
  addDisk(state, vm, uuid, disk, { capacity, readOnly, allocation: sourceBytes, physical: sourceBytes });
  const origins = { ...state.guests.get(vm)?.origins, [uuid]: { source, name, regenerateDiskID } };
  state.updateGuest(vm, { origins });
}

export const diskEffects: Pick<
  EffectTable,
  "disk-create" | "disk-attach" | "disk-clone" | "disk-patch" | "disk-delete"
> = {
  "disk-create": { finish: (state, { vm, uuid, disk }) => addDisk(state, vm, uuid, disk) },
  "disk-attach": {
    finish: (state, work) => {
      const image = state.images.get(work.source);
      if (image === undefined) throw new TaskFailure("Virtual disk %@ does not exist", [work.source]);
      copyDisk(state, work, image.capacityBytes, image.name);
    },
  },
  "disk-clone": {
    finish: (state, work) => {
      const found = state.findDisk(work.source);
      if (found === undefined) throw new TaskFailure("Block device %@ does not exist", [work.source]);
      copyDisk(state, work, found.disk.capacity, "");
    },
  },
  "disk-patch": { finish: patchDisk },
  "disk-delete": { finish: deleteDisk },
};
