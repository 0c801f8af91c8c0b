import { WatcherError } from "../../../lib/errors.ts";
import type { HandOverRequest } from "../../../ports/hypervisor.ts";
import { getIdleVm } from "../access.ts";
import { checkpoint } from "../../boundaries.ts";
import { type DiskNote, ownerText, restoringTag } from "../marks/marks.ts";
import { type OwnershipRecord, readOwnership } from "../marks/ownership.ts";
import { splitTags } from "../marks/ownership-tags.ts";
import type { VirDomain } from "../rest/wire.ts";
import { marksOn, patchVm } from "../vm/converge.ts";
import { isOff, nameDevices, nicNameOf, shortUuid } from "../vm/to-virdomain.ts";
import { type Restoring, sameSlot } from "./restore.ts";

/**
 * Makes a copy from a snapshot the VM of a mark, by one PATCH: name, marks and boot order appear together. Which device
 * has which name is what the VM remembered when the snapshot was taken, carried over by the places of the devices.
 */
export async function handOverCopy(
  run: Restoring,
  copyUuid: string,
  { mark, name }: HandOverRequest,
  knowsLabels: boolean,
): Promise<VirDomain> {
  const { access, snapshot, context } = run;
  checkpoint(context);
  const copy = await getIdleVm(access, copyUuid, context.signal);
  const found = readOwnership(copy).mark;
  if (found !== undefined && ownerText(found) === ownerText(mark) && found.quarantine === undefined) return copy;
  if (!splitTags(copy.tags).includes(restoringTag(snapshot.uuid)) || found !== undefined || !isOff(copy))
    throw new WatcherError(
      "virdomain-changed",
      `cluster ${access.cluster}: VM ${copy.name} (${copy.uuid}) is no longer the copy that was made from the snapshot`,
    );
  const then = memoryOf(run);
  const marks = marksOn({ knowsLabels }, copy, {
    mark,
    vmUuid: copy.uuid,
    manifestTags: then.record.manifestTags,
    peopleTags: then.record.peopleTags,
    disks: carryDisks(then, copy),
    nics: carryNics(then, copy),
  });
  return patchVm({ access, context }, copy, { name, ...marks, bootDevices: carryBootOrder(then.vm, copy) });
}

interface Memory {
  readonly vm: VirDomain;
  readonly record: OwnershipRecord;
}

/** The VM as it was, with what was noted on it; as it is now, where the cluster does not tell the former. */
function memoryOf({ snapshot, source }: Restoring): Memory {
  const then = snapshot.domain;
  // It may be shown under another uuid, or without its labels.
  const record = then && readOwnership({ ...then, uuid: source.uuid });
  if (then === undefined || record?.mark === undefined) return { vm: source, record: readOwnership(source) };
  return { vm: then, record };
}

function carryDisks({ vm, record }: Memory, copy: VirDomain): Map<string, DiskNote> {
  const all = copy.blockDevs.map(({ uuid }) => uuid);
  return new Map(
    nameDevices(vm, record).flatMap(({ device, name, assetId }) => {
      const own = copy.blockDevs.find((other) => sameSlot(device, other));
      return name === undefined || own === undefined
        ? []
        : [[name, { uuidPrefix: shortUuid(own.uuid, all), assetId }] as const];
    }),
  );
}

/** NICs have no place but their order. */
function carryNics({ vm, record }: Memory, copy: VirDomain): Map<string, string> {
  const all = copy.netDevs.map(({ uuid }) => uuid);
  return new Map(
    vm.netDevs.flatMap((device, index) => {
      const name = nicNameOf(device, record);
      const own = copy.netDevs[index];
      return name === undefined || own === undefined ? [] : [[name, shortUuid(own.uuid, all)] as const];
    }),
  );
}

function carryBootOrder(vm: VirDomain, copy: VirDomain): string[] {
  return vm.bootDevices.flatMap((uuid) => {
    const device = vm.blockDevs.find((each) => each.uuid === uuid);
    return (device && copy.blockDevs.find((other) => sameSlot(device, other))?.uuid) ?? [];
  });
}
