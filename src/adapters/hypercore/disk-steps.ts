import { WatcherError } from "../../lib/errors.ts";
import type { DesiredDisk } from "../../fleet/desired-state.ts";
import type { ChangeContext } from "../../ports/hypervisor.ts";
import { type ClusterAccess, interruptible } from "./access.ts";
import { deviceAt, wireDiskTypes } from "./disks.ts";
import type { ReadyImage } from "./images.ts";
import type { SlotPlace } from "./marks.ts";
import { type Step, changeVm } from "./perform.ts";
import type { ReadyIso } from "./transfer.ts";
import type { BlockDevice, ChangeReply, VirDomain } from "./wire.ts";

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
 * Whether one image can be attached to several VMs at once is documented nowhere. A cluster that refuses it once gets
 * the attachments of that image one after another from then on, in place of refusals and pauses.
 */
async function attachInTurn(
  access: ClusterAccess,
  vm: VirDomain,
  step: Step,
  image: ReadyImage,
  context: ChangeContext,
): Promise<VirDomain> {
  let leave: (() => void) | undefined;
  const send = async (signal: AbortSignal): Promise<ChangeReply> => {
    if (leave === undefined && access.crowdedImages.has(image.uuid)) {
      leave = await interruptible(context, (waiting) => access.turns.enter(image.uuid, waiting));
      // The wait may have outlasted the right to write.
      context.beforeChange();
    }
    try {
      return await step.send(signal);
    } catch (error) {
      if (error instanceof WatcherError && error.code === "cluster-busy") access.crowdedImages.add(image.uuid);
      throw error;
    }
  };
  try {
    return await changeVm(access, vm.uuid, { ...step, send }, context);
  } finally {
    leave?.();
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

export async function removeDisk(
  access: ClusterAccess,
  vm: VirDomain,
  device: BlockDevice,
  name: string,
  context: ChangeContext,
): Promise<VirDomain> {
  const step = {
    what: `remove disk "${name}" from ${vm.name}`,
    send: (signal: AbortSignal) =>
      access.client.change("DELETE", `VirDomainBlockDevice/${device.uuid}`, undefined, signal),
    done: (seen: VirDomain | undefined) => seen?.blockDevs.every(({ uuid }) => uuid !== device.uuid) ?? false,
  };
  return changeVm(access, vm.uuid, step, context);
}
