import { WatcherError } from "../../lib/errors.ts";
import type { DesiredDisk, DesiredVirdomain } from "../../fleet/desired-state.ts";
import type { OwnershipMark } from "../../plan/live-state.ts";
import type { ChangeContext } from "../../ports/hypervisor.ts";
import type { ClusterAccess } from "./access.ts";
import { type Medium, addDisk, changeMedium, growDisk, removeDisk } from "./disk-steps.ts";
import { type DiskWork, noteDevice, placeDisks, planDisks } from "./disks.ts";
import type { ImageLibrary } from "./image-library.ts";
import { addNic, changeNic, isLike, noteNics, planNics, removeNic } from "./nics.ts";
import { type DiskNote, type SlotPlace, formatMark, parseMark, splitTags } from "./ownership-tags.ts";
import { changeVm } from "./perform.ts";
import { isOff } from "./to-virdomain.ts";
import type { VirDomain } from "./wire.ts";

/** One VM on its way to its desired state. */
export interface Convergence {
  readonly access: ClusterAccess;
  readonly library: ImageLibrary;
  readonly desired: DesiredVirdomain;
  /** The mark to leave on the VM at the end. */
  readonly mark: OwnershipMark;
  /** Unnamed devices are taken over by position. */
  readonly adopt: boolean;
  readonly context: ChangeContext;
}

/**
 * Does what separates a VM from its desired state, and nothing else: media first, then disks, NICs, and last one PATCH
 * for everything on the VM itself, boot order and marks included. Cut off anywhere, a second run goes on from there:
 * a new disk's slot is written on the VM before the disk exists, and everything else is recognised by looking.
 */
export async function converge(run: Convergence, start: VirDomain): Promise<VirDomain> {
  const work = planDisks(start, parseMark(start.tags, start.uuid), run.desired, run.adopt);
  const media = await prepareMedia(run, [...work.add, ...work.changeMedium.map(({ disk }) => disk)]);
  const vm = await convergeNics(run, await convergeDisks(run, start, work, media));
  return finish(run, vm);
}

/** Uploads before anything on the VM changes: a missing image must not leave it half done. */
async function prepareMedia(run: Convergence, disks: readonly DesiredDisk[]): Promise<Map<string, Medium>> {
  const media = new Map<string, Medium>();
  for (const disk of disks) media.set(disk.name, await prepareMedium(run, disk));
  return media;
}

export async function prepareMedium(
  { library, context }: Pick<Convergence, "library" | "context">,
  disk: DesiredDisk,
): Promise<Medium> {
  if (disk.asset === undefined) return undefined;
  return disk.type === "ide_cdrom"
    ? { iso: await library.iso(disk.asset, context) }
    : { image: await library.image(disk.asset, context) };
}

async function convergeDisks(
  run: Convergence,
  start: VirDomain,
  work: DiskWork,
  media: ReadonlyMap<string, Medium>,
): Promise<VirDomain> {
  const { access, context } = run;
  let vm = start;
  for (const { device, name } of work.remove) {
    requireOff(vm, device.type === "VIRTIO_DISK" || device.type === "SCSI_DISK" ? undefined : `removing "${name}"`);
    vm = await removeDisk(access, vm, device, name, context);
  }
  if (work.add.length > 0) vm = await addDisks(run, vm, work, media);
  for (const { disk, device } of work.keep) {
    if (disk.type === "ide_cdrom" || disk.capacityBytes === undefined || device.capacityBytes >= disk.capacityBytes)
      continue;
    vm = await growDisk(access, vm, device, disk, disk.capacityBytes, context);
  }
  for (const { disk, device } of work.changeMedium) {
    vm = await changeMedium(access, vm, device, disk, media.get(disk.name), context);
  }
  return vm;
}

async function addDisks(
  run: Convergence,
  start: VirDomain,
  work: DiskWork,
  media: ReadonlyMap<string, Medium>,
): Promise<VirDomain> {
  const places = placeDisks(start, work.add, parseMark(start.tags, start.uuid).disks);
  let vm = await writeIntent(run, start, work, places);
  for (const disk of work.add) {
    const place = places.get(disk.name);
    if (place !== undefined) vm = await addDisk(run.access, vm, disk, place, media.get(disk.name), run.context);
  }
  return vm;
}

/** Notes the slots of disks that do not exist yet; a VM made by us carries them from birth, so this then costs nothing. */
async function writeIntent(
  run: Convergence,
  vm: VirDomain,
  work: DiskWork,
  places: ReadonlyMap<string, SlotPlace>,
): Promise<VirDomain> {
  const record = parseMark(vm.tags, vm.uuid);
  // Notes of removed disks go: their slots may be taken by the new ones.
  const disks = new Map<string, DiskNote>();
  for (const { disk, device } of work.keep)
    disks.set(disk.name, record.disks.get(disk.name) ?? noteDevice(vm, device, disk));
  for (const disk of work.add) {
    const place = places.get(disk.name);
    if (place !== undefined) disks.set(disk.name, { ...place, assetId: disk.asset?.id });
  }
  const mark = record.mark ?? { ...run.mark, revision: undefined, building: false };
  const tags = formatMark({ ...record, mark, vmUuid: mark.building ? undefined : vm.uuid, disks });
  return patchVm(run, vm, { tags });
}

async function convergeNics(run: Convergence, start: VirDomain): Promise<VirDomain> {
  const { access, context, desired, adopt } = run;
  const work = planNics(start, parseMark(start.tags, start.uuid), desired.nics, adopt);
  let vm = start;
  for (const { device, name } of work.remove) {
    requireOff(vm, `removing NIC "${name}"`);
    vm = await removeNic(access, vm, device, name, context);
  }
  for (const { nic, device } of work.keep.filter((kept) => !isLike(kept.device, kept.nic))) {
    requireOff(vm, `changing NIC "${nic.name}"`);
    vm = await changeNic(access, vm, device, nic, context);
  }
  for (const nic of work.add) {
    requireOff(vm, `adding NIC "${nic.name}"`);
    vm = await addNic(access, vm, nic, context);
  }
  return vm;
}

/** HyperCore refuses these while a VM runs; somebody may have started it since it was switched off for us. */
function requireOff(vm: VirDomain, what: string | undefined): void {
  if (what === undefined || isOff(vm)) return;
  throw new WatcherError("virdomain-changed", `VM ${vm.name} was started meanwhile, and ${what} needs it off`);
}

/** Members of PATCH VirDomain this driver writes. */
interface VirDomainPatch {
  readonly name?: string;
  readonly description?: string;
  readonly operatingSystem?: string;
  readonly mem?: number;
  readonly numVCPU?: number;
  readonly bootDevices?: readonly string[];
  readonly tags?: string;
}

async function finish(run: Convergence, vm: VirDomain): Promise<VirDomain> {
  const patch = differences(run, vm);
  if (patch.mem !== undefined || patch.numVCPU !== undefined || patch.bootDevices !== undefined)
    requireOff(vm, "changing memory, CPUs or boot order");
  return patchVm(run, vm, patch);
}

async function patchVm(run: Convergence, vm: VirDomain, patch: VirDomainPatch): Promise<VirDomain> {
  const done = (seen: VirDomain | undefined): boolean => seen !== undefined && shows(seen, patch);
  if (done(vm)) return vm;
  const send = (signal: AbortSignal) => run.access.client.change("PATCH", `VirDomain/${vm.uuid}`, patch, signal);
  return changeVm(run.access, vm.uuid, { what: `change VM ${vm.name}`, send, done }, run.context);
}

function shows(vm: VirDomain, patch: VirDomainPatch): boolean {
  return (
    (patch.name === undefined || vm.name === patch.name) &&
    (patch.description === undefined || vm.description.trimEnd() === patch.description.trimEnd()) &&
    (patch.operatingSystem === undefined || vm.operatingSystem === patch.operatingSystem) &&
    (patch.mem === undefined || vm.memBytes === patch.mem) &&
    (patch.numVCPU === undefined || vm.numVCPU === patch.numVCPU) &&
    (patch.bootDevices === undefined || sameList(vm.bootDevices, patch.bootDevices)) &&
    (patch.tags === undefined || sameList(splitTags(vm.tags), splitTags(patch.tags)))
  );
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

function differences(run: Convergence, vm: VirDomain): VirDomainPatch {
  const { desired } = run;
  const os = operatingSystemOf(desired.os);
  const bootDevices = bootOrder(run, vm);
  const tags = finalTags(run, vm);
  return {
    ...(vm.name === desired.name ? {} : { name: desired.name }),
    ...(vm.description.trimEnd() === desired.description.trimEnd() ? {} : { description: desired.description }),
    ...(desired.os === undefined || isWindowsValue(vm.operatingSystem) === isWindowsValue(os)
      ? {}
      : { operatingSystem: os }),
    ...(vm.memBytes === desired.memoryBytes ? {} : { mem: desired.memoryBytes }),
    ...(vm.numVCPU === desired.cpu ? {} : { numVCPU: desired.cpu }),
    ...(sameList(vm.bootDevices, bootDevices) ? {} : { bootDevices }),
    ...(sameList(splitTags(vm.tags), splitTags(tags)) ? {} : { tags }),
  };
}

/** HyperCore tells Windows from the rest; guests of the rest are one to it. */
export function operatingSystemOf(os: string | undefined): string {
  return os?.toLowerCase().startsWith("windows") === true ? "os_windows_server_2012" : "os_other";
}

function isWindowsValue(operatingSystem: string): boolean {
  return operatingSystem.startsWith("os_windows");
}

/** Ours in the manifest's order; devices of people that could be booted from stay behind them. */
function bootOrder(run: Convergence, vm: VirDomain): string[] {
  const work = planDisks(vm, parseMark(vm.tags, vm.uuid), run.desired, run.adopt);
  const ours = work.keep
    .filter(({ disk }) => disk.boot !== undefined)
    .sort((a, b) => (a.disk.boot ?? 0) - (b.disk.boot ?? 0))
    .map(({ device }) => device.uuid);
  const known = new Set(work.keep.map(({ device }) => device.uuid));
  const others = vm.bootDevices.filter(
    (uuid) => !known.has(uuid) && vm.blockDevs.some((device) => device.uuid === uuid),
  );
  const current = vm.bootDevices.filter((uuid) => known.has(uuid));
  // Where people's devices stand among ours is their business.
  return sameList(current, ours) ? [...vm.bootDevices] : [...ours, ...others];
}

function finalTags(run: Convergence, vm: VirDomain): string {
  const { desired, adopt } = run;
  const record = parseMark(vm.tags, vm.uuid);
  const disks = planDisks(vm, record, desired, adopt);
  return formatMark({
    mark: { ...run.mark, building: false },
    vmUuid: vm.uuid,
    manifestTags: desired.tags,
    peopleTags: record.peopleTags,
    disks: new Map(disks.keep.map(({ disk, device }) => [disk.name, noteDevice(vm, device, disk)])),
    nics: noteNics(vm, planNics(vm, record, desired.nics, adopt)),
  });
}
