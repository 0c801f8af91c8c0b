import type { DesiredDisk, DesiredVirdomain } from "../../../fleet/desired-state.ts";
import type { OwnershipMark } from "../../../plan/live-state.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import type { ClusterAccess } from "../access.ts";
import { type Medium, addDisk, changeDiskType, changeMedium, growDisk, needsOff, removeDisk } from "./disk-steps.ts";
import { type DiskWork, isOfType, noteDevice, placeDisks, planDisks } from "./disks.ts";
import type { ImageLibrary } from "../images/image-library.ts";
import { addNic, changeNic, isLike, noteNics, planNics, removeNic } from "./nics.ts";
import type { DiskNote, SlotPlace } from "../marks/marks.ts";
import { type OwnershipContent, type OwnershipMembers, readOwnership, toMembers } from "../marks/ownership.ts";
import { type Labels, sameLabels } from "../marks/ownership-labels.ts";
import { splitTags } from "../marks/ownership-tags.ts";
import { changeVm } from "./perform.ts";
import { isOff } from "./to-virdomain.ts";
import type { VirDomain } from "../rest/wire.ts";

/** One VM on its way to its desired state. */
export interface Convergence {
  readonly access: ClusterAccess;
  readonly library: ImageLibrary;
  readonly desired: DesiredVirdomain;
  /** The mark to leave on the VM at the end. */
  readonly mark: OwnershipMark;
  /** Unnamed devices are taken over by position. */
  readonly adopt: boolean;
  /** The cluster keeps labels, which then hold our marks. */
  readonly knowsLabels: boolean;
  readonly context: ChangeContext;
}

/**
 * Does what separates a VM from its desired state, and nothing else: media first, then disks, NICs, and last one PATCH
 * for everything on the VM itself, boot order and marks included. Cut off anywhere, a second run goes on from there:
 * a new disk's slot is written on the VM before the disk exists, and everything else is recognised by looking.
 */
export async function converge(run: Convergence, start: VirDomain): Promise<VirDomain> {
  const work = planDisks(start, readOwnership(start), run.desired, run.adopt);
  const media = await prepareMedia(run, [...work.add, ...work.changeMedium.map(({ disk }) => disk)]);
  const vm = await convergeNics(run, await convergeDisks(run, start, work, media));
  return finish(run, vm);
}

/**
 * Uploads, side by side, before anything on the VM changes: a missing image must not leave it half done. Answers when all
 * have ended, so that nothing goes on behind the back of a failed operation.
 */
export async function prepareMedia(
  run: Pick<Convergence, "library" | "context">,
  disks: readonly DesiredDisk[],
): Promise<Map<string, Medium>> {
  const ends = await Promise.allSettled(
    disks.map(async (disk) => [disk.name, await prepareMedium(run, disk)] as const),
  );
  const failed = ends.find((end) => end.status === "rejected");
  if (failed !== undefined) throw failed.reason;
  return new Map(ends.flatMap((end) => (end.status === "fulfilled" ? [end.value] : [])));
}

async function prepareMedium(
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
  for (const { device, name } of work.remove) vm = await removeDisk(access, vm, device, name, context);
  for (const { disk, device } of work.keep.filter(({ disk: wanted, device: found }) => !isOfType(found, wanted))) {
    requireOff(vm, `change the bus of "${disk.name}"`);
    vm = await changeDiskType(access, vm, device, disk, context);
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
  const places = placeDisks(start, work.add, readOwnership(start).disks);
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
  const record = readOwnership(vm);
  // Notes of removed disks go: their slots may be taken by the new ones.
  const disks = new Map<string, DiskNote>();
  for (const { disk, device } of work.keep)
    disks.set(disk.name, record.disks.get(disk.name) ?? noteDevice(vm, device, disk));
  for (const disk of work.add) {
    const place = places.get(disk.name);
    if (place !== undefined) disks.set(disk.name, { ...place, assetId: disk.asset?.id });
  }
  const mark = record.mark ?? { ...run.mark, revision: undefined, building: false };
  const content = { ...record, mark, vmUuid: mark.building ? undefined : vm.uuid, disks };
  return patchVm(run, vm, marksOn(run, vm, content));
}

async function convergeNics(run: Convergence, start: VirDomain): Promise<VirDomain> {
  const { access, context, desired, adopt } = run;
  const work = planNics(start, readOwnership(start), desired.nics, adopt);
  let vm = start;
  for (const { device, name } of work.remove) {
    requireOff(vm, `remove NIC "${name}"`);
    vm = await removeNic(access, vm, device, name, context);
  }
  for (const { nic, device } of work.keep.filter((kept) => !isLike(kept.device, kept.nic))) {
    requireOff(vm, `change NIC "${nic.name}"`);
    vm = await changeNic(access, vm, device, nic, context);
  }
  for (const nic of work.add) {
    requireOff(vm, `add NIC "${nic.name}"`);
    vm = await addNic(access, vm, nic, context);
  }
  return vm;
}

function requireOff(vm: VirDomain, what: string): void {
  if (!isOff(vm)) throw needsOff(vm, what);
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
  /** Name -> base64; replaces the whole map. */
  readonly labels?: Labels;
}

async function finish(run: Convergence, vm: VirDomain): Promise<VirDomain> {
  const patch = differences(run, vm);
  if (patch.mem !== undefined || patch.numVCPU !== undefined || patch.bootDevices !== undefined)
    requireOff(vm, "change memory, CPUs or boot order");
  return patchVm(run, vm, patch);
}

export async function patchVm(
  run: Pick<Convergence, "access" | "context">,
  vm: VirDomain,
  patch: VirDomainPatch,
): Promise<VirDomain> {
  const done = (seen: VirDomain | undefined): boolean => seen !== undefined && shows(seen, patch);
  if (done(vm)) return vm;
  const send = (signal: AbortSignal) =>
    run.access.client.change("PATCH", `VirDomain/${vm.uuid}`, toBody(patch), signal);
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
    (patch.tags === undefined || sameList(splitTags(vm.tags), splitTags(patch.tags))) &&
    (patch.labels === undefined || sameLabels(vm.labels ?? new Map(), patch.labels))
  );
}

function toBody({ labels, ...patch }: VirDomainPatch): object {
  if (labels === undefined) return patch;
  return { ...patch, labels: Object.fromEntries([...labels].map(([name, value]) => [name, { value }])) };
}

function sameList(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item, index) => item === b[index]);
}

function differences(run: Convergence, vm: VirDomain): VirDomainPatch {
  const { desired } = run;
  const os = operatingSystemOf(desired.os);
  const bootDevices = bootOrder(run, vm);
  return {
    ...(vm.name === desired.name ? {} : { name: desired.name }),
    ...(vm.description.trimEnd() === desired.description.trimEnd() ? {} : { description: desired.description }),
    ...(desired.os === undefined || isWindowsValue(vm.operatingSystem) === isWindowsValue(os)
      ? {}
      : { operatingSystem: os }),
    ...(vm.memBytes === desired.memoryBytes ? {} : { mem: desired.memoryBytes }),
    ...(vm.numVCPU === desired.cpu ? {} : { numVCPU: desired.cpu }),
    ...(sameList(vm.bootDevices, bootDevices) ? {} : { bootDevices }),
    ...finalMarks(run, vm),
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
  const work = planDisks(vm, readOwnership(vm), run.desired, run.adopt);
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

function finalMarks(run: Convergence, vm: VirDomain): Partial<OwnershipMembers> {
  const { desired, adopt } = run;
  const record = readOwnership(vm);
  const disks = planDisks(vm, record, desired, adopt);
  // Whoever tagged a VM before it became ours keeps these tags.
  const strangers = record.place === "nowhere" ? record.manifestTags : [];
  return marksOn(run, vm, {
    mark: { ...run.mark, building: false },
    vmUuid: vm.uuid,
    manifestTags: desired.tags,
    peopleTags: [...record.peopleTags, ...strangers],
    disks: new Map(disks.keep.map(({ disk, device }) => [disk.name, noteDevice(vm, device, disk)])),
    nics: noteNics(vm, planNics(vm, record, desired.nics, adopt)),
  });
}

/** The members that have to change for the VM to carry this; none when it does. */
export function marksOn(
  run: Pick<Convergence, "knowsLabels">,
  vm: VirDomain,
  content: OwnershipContent,
): Partial<OwnershipMembers> {
  const { tags, labels } = toMembers(vm, content, run.knowsLabels);
  return {
    ...(sameList(splitTags(vm.tags), splitTags(tags)) ? {} : { tags }),
    ...(labels === undefined || sameLabels(vm.labels ?? new Map(), labels) ? {} : { labels }),
  };
}
