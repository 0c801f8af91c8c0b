import { WatcherError } from "../../../lib/errors.ts";
import type { DesiredVirdomain } from "../../../fleet/desired-state.ts";
import type { OwnershipMark } from "../../../plan/live-state.ts";
import { type ClusterAccess, findVm, getIdleVm, listVms, taskFailed, vanished } from "../access.ts";
import { checkpoint } from "../../boundaries.ts";
import { type Convergence, converge, operatingSystemOf, prepareMedia } from "./converge.ts";
import { deleteVm } from "./delete.ts";
import type { Medium } from "./disk-steps.ts";
import { placeNewDisks } from "./disks.ts";
import { nicBody } from "./nics.ts";
import { ownerText } from "../marks/marks.ts";
import { isOwnedBy, marksInTags, readOwnership } from "../marks/ownership.ts";
import { pause, poll } from "../../pause.ts";
import { resume } from "./resume.ts";
import { isActive } from "../rest/task-tag.ts";
import { toMachineType } from "./to-virdomain.ts";
import type { ChangeReply, VirDomain } from "../rest/wire.ts";

/** How often a create whose answer was lost is looked for before it counts as not having happened. */
const looksAfterLoss = 2;

/**
 * Brings a VM into being, or goes on where an earlier attempt stopped. A VM under construction carries `kg-building`
 * and the slots of its disks from birth; one PATCH at the very end gives it its boot order and takes that tag off.
 */
export async function createVm(run: Convergence): Promise<VirDomain> {
  const { access, context } = run;
  let vm = await findOurs(run);
  if (vm !== undefined && readOwnership(vm).mark?.building === false) return vm;
  if (vm !== undefined) vm = await resume(access, vm.uuid, context);
  if (vm !== undefined && bornDifferently(vm, run)) {
    await deleteVm(access, vm.uuid, readOwnership(vm).mark ?? run.mark, context);
    vm = undefined;
  }
  return converge(run, vm ?? (await bringForth(run)));
}

/** What a VM is born with cannot be changed later; one that never started is made anew without loss. */
function bornDifferently(vm: VirDomain, { mark, desired }: Convergence): boolean {
  const born = readOwnership(vm).mark?.cloudInitHash;
  return born !== mark.cloudInitHash?.slice(0, 12) || toMachineType(vm) !== desired.machineType;
}

/** The VM with our mark, or one under construction with a mark it had before. Names say nothing: they are not unique. */
async function findOurs({ access, mark, desired, context }: Convergence): Promise<VirDomain | undefined> {
  const all = await listVms(access, context.signal);
  const former = desired.formerIdentities.map((identity) => ownerText({ ...mark, identity }));
  return (
    findOwned(access, all, ownerText(mark)) ??
    former.map((owner) => findOwned(access, all.filter(isBegun), owner)).find((vm) => vm !== undefined)
  );
}

function isBegun(vm: VirDomain): boolean {
  return readOwnership(vm).mark?.building === true;
}

function findOwned(access: ClusterAccess, all: readonly VirDomain[], owner: string): VirDomain | undefined {
  const ours = all.filter((vm) => isOwnedBy(vm, owner) && readOwnership(vm).mark?.quarantine === undefined);
  if (ours.length < 2) return ours[0];
  const uuids = ours.map(({ uuid }) => uuid).join(", ");
  throw new WatcherError(
    "virdomain-conflict",
    `cluster ${access.cluster}: several VMs carry the mark ${owner} (${uuids}); remove the ones that are not meant`,
  );
}

async function bringForth(run: Convergence): Promise<VirDomain> {
  // Images too, although only their sizes are needed later: a missing one must not leave half a VM behind.
  const drives = await prepareMedia(run, run.desired.disks);
  const body = createBody(run.desired, run.mark, drives);
  const sent = await sendCreate(run, body);
  return "found" in sent ? getIdleVm(run.access, sent.found.uuid, run.context.signal) : awaitCreated(run, sent.reply);
}

type Sent = { readonly reply: ChangeReply } | { readonly found: VirDomain };

/**
 * Two requests would make two VMs, so a lost answer is followed by looking, twice and apart, before asking again once.
 * A refusal for the moment (500) may be repeated more often, after a look as well.
 */
async function sendCreate(run: Convergence, body: unknown): Promise<Sent> {
  const { access, context } = run;
  const end = Date.now() + access.timeouts.busyMs;
  let lost = 0;
  for (;;) {
    checkpoint(context);
    context.beforeChange();
    try {
      return { reply: await access.client.change("POST", "VirDomain", body, context.signal) };
    } catch (error) {
      const code = error instanceof WatcherError ? error.code : undefined;
      if (code !== "cluster-outcome-unknown" && code !== "cluster-busy") throw error;
      lost += code === "cluster-outcome-unknown" ? 1 : 0;
      const found = await lookAgain(run, code === "cluster-busy" ? 1 : looksAfterLoss);
      if (found !== undefined) return { found };
      if (lost === 2 || Date.now() >= end) throw error;
    }
  }
}

async function lookAgain(run: Convergence, times: number): Promise<VirDomain | undefined> {
  for (let look = 0; look < times; look++) {
    await pause(run.access.timeouts.settleMs, run.context.signal);
    const found = await findOurs(run);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function awaitCreated(run: Convergence, reply: ChangeReply): Promise<VirDomain> {
  const { access, context, desired } = run;
  const outcome = await access.tasks.wait(reply.taskTag, context.signal);
  const created = await poll(outcome.kind === "complete" ? access.timeouts.verifyMs : 0, context.signal, async () =>
    reply.createdUUID === "" ? findOurs(run) : findVm(access, reply.createdUUID, context.signal),
  );
  if (created !== undefined)
    return isActive(created.latestTask) ? getIdleVm(access, created.uuid, context.signal) : created;
  if (outcome.kind !== "complete")
    throw await taskFailed(
      access,
      { what: `create VM ${desired.name}`, needsRoom: true },
      outcome.message,
      context.signal,
    );
  return vanished(access, reply.createdUUID);
}

/** Body of POST VirDomain (HyperCore REST v1 OpenAPI); members it does not know are refused, so nothing is left to chance. */
export function createBody(desired: DesiredVirdomain, mark: OwnershipMark, drives: ReadonlyMap<string, Medium>) {
  const windows = operatingSystemOf(desired.os) !== "os_other";
  const platformDrives = (desired.cloudInit === undefined ? 0 : 1) + (windows ? 1 : 0);
  const places = placeNewDisks(desired, platformDrives);
  const cdroms = desired.disks.filter((disk) => disk.type === "ide_cdrom");
  return {
    dom: {
      name: desired.name,
      description: desired.description,
      operatingSystem: operatingSystemOf(desired.os),
      mem: desired.memoryBytes,
      numVCPU: desired.cpu,
      tags: marksInTags({
        mark: { ...mark, building: true, revision: undefined },
        vmUuid: undefined,
        manifestTags: desired.tags,
        peopleTags: [],
        disks: new Map(
          desired.disks.map((disk) => [disk.name, { ...noSlot, ...places.get(disk.name), assetId: disk.asset?.id }]),
        ),
        nics: new Map(),
      }),
      blockDevs: [
        ...firmwareDevices(desired),
        ...cdroms.map((disk) => ({
          type: "IDE_CDROM",
          capacity: 0,
          slot: places.get(disk.name)?.slot ?? -1,
          ...isoPath(drives.get(disk.name)),
        })),
      ],
      netDevs: desired.nics.map(nicBody),
      bootDevices: [],
      ...cloudInitData(desired),
    },
    options: { attachGuestToolsISO: windows, machineTypeKeyword: desired.machineType },
  };
}

const noSlot = { bus: "virtio", slot: 0 } as const;

/** The cluster does not add these by itself, and a VM without them does not boot. 1024 bytes is a VTPM size seen to work. */
function firmwareDevices(desired: DesiredVirdomain): { readonly type: string; readonly capacity: number }[] {
  const nvram = { type: "NVRAM", capacity: 0 };
  if (desired.machineType === "bios") return [];
  return desired.machineType === "uefi" ? [nvram] : [nvram, { type: "VTPM", capacity: 1024 }];
}

function isoPath(medium: Medium): { readonly path?: string } {
  return medium !== undefined && "iso" in medium ? { path: medium.iso.path } : {};
}

function cloudInitData({ cloudInit }: DesiredVirdomain) {
  if (cloudInit === undefined || (cloudInit.userData === "" && cloudInit.metaData === "")) return {};
  return { cloudInitData: { userData: base64(cloudInit.userData), metaData: base64(cloudInit.metaData) } };
}

function base64(text: string): string {
  return Buffer.from(text, "utf8").toString("base64");
}
