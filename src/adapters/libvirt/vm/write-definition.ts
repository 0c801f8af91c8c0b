import { WatcherError } from "../../../lib/errors.ts";
import type { DesiredDisk } from "../../../fleet/desired-state.ts";
import { canonicalJson } from "../../../lib/canonical-json.ts";
import {
  chipsetOf,
  type DiskDevice,
  disksOf,
  diskTypeOf,
  idOfSource,
  nicsOf,
  sameNetwork,
  sourceOfId,
} from "../domain/devices.ts";
import {
  busOf,
  type DiskPlace,
  diskXml,
  ensurePorts,
  freePlace,
  nicXml,
  rewriteNic,
  seedPlace,
  targetsOf,
  writeBootOrder,
  writeFields,
  writeOwnership,
} from "../domain/edit.ts";
import { type DiskNote, type Ownership, readOwnership } from "../domain/ownership.ts";
import { clockXml, isWindows } from "../domain/skeleton.ts";
import { appendXml, ensureChild, find, parseXml, removeElement, type XmlElement } from "../domain/xml.ts";
import type { Changes, Convergence } from "./convergence.ts";

/** Makes a definition say what is desired, and leaves alone whatever else it says. */
export function writeDefinition(
  domain: XmlElement,
  { desired, host }: Pick<Convergence, "desired" | "host">,
  changes: Changes,
  ownership: Ownership,
): void {
  writeFields(domain, desired, host.options.maxCpus);
  if (isWindows(readOwnership(domain).os) !== isWindows(desired.os)) rewriteClock(domain, desired.os);
  const written = new Writer(domain, host.options, changes, ownership).write(desired.disks);
  writeNics(domain, changes);
  writeBootOrder(domain, desired.disks, (name) => written.get(name));
  ensurePorts(domain);
  const noted = { ...ownership, disks: ownership.disks.map((note) => withTarget(note, written)) };
  if (canonicalJson(readOwnership(domain)) !== canonicalJson(noted)) writeOwnership(domain, noted);
}

function rewriteClock(domain: XmlElement, os: string | undefined): void {
  const clock = ensureChild(domain, "clock", ["on_poweroff", "devices"]);
  clock.setAttribute("offset", parseXml(clockXml(os)).getAttribute("offset") ?? "utc");
}

/** A drive is remembered by its place, which is known once it has one. */
function withTarget(note: DiskNote, targets: ReadonlyMap<string, string>): DiskNote {
  return note.role === "drive" ? { ...note, target: targets.get(note.name) ?? note.target } : note;
}

/** Puts the disks of one definition in order. */
class Writer {
  readonly #domain: XmlElement;
  readonly #options: Convergence["host"]["options"];
  readonly #changes: Changes;
  readonly #ownership: Ownership;

  constructor(domain: XmlElement, options: Convergence["host"]["options"], changes: Changes, ownership: Ownership) {
    this.#domain = domain;
    this.#options = options;
    this.#changes = changes;
    this.#ownership = ownership;
  }

  /** Answers the target of every disk of the manifest. */
  write(disks: readonly DesiredDisk[]): Map<string, string> {
    this.#remove();
    const targets = new Map<string, string>();
    for (const disk of disks) targets.set(disk.name, this.#ensure(disk));
    this.#ensureSeed();
    return targets;
  }

  #remove(): void {
    for (const { device, note } of this.#changes.work.disks.remove) {
      const found = disksOf(this.#domain).find((each) =>
        note?.role === "drive" ? each.target === note.target : sameSource(each, device),
      );
      removeElement(found?.element);
    }
  }

  #ensure(disk: DesiredDisk): string {
    const kept = this.#changes.work.disks.keep.find((each) => each.disk === disk)?.found.device;
    const found = kept && disksOf(this.#domain).find((each) => isSameDevice(each, kept));
    if (found !== undefined) return this.#adjust(disk, found);
    const assigned = this.#changes.assignments.find((each) => each.disk === disk)?.note.source;
    const source = assigned ?? (kept?.source === undefined ? undefined : idOfSource(kept.source));
    const asset = this.#changes.media.get(disk.name);
    if (disk.type === "ide_cdrom") return this.#append("cdrom", disk, asset && `${this.#options.pool}/${asset.volume}`);
    return this.#append("disk", disk, source);
  }

  #append(device: "disk" | "cdrom", disk: DesiredDisk, source: string | undefined, place?: DiskPlace): string {
    const at = place ?? this.#place(disk);
    appendXml(ensureChild(this.#domain, "devices"), diskXml(device, disk.name, at, contentOf(source)));
    return at.target;
  }

  #place(disk: DesiredDisk): DiskPlace {
    const bus = busOf(disk.type, chipsetOf(this.#domain));
    const place = freePlace(bus, targetsOf(this.#domain));
    if (place !== undefined) return place;
    throw new WatcherError("cluster-refused", `disk "${disk.name}" finds no free place on the ${bus} bus of the VM`);
  }

  /** Bus and medium of a drive that stays. A change of bus is a new place for the same content. */
  #adjust(disk: DesiredDisk, found: DiskDevice): string {
    if (disk.type === "ide_cdrom") {
      if (!this.#changes.media.has(disk.name) && !(disk.asset === undefined && found.source !== undefined))
        return found.target;
      const asset = this.#changes.media.get(disk.name);
      setMedium(found.element, asset && `${this.#options.pool}/${asset.volume}`);
      return found.target;
    }
    if (diskTypeOf(found) === disk.type) return found.target;
    const place = this.#place(disk);
    for (const name of ["address", "alias", "boot"]) removeElement(find(found.element, name));
    const target = ensureChild(found.element, "target");
    target.setAttribute("bus", place.bus);
    target.setAttribute("dev", place.target);
    if (place.address !== undefined) appendXml(found.element, place.address);
    return place.target;
  }

  #ensureSeed(): void {
    const seed = this.#ownership.disks.find(({ role }) => role === "seed");
    if (seed?.source === undefined) return;
    if (disksOf(this.#domain).some(({ source }) => source !== undefined && idOfSource(source) === seed.source)) return;
    const chipset = chipsetOf(this.#domain);
    const bus =
      isWindows(this.#ownership.os) || this.#options.seedBus === "sata" ? (chipset === "q35" ? "sata" : "ide") : "scsi";
    const place = seedPlace(bus, targetsOf(this.#domain));
    if (place === undefined)
      throw new WatcherError("cluster-refused", `the cloud-init seed finds no free place on the ${bus} bus`);
    appendXml(ensureChild(this.#domain, "devices"), diskXml("cdrom", "seed", place, contentOf(seed.source)));
  }
}

function sameSource(a: DiskDevice, b: DiskDevice): boolean {
  return a.source !== undefined && b.source !== undefined && idOfSource(a.source) === idOfSource(b.source);
}

/** The same drive in another definition of the same VM. */
function isSameDevice(a: DiskDevice, b: DiskDevice): boolean {
  return a.device === "cdrom" || b.device === "cdrom"
    ? a.device === b.device && a.target === b.target
    : sameSource(a, b);
}

export function contentOf(id: string | undefined): Parameters<typeof diskXml>[3] {
  if (id === undefined) return undefined;
  const source = sourceOfId(id);
  if ("volume" in source) return source;
  throw new Error("a disk of ours is a volume");
}

/** An empty drive is of type file: a volume must be named where the type says volume. */
export function setMedium(drive: XmlElement, id: string | undefined): void {
  removeElement(find(drive, "source"));
  removeElement(find(drive, "backingStore"));
  const content = contentOf(id);
  drive.setAttribute("type", content === undefined ? "file" : "volume");
  if (content === undefined) return;
  const source = ensureChild(drive, "source", ["target"]);
  source.setAttribute("pool", content.pool);
  source.setAttribute("volume", content.volume);
}

function writeNics(domain: XmlElement, { work, nics }: Changes): void {
  const macOfNic = new Map(nics.map(({ name, mac }) => [name, mac]));
  for (const { device } of work.nics.remove)
    removeElement(nicsOf(domain).find(({ mac }) => mac === device.mac)?.element);
  for (const nic of [...work.nics.keep.map((kept) => kept.nic), ...work.nics.add]) {
    const mac = macOfNic.get(nic.name) ?? "";
    const found = nicsOf(domain).find((each) => each.mac === mac);
    if (found === undefined) appendXml(ensureChild(domain, "devices"), nicXml(nic, mac));
    else if (found.type !== nic.type || !sameNetwork(found.network, nic.network)) rewriteNic(found.element, nic, mac);
  }
}
