import { WatcherError } from "../../../lib/errors.ts";
import type { DesiredDisk } from "../../../fleet/desired-state.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { type ClusterAccess } from "../access.ts";
import { interruptible } from "../../boundaries.ts";
import { deviceAt, wireDiskTypes } from "./disks.ts";
import type { ReadyImage } from "../images/images.ts";
import type { SlotPlace } from "../marks/marks.ts";
import { type Step, changeVm } from "./perform.ts";
import { isOff } from "./to-virdomain.ts";
import type { ReadyIso } from "../images/transfer.ts";
import type { BlockDevice, VirDomain } from "../rest/wire.ts";

/** What a disk is filled with: an image to copy, an ISO to insert, or nothing. */
export type Medium = { readonly image: ReadyImage } | { readonly iso: ReadyIso } | undefined;

/** The cache mode the vendor's own collection gives VM disks; without it HyperCore takes NONE. */
const cacheMode = "WRITETHROUGH";

/** Brings a device into an empty slot and makes sure that it is there, and large enough. */
export async function addDisk(
  access: ClusterAccess,
  vm: VirDomain,
  disk: DesiredDisk,
  place: SlotPlace,
  medium: Medium,
  context: ChangeContext,
): Promise<VirDomain> {
  const before = new Set(vm.blockDevs.map(({ uuid }) => uuid));
  const wantedBytes = capacityOf(vm, disk, medium);
  const step: Step = {
    needsRoom: true,
    what: `add disk "${disk.name}" to ${vm.name}`,
    send: (signal) => {
      const [path, body] = addBody(vm, disk, place, medium, wantedBytes);
      return access.client.change("POST", path, body, signal);
    },
    done: (seen) => isNew(deviceAt(seen, disk, place), before),
  };
  const changed =
    medium !== undefined && "image" in medium
      ? await attachInTurn(access, vm, step, medium.image, context)
      : await changeVm(access, vm.uuid, step, context);
  const device = deviceAt(changed, disk, place);
  if (device === undefined || disk.type === "ide_cdrom" || device.capacityBytes >= wantedBytes) return changed;
  return growDisk(access, changed, device, disk, wantedBytes, context);
}

/**
 * One attachment of an image at a time, as nobody promises that a cluster takes two. Another process may still be in the
 * way, which the cluster says with a 500.
 */
async function attachInTurn(
  access: ClusterAccess,
  vm: VirDomain,
  step: Step,
  image: ReadyImage,
  context: ChangeContext,
): Promise<VirDomain> {
  const leave = await interruptible(context, (waiting) => access.turns.enter(image.uuid, waiting));
  try {
    return await changeVm(access, vm.uuid, step, context);
  } finally {
    leave();
  }
}

function isNew(device: BlockDevice | undefined, before: ReadonlySet<string>): boolean {
  return device !== undefined && !before.has(device.uuid);
}

function addBody(
  vm: VirDomain,
  disk: DesiredDisk,
  place: SlotPlace,
  medium: Medium,
  capacity: number,
): [string, unknown] {
  const device = { virDomainUUID: vm.uuid, type: wireDiskTypes[disk.type], capacity, slot: place.slot };
  if (medium !== undefined && "image" in medium) {
    const body = { options: { regenerateDiskID: false, readOnly: false }, template: { ...device, cacheMode } };
    return [`VirtualDisk/${medium.image.uuid}/attach`, body];
  }
  if (disk.type === "ide_cdrom")
    return ["VirDomainBlockDevice", medium === undefined ? device : { ...device, path: medium.iso.path }];
  return ["VirDomainBlockDevice", { ...device, cacheMode }];
}

function capacityOf(vm: VirDomain, disk: DesiredDisk, medium: Medium): number {
  if (disk.type === "ide_cdrom") return 0;
  const imageBytes = medium !== undefined && "image" in medium ? medium.image.capacityBytes : undefined;
  const wanted = disk.capacityBytes ?? imageBytes;
  if (wanted === undefined)
    throw new WatcherError("cluster-refused", `disk "${disk.name}" of ${vm.name} has neither a source nor a capacity`);
  // A template smaller than its image is silently given the image's size.
  return Math.max(wanted, imageBytes ?? 0);
}

export async function growDisk(
  access: ClusterAccess,
  vm: VirDomain,
  device: BlockDevice,
  disk: DesiredDisk,
  toBytes: number,
  context: ChangeContext,
): Promise<VirDomain> {
  return patchDevice(
    access,
    vm,
    device,
    `grow disk "${disk.name}" of ${vm.name}`,
    { capacity: toBytes },
    (seen) => seen.capacityBytes >= toBytes,
    context,
  );
}

/** Inserts or ejects; the path alone fails on a running VM, so the name always goes with it. */
export async function changeMedium(
  access: ClusterAccess,
  vm: VirDomain,
  device: BlockDevice,
  disk: DesiredDisk,
  medium: Medium,
  context: ChangeContext,
): Promise<VirDomain> {
  const iso = medium !== undefined && "iso" in medium ? medium.iso : { path: "", name: "" };
  const body = { path: iso.path, name: iso.name };
  return patchDevice(
    access,
    vm,
    device,
    `change the medium of "${disk.name}" of ${vm.name}`,
    body,
    (seen) => seen.path === iso.path,
    context,
  );
}

async function patchDevice(
  access: ClusterAccess,
  vm: VirDomain,
  device: BlockDevice,
  what: string,
  body: Readonly<Record<string, unknown>>,
  reached: (seen: BlockDevice) => boolean,
  context: ChangeContext,
): Promise<VirDomain> {
  if (reached(device)) return vm;
  const step = {
    what,
    send: (signal: AbortSignal) => access.client.change("PATCH", `VirDomainBlockDevice/${device.uuid}`, body, signal),
    done: (seen: VirDomain | undefined) =>
      seen?.blockDevs.some((other) => other.uuid === device.uuid && reached(other)) ?? false,
  };
  return changeVm(access, vm.uuid, step, context);
}

/** Another bus keeps the content; only while the VM is off. */
export async function changeDiskType(
  access: ClusterAccess,
  vm: VirDomain,
  device: BlockDevice,
  disk: DesiredDisk,
  context: ChangeContext,
): Promise<VirDomain> {
  const type = wireDiskTypes[disk.type];
  const what = `make disk "${disk.name}" of ${vm.name} a ${disk.type}`;
  return patchDevice(access, vm, device, what, { type }, (seen) => seen.type === type, context);
}

/**
 * On a running VM a virtio or SCSI disk goes only if the guest lets go of it; otherwise its task fails ("Still in use"),
 * or the call is refused, and the VM has to be switched off for it: `virdomain-running`.
 */
export async function removeDisk(
  access: ClusterAccess,
  vm: VirDomain,
  device: BlockDevice,
  name: string,
  context: ChangeContext,
): Promise<VirDomain> {
  const what = `remove disk "${name}" from ${vm.name}`;
  const step: Step = {
    what,
    send: (signal) => access.client.change("DELETE", `VirDomainBlockDevice/${device.uuid}`, undefined, signal),
    done: (seen) => seen?.blockDevs.every(({ uuid }) => uuid !== device.uuid) ?? false,
  };
  if (isOff(vm)) return changeVm(access, vm.uuid, step, context);
  if (device.type !== "VIRTIO_DISK" && device.type !== "SCSI_DISK") throw needsOff(vm, what);
  try {
    return await changeVm(access, vm.uuid, { ...step, refusedMs: 0 }, context);
  } catch (cause) {
    const held = cause instanceof WatcherError && (cause.code === "task-failed" || cause.code === "cluster-busy");
    throw held ? needsOff(vm, what, cause) : cause;
  }
}

/** HyperCore refuses this while the VM runs; somebody may have started it since it was switched off for us. */
export function needsOff(vm: VirDomain, what: string, cause?: WatcherError): WatcherError {
  const why = cause === undefined ? "" : `: ${cause.message}`;
  return new WatcherError("virdomain-running", `VM ${vm.name} has to be off to ${what}${why}`, { cause });
}
