import { WatcherError } from "../../../lib/errors.ts";
import type { DesiredVirdomain } from "../../../fleet/desired-state.ts";
import { poll } from "../../pause.ts";
import { chipsetOf, cpusOf, diskTypeOf, disksOf, memoryBytesOf, nicsOf, type NicDevice } from "../domain/devices.ts";
import type { Domain, NamedDisk } from "../domain/domain.ts";
import { busOf, diskXml, freePlace, nicXml, rewriteNic, targetsOf } from "../domain/edit.ts";
import { isWindows } from "../domain/skeleton.ts";
import { parseXml, toXml, type XmlElement } from "../domain/xml.ts";
import { findDomain, withFile } from "../host.ts";
import { isTrouble } from "../virsh/virsh-errors.ts";
import { type Changes, type Convergence, toGrow, wholeSectors } from "./convergence.ts";
import { type DeviceWork, holdsMedium, isLike } from "./plan-devices.ts";
import { contentOf, setMedium } from "./write-definition.ts";

/** What a running VM would have to be off for, in words; undefined when QEMU can do it all. */
export function needsOff(domain: Domain, desired: DesiredVirdomain, { disks, nics }: DeviceWork): string | undefined {
  const { live } = domain;
  if (live === undefined) return undefined;
  const { current, most } = cpusOf(live);
  if (domain.name !== desired.name) return "be renamed";
  if (desired.cpu < current || desired.cpu > most) return `have ${desired.cpu} CPUs`;
  if (memoryBytesOf(live) !== desired.memoryBytes) return "have another amount of memory";
  if (isWindows(domain.ownership.os) !== isWindows(desired.os)) return "change its operating system";
  const drive = disks.add.find(({ disk }) => disk.type === "ide_cdrom");
  if (drive !== undefined) return `get the CD-ROM drive "${drive.disk.name}"`;
  const gone = disks.remove.find(({ device }) => device.device === "cdrom" || !canUnplug(device.bus));
  if (gone !== undefined) return `lose the drive "${gone.note?.name}"`;
  const plugged = disks.add.find(({ disk }) => !canUnplug(busOf(disk.type, chipsetOf(live))));
  if (plugged !== undefined) return `get the disk "${plugged.disk.name}"`;
  const legacy = nics.add.find(({ type }) => type !== "virtio");
  if (legacy !== undefined) return `get the NIC "${legacy.name}"`;
  const moved = disks.keep.find(({ disk, found }) => diskTypeOf(found.device) !== disk.type);
  if (moved !== undefined) return `change the bus of "${moved.disk.name}"`;
  const remodelled = nics.keep.find(({ nic, found }) => found.device.type !== nic.type);
  return remodelled === undefined ? undefined : `change the type of NIC "${remodelled.nic.name}"`;
}

/** "This bus does not support hotplugging" is what SATA and IDE say. */
function canUnplug(bus: string): boolean {
  return bus === "virtio" || bus === "scsi";
}

/**
 * Changes the running VM; the definition follows afterwards. Every step looks at what is there, so a run that was cut off
 * is simply repeated.
 */
export async function changeRunning(run: Convergence, domain: Domain, changes: Changes): Promise<void> {
  const { host, context, desired } = run;
  const { disks, nics } = changes.work;
  for (const { device } of nics.remove) await unplugNic(run, domain, device);
  for (const disk of disks.remove) await unplugDisk(run, domain, disk);
  await plugDisks(run, domain, changes);
  for (const nic of nics.add) {
    const mac = changes.nics.find(({ name }) => name === nic.name)?.mac ?? "";
    await alter(run, domain, "attach-device", nicXml(nic, mac), `plug in NIC "${nic.name}"`);
  }
  for (const { nic, found } of nics.keep.filter(({ nic: wanted, found: present }) => !isLike(present, wanted))) {
    const element = copyOf(found.device.element);
    rewriteNic(element, nic, found.device.mac);
    await alter(run, domain, "update-device", toXml(element), `move NIC "${nic.name}" to its network`);
  }
  for (const { disk, found } of disks.keep) {
    if (disk.type !== "ide_cdrom" || holdsMedium(found, disk)) continue;
    const element = copyOf(found.device.element);
    const asset = changes.media.get(disk.name);
    setMedium(element, asset && `${host.options.pool}/${asset.volume}`);
    await alter(run, domain, "update-device", toXml(element), `change the medium of "${disk.name}"`);
  }
  for (const { disk, found } of await toGrow(host, changes.work, context.signal)) {
    const size = `${wholeSectors(disk.capacityBytes ?? 0)}B`;
    await command(run, ["blockresize", domain.uuid, found.device.target, size], `enlarge disk "${disk.name}"`);
  }
  const { current } = cpusOf(domain.live ?? domain.config);
  if (desired.cpu > current)
    await command(run, ["setvcpus", domain.uuid, String(desired.cpu), "--live"], `give VM ${domain.name} more CPUs`);
}

async function plugDisks(run: Convergence, domain: Domain, changes: Changes): Promise<void> {
  const definitions = [domain.config, ...(domain.live === undefined ? [] : [domain.live])];
  const taken = new Set(definitions.flatMap((definition) => [...targetsOf(definition)]));
  for (const { disk, note } of changes.assignments) {
    if (disk === undefined || disk.type === "ide_cdrom") continue;
    const bus = busOf(disk.type, chipsetOf(domain.config));
    const place = freePlace(bus, taken);
    if (place === undefined)
      throw new WatcherError("cluster-refused", `disk "${disk.name}" finds no free place on the ${bus} bus of the VM`);
    taken.add(place.target);
    const xml = diskXml("disk", disk.name, place, contentOf(note.source));
    await alter(run, domain, "attach-device", xml, `plug in disk "${disk.name}"`);
  }
}

async function unplugDisk(run: Convergence, domain: Domain, { device, note }: NamedDisk): Promise<void> {
  const present = (live: XmlElement): boolean => disksOf(live).some(({ target }) => target === device.target);
  await unplug(run, domain, device.element, `disk "${note?.name}"`, present);
}

async function unplugNic(run: Convergence, domain: Domain, { element, mac }: NicDevice): Promise<void> {
  await unplug(run, domain, element, `NIC ${mac}`, (live) => nicsOf(live).some((nic) => nic.mac === mac));
}

/** The answer says little: the guest lets go in its own time, or never. */
async function unplug(
  run: Convergence,
  domain: Domain,
  element: XmlElement,
  what: string,
  present: (live: XmlElement) => boolean,
): Promise<void> {
  const { host, context } = run;
  try {
    await alter(run, domain, "detach-device", toXml(element), `unplug ${what}`);
  } catch (error) {
    if (!isTrouble(error, "held-by-guest", "other", "absent")) throw error;
  }
  const gone = await poll(host.timeouts.detachMs, context.signal, async () => {
    const live = (await findDomain(host, domain.uuid, context.signal))?.live;
    return live === undefined || !present(live) ? true : undefined;
  });
  if (gone !== true)
    throw new WatcherError(
      "virdomain-running",
      `cluster ${host.cluster}: VM ${domain.name}: the guest does not let go of ${what}`,
    );
}

async function alter(run: Convergence, domain: Domain, verb: string, xml: string, what: string): Promise<void> {
  await withFile(run.host, xml, (path) =>
    command(run, [verb, domain.uuid, path, "--live"], `${what} of VM ${domain.name}`),
  );
}

async function command({ host, context }: Convergence, args: readonly string[], what: string): Promise<void> {
  context.beforeChange();
  await host.virsh.run(args, { what, signal: context.signal });
}

function copyOf(element: XmlElement): XmlElement {
  return parseXml(toXml(element));
}
