import type { DesiredDisk, DesiredNic, DesiredVirdomain } from "../../../fleet/desired-state.ts";
import type { DiskType } from "../../../manifest/document.ts";
import { chipsetOf, cpusOf, disksOf, nicsOf, type VolumeSource } from "./devices.ts";
import { findMark, type Ownership, ownershipXml } from "./ownership.ts";
import {
  appendXml,
  attribute,
  childrenOf,
  ensureChild,
  escapeXml,
  find,
  removeElement,
  setText,
  tag,
  textOf,
  type XmlElement,
} from "./xml.ts";

/** Everything of a VM that is no device: what the definition says afterwards is what the manifest says. */
export function writeFields(domain: XmlElement, desired: DesiredVirdomain, maxCpus: number | undefined): void {
  writeDescription(domain, desired.description);
  for (const name of ["memory", "currentMemory"]) {
    const element = find(domain, name);
    if (element === undefined) continue;
    setText(element, String(desired.memoryBytes / 1024));
    element.setAttribute("unit", "KiB");
  }
  writeCpus(domain, desired.cpu, maxCpus);
}

function writeDescription(domain: XmlElement, description: string): void {
  if (description === "") removeElement(find(domain, "description"));
  else setText(ensureChild(domain, "description", ["metadata", "memory"]), description);
}

function writeCpus(domain: XmlElement, cpu: number, maxCpus: number | undefined): void {
  const vcpu = ensureChild(domain, "vcpu");
  const most = Math.max(cpu, maxCpus ?? 0);
  if (cpusOf(domain).current === cpu && cpusOf(domain).most === most) return;
  setText(vcpu, String(most));
  if (most === cpu) vcpu.removeAttribute("current");
  else vcpu.setAttribute("current", String(cpu));
  // What people pinned or plugged is for another number of CPUs.
  removeElement(find(domain, "vcpus"));
}

export function writeOwnership(domain: XmlElement, ownership: Ownership): void {
  removeElement(findMark(domain));
  appendXml(ensureChild(domain, "metadata", ["memory"]), ownershipXml(textOf(find(domain, "uuid")), ownership));
}

export interface DiskPlace {
  readonly bus: string;
  readonly target: string;
  readonly address: string | undefined;
}

const letters = "abcdefghijklmnopqrstuvwxyz";
/** q35 has six SATA ports, pc four IDE places; the letters above them belong to virtio-scsi here. */
const places = { sata: 6, ide: 4, scsi: 19, virtio: 26 } as const;

/** Bus of a manifest's disk type on this chipset: q35 has no IDE. */
export function busOf(type: DiskType, chipset: "q35" | "pc"): keyof typeof places {
  if (type === "virtio_disk") return "virtio";
  if (type === "scsi_disk") return "scsi";
  return chipset === "q35" ? "sata" : "ide";
}

/**
 * The lowest free place of a bus; undefined when it is full. SATA and SCSI share the letters `sd*`, and libvirt derives
 * a controller from the letter, so everything but virtio gets its address written out.
 */
export function freePlace(bus: keyof typeof places, taken: ReadonlySet<string>): DiskPlace | undefined {
  for (let unit = 0; unit < places[bus]; unit += 1) {
    const place = placeAt(bus, unit);
    if (!taken.has(place.target)) return place;
  }
  return undefined;
}

function driveAddress(bus: number, unit: number): string {
  return tag("address", { type: "drive", controller: 0, bus, target: 0, unit });
}

function placeAt(bus: keyof typeof places, unit: number): DiskPlace {
  switch (bus) {
    case "virtio":
      return { bus, target: `vd${letters[unit]}`, address: undefined };
    case "ide":
      return { bus, target: `hd${letters[unit]}`, address: driveAddress(Math.floor(unit / 2), unit % 2) };
    case "sata":
      return { bus, target: `sd${letters[unit]}`, address: driveAddress(0, unit) };
    case "scsi":
      return { bus, target: `sd${letters[unit + places.sata]}`, address: driveAddress(0, unit) };
    default:
      return bus satisfies never;
  }
}

/** The seed sits on the last place of its bus, away from the disks that manifests count. */
export function seedPlace(bus: "scsi" | "sata" | "ide", taken: ReadonlySet<string>): DiskPlace | undefined {
  for (let unit = places[bus] - 1; unit >= 0; unit -= 1) {
    const place = placeAt(bus, unit);
    if (!taken.has(place.target)) return place;
  }
  return undefined;
}

export function targetsOf(domain: XmlElement): Set<string> {
  return new Set(disksOf(domain).map(({ target }) => target));
}

/** A `<disk>` for a definition or for plugging in. The first 20 characters of the serial reach the guest. */
export function diskXml(
  device: "disk" | "cdrom",
  name: string,
  { bus, target, address }: DiskPlace,
  content: VolumeSource | undefined,
): string {
  const driver = device === "disk" ? { name: "qemu", type: "qcow2", discard: "unmap" } : { name: "qemu", type: "raw" };
  return [
    // An empty drive has no volume, which the type volume demands.
    `<disk type="${content === undefined ? "file" : "volume"}" device="${device}">`,
    tag("driver", driver),
    content === undefined ? "" : tag("source", { pool: content.pool, volume: content.volume }),
    tag("target", { dev: target, bus }),
    device === "cdrom" ? "<readonly/>" : `<serial>${escapeXml(serialOf(name))}</serial>`,
    address ?? "",
    "</disk>",
  ].join("");
}

/** libvirt takes letters, digits and a few signs in a serial (its schema). */
function serialOf(name: string): string {
  return name.replaceAll(/[^A-Za-z0-9_.+-]+/g, "-");
}

export function nicXml({ type, network }: DesiredNic, mac: string): string {
  const [kind, source] =
    network.user === true
      ? ["user", ""]
      : network.bridge === undefined
        ? ["network", tag("source", { network: network.network ?? "default" })]
        : ["bridge", tag("source", { bridge: network.bridge })];
  const vlan =
    network.vlan === undefined || network.vlan === 0 ? "" : `<vlan>${tag("tag", { id: network.vlan })}</vlan>`;
  return `<interface type="${kind}">${tag("mac", { address: mac })}${source}${vlan}${tag("model", { type })}</interface>`;
}

/** Changes type, network and model of an interface in place: its PCI address, and so its name in the guest, stays. */
export function rewriteNic(element: XmlElement, nic: DesiredNic, mac: string): void {
  const wanted = appendXml(element, nicXml(nic, mac));
  element.setAttribute("type", attribute(wanted, "type") ?? "network");
  for (const name of ["source", "vlan", "model"]) {
    removeElement(find(element, name));
    const made = find(wanted, name);
    if (made !== undefined) element.appendChild(made);
  }
  removeElement(wanted);
}

/** Boot orders as the manifest ranks them; a drive it does not rank, and every NIC, is not booted from. */
export function writeBootOrder(
  domain: XmlElement,
  desired: readonly DesiredDisk[],
  targetOf: (name: string) => string | undefined,
): void {
  const ranked = desired
    .filter(({ boot }) => boot !== undefined)
    .sort((a, b) => (a.boot ?? 0) - (b.boot ?? 0))
    .map(({ name }) => targetOf(name));
  const os = find(domain, "os");
  // Per-device orders and this older form, which libvirt adds where there is no order, exclude each other.
  if (ranked.length > 0) for (const boot of childrenOf(os, "boot")) removeElement(boot);
  for (const { element } of nicsOf(domain)) removeElement(find(element, "boot"));
  for (const { element, target } of disksOf(domain)) {
    const order = ranked.indexOf(target) + 1;
    if (order === 0) removeElement(find(element, "boot"));
    else ensureChild(element, "boot").setAttribute("order", String(order));
  }
}

/** Free PCIe ports without which nothing can be plugged in later ("No more available PCI slots"). */
const sparePorts = 8;
/** What else sits on ports: USB, virtio-scsi, virtio-serial, RNG, balloon, and one libvirt keeps. */
const fixedPorts = 6;

export function ensurePorts(domain: XmlElement): void {
  if (chipsetOf(domain) !== "q35") return;
  const devices = ensureChild(domain, "devices");
  const ports = childrenOf(devices, "controller").filter((each) => attribute(each, "model") === "pcie-root-port");
  const plugged = disksOf(domain).filter(({ bus }) => bus === "virtio").length + nicsOf(domain).length;
  for (let count = ports.length; count < plugged + fixedPorts + sparePorts; count += 1)
    appendXml(devices, tag("controller", { type: "pci", model: "pcie-root-port" }));
}
