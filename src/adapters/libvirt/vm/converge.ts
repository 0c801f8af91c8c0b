import type { DesiredDisk } from "../../../fleet/desired-state.ts";
import { WatcherError } from "../../../lib/errors.ts";
import { checkpoint } from "../../boundaries.ts";
import { sourceOfId } from "../domain/devices.ts";
import type { Domain } from "../domain/domain.ts";
import { writeOwnership } from "../domain/edit.ts";
import type { DiskNote, NicNote, Ownership } from "../domain/ownership.ts";
import { toXml } from "../domain/xml.ts";
import { macOf } from "../domain/uuid.ts";
import { getDomain, listMacs } from "../host.ts";
import type { ReadyAsset } from "../storage/image-library.ts";
import { capacitiesOf, createVolume, copyVolume, listVolumes } from "../storage/volumes.ts";
import { makeSeed } from "../storage/seed.ts";
import { freeVolumeName, vmPrefix } from "../storage/volume-names.ts";
import { volumesInSnapshots } from "../snapshots/snapshots.ts";
import { changeRunning, needsOff } from "./change-running.ts";
import { type Assignment, type Changes, type Convergence, toGrow, wholeSectors } from "./convergence.ts";
import { define, discardVolumes, leftovers, noteOn } from "./definitions.ts";
import { writeDefinition } from "./write-definition.ts";
import { driveNote, finalNotes, inOldOrder, newDisk } from "./notes.ts";
import { type DeviceWork, holdsMedium, planDevices } from "./plan-devices.ts";

/**
 * Does what separates a VM from its desired state, and nothing else. Volumes are noted on the VM before they are made and
 * before they are given up, so that a second run knows what is half done; the one definition at the end makes everything
 * hold. A VM that runs is changed first, where QEMU can.
 */
export async function converge(run: Convergence, start: Domain): Promise<Domain> {
  const { host, desired, context } = run;
  let domain = await settle(run, start);
  const work = await withExistingDisks(run, planDevices(domain, desired, run.adopt));
  if (domain.live !== undefined) refuseRunning(run, domain, work);
  const media = await run.library.prepare(wantedAssets(work), context);
  checkpoint(context);
  const assignments = await assign(run, domain, work, media);
  const nics = await nameNics(run, domain, work);
  const changes = { work, assignments, nics, media };
  domain = await writeIntent(run, domain, changes);
  await makeVolumes(run, domain, assignments);
  if (domain.live !== undefined) await changeRunning(run, domain, changes);
  else await growVolumes(run, work);
  domain = await rename(run, domain);
  const doomed = domain.ownership.disks.filter(({ state }) => state === "removing");
  domain = await finish(run, domain, changes, [...finalNotes(domain, changes, run), ...doomed]);
  if (doomed.length === 0) return domain;
  await discardVolumes(host, domain.uuid, doomed, context);
  const disks = domain.ownership.disks.filter(({ state }) => state !== "removing");
  return noteOn(host, domain, { ...domain.ownership, disks }, context);
}

/** Removes what an earlier attempt left half done. Nothing that was ever whole is among it. */
async function settle({ host, context }: Convergence, domain: Domain): Promise<Domain> {
  const left = leftovers(domain);
  if (left.length === 0) return domain;
  await discardVolumes(host, domain.uuid, left, context);
  const disks = domain.ownership.disks.filter((note) => !left.includes(note));
  return noteOn(host, domain, { ...domain.ownership, disks }, context);
}

/**
 * Of the disks that were detached, those whose volume is still there come back; what is gone is made anew. A disk that
 * was taken over and is none of our volumes can only be attached by whoever knows what it is.
 */
async function withExistingDisks({ host, context }: Convergence, work: DeviceWork): Promise<DeviceWork> {
  const detached = work.disks.add.flatMap((each) => each.detached?.source ?? []);
  if (detached.length === 0) return work;
  const { pool } = host.options;
  const strange = detached.find((id) => !id.startsWith(`${pool}/`));
  if (strange !== undefined)
    throw new WatcherError(
      "cluster-refused",
      `cluster ${host.cluster}: the disk ${strange} was taken off its VM; attach it again, or take it out of the manifest`,
    );
  const found = await capacitiesOf(host, detached.map(sourceOfId), context.signal);
  const add = work.disks.add.map((each) =>
    found.has(each.detached?.source ?? "") ? each : { ...each, detached: undefined },
  );
  return { ...work, disks: { ...work.disks, add } };
}

function refuseRunning({ host, desired }: Convergence, domain: Domain, work: DeviceWork): void {
  const reason = needsOff(domain, desired, work);
  if (reason !== undefined)
    throw new WatcherError(
      "virdomain-running",
      `cluster ${host.cluster}: VM ${domain.name} runs, and has to be off to ${reason}`,
    );
}

function wantedAssets({ disks }: DeviceWork): DesiredDisk[] {
  return [
    ...disks.add.filter(({ detached }) => detached === undefined).map(({ disk }) => disk),
    ...disks.keep
      .filter(({ disk, found }) => disk.type === "ide_cdrom" && !holdsMedium(found, disk))
      .map(({ disk }) => disk),
  ];
}

/** Decides which volume every new disk will be, and the seed of a VM that is being born. */
async function assign(
  run: Convergence,
  domain: Domain,
  { disks }: DeviceWork,
  media: ReadonlyMap<string, ReadyAsset>,
): Promise<Assignment[]> {
  const { host, desired, context } = run;
  const { instance, pool } = host.options;
  const wantsSeed = domain.ownership.mark?.building === true && desired.cloudInit !== undefined;
  if (disks.add.length === 0 && !wantsSeed) return [];
  const prefix = vmPrefix(instance, domain.uuid);
  const taken = new Set(run.present?.volumes ?? (await listVolumes(host, prefix, context.signal)));
  const name = (device: string, extension: "qcow2" | "iso"): string => {
    const volume = freeVolumeName(prefix, device, extension, taken);
    taken.add(volume);
    return `${pool}/${volume}`;
  };
  const added = disks.add.map(({ disk, detached }): Assignment => {
    const asset = media.get(disk.name);
    if (disk.type === "ide_cdrom") return { note: driveNote(disk, "", asset, pool), disk, asset, exists: true };
    const source = detached?.source ?? name(disk.name, "qcow2");
    return { note: newDisk(disk, source), disk, asset, exists: detached !== undefined };
  });
  if (!wantsSeed) return added;
  const seed = {
    name: "seed",
    role: "seed",
    source: name("seed", "iso"),
    target: undefined,
    assetId: undefined,
    state: undefined,
  } as const;
  return [...added, { note: seed, disk: undefined, asset: undefined, exists: false }];
}

/** Every NIC of the manifest with its address, which stays for the VM's life. */
async function nameNics(
  { host, desired, present, context }: Convergence,
  domain: Domain,
  { nics }: DeviceWork,
): Promise<NicNote[]> {
  const kept = new Map(nics.keep.map(({ nic, found }) => [nic.name, found.device.mac]));
  // libvirt lets two NICs have one address, and the network then serves neither well.
  const others = present?.macs ?? (nics.add.length === 0 ? [] : await listMacs(host, context.signal));
  const taken = new Set(others);
  const notes = desired.nics.map(({ name }) => {
    const mac = kept.get(name) ?? macOf(domain.uuid, name, taken);
    taken.add(mac);
    return { name, mac };
  });
  return inOldOrder(notes, domain.ownership.nics);
}

/**
 * Notes what is about to be made and given up; what a snapshot contains is kept for it. A running VM's new NICs are noted,
 * too: plugged in and not known, one would be plugged in twice.
 */
async function writeIntent(run: Convergence, domain: Domain, { work, assignments, nics }: Changes): Promise<Domain> {
  const { host, context, mark } = run;
  const { disks } = work;
  const made = assignments.filter(({ exists }) => !exists).map(({ note }) => ({ ...note, state: "making" as const }));
  const given = new Set(
    disks.remove.flatMap(({ note }) => (note === undefined || note.role === "drive" ? [] : [note])),
  );
  const plugsNics = domain.live !== undefined && work.nics.add.length > 0;
  if (made.length === 0 && given.size === 0 && !plugsNics) return domain;
  const held = given.size === 0 ? new Set<string>() : await volumesInSnapshots(host, domain.uuid, context.signal);
  const noted = domain.ownership.disks.map((note): DiskNote => {
    if (!given.has(note)) return note;
    return { ...note, state: note.source !== undefined && held.has(note.source) ? "kept" : "removing" };
  });
  const current = domain.ownership.mark ?? { ...mark, revision: undefined };
  const allNics = inOldOrder(
    [...domain.ownership.nics.filter(({ name }) => nics.every((nic) => nic.name !== name)), ...nics],
    domain.ownership.nics,
  );
  const ownership = {
    ...domain.ownership,
    mark: current,
    disks: [...noted, ...made],
    nics: plugsNics ? allNics : domain.ownership.nics,
  };
  if (!current.building) return noteOn(host, domain, ownership, context);
  // Defined once more before anything uses it: what libvirt made of it need not be read.
  writeOwnership(domain.config, ownership);
  await define(host, domain.config, domain.name, context);
  return { ...domain, ownership };
}

async function makeVolumes(run: Convergence, domain: Domain, assignments: readonly Assignment[]): Promise<void> {
  for (const assignment of assignments.filter(({ exists }) => !exists)) {
    checkpoint(run.context);
    const { disk } = assignment;
    if (disk === undefined) await makeSeedVolume(run, domain, assignment);
    else await makeDisk(run, disk, assignment);
  }
}

async function makeSeedVolume(
  { host, desired, context }: Convergence,
  domain: Domain,
  { note }: Assignment,
): Promise<void> {
  const { cloudInit, name } = desired;
  if (cloudInit === undefined) return;
  await makeSeed(host, { volume: volumeName(note), cloudInit, uuid: domain.uuid, name }, context);
}

async function makeDisk(
  { host, pool, context }: Convergence,
  disk: DesiredDisk,
  { note, asset }: Assignment,
): Promise<void> {
  const name = volumeName(note);
  const wantedBytes = wholeSectors(disk.capacityBytes ?? asset?.capacityBytes ?? 0);
  if (asset === undefined) return createVolume(host, { name, format: "qcow2", capacityBytes: wantedBytes }, context);
  const bytes = Math.max(wantedBytes, asset.capacityBytes);
  if (host.options.disks === "overlay") {
    const backing = { path: `${pool.path}/${asset.volume}`, format: asset.format };
    return createVolume(host, { name, format: "qcow2", capacityBytes: bytes, backing }, context);
  }
  context.progress(`copying ${disk.asset?.name ?? name}`);
  await copyVolume(host, asset, { name, format: "qcow2", capacityBytes: bytes }, context);
}

function volumeName({ source }: DiskNote): string {
  return source?.slice(source.indexOf("/") + 1) ?? "";
}

/** Disks of a VM that is off. */
async function growVolumes({ host, context }: Convergence, work: DeviceWork): Promise<void> {
  for (const { disk, found } of await toGrow(host, work, context.signal)) {
    const { source } = found.device;
    if (source === undefined || disk.capacityBytes === undefined) continue;
    const args = "volume" in source ? [source.volume, "--pool", source.pool] : [source.file];
    context.beforeChange();
    const what = `enlarge disk "${disk.name}"`;
    await host.virsh.run(["vol-resize", ...args, "--capacity", `${wholeSectors(disk.capacityBytes)}B`], {
      what,
      signal: context.signal,
    });
  }
}

/** libvirt renames what is off, and keeps its snapshots; a definition of the same UUID under another name is refused. */
async function rename({ host, desired, context }: Convergence, domain: Domain): Promise<Domain> {
  if (domain.name === desired.name) return domain;
  context.beforeChange();
  const what = `rename VM ${domain.name} to ${desired.name}`;
  await host.virsh.run(["domrename", domain.uuid, desired.name], { what, signal: context.signal });
  return getDomain(host, domain.uuid, context.signal);
}

async function finish(run: Convergence, domain: Domain, changes: Changes, disks: readonly DiskNote[]): Promise<Domain> {
  const { host, desired, mark, context } = run;
  const before = toXml(domain.config);
  const ownership: Ownership = { mark, clone: false, os: desired.os, tags: desired.tags, disks, nics: changes.nics };
  writeDefinition(domain.config, run, changes, ownership);
  if (toXml(domain.config) === before) return domain;
  await define(host, domain.config, desired.name, context);
  return getDomain(host, domain.uuid, context.signal);
}
