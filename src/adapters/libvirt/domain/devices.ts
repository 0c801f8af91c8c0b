import type { NetworkTarget } from "../../../fleet/cluster.ts";
import type { DiskType, NicType } from "../../../manifest/document.ts";
import { attribute, childrenOf, find, textOf, type XmlElement } from "./xml.ts";

/** A disk, CD-ROM or other drive of a definition. */
export interface DiskDevice {
  readonly element: XmlElement;
  readonly device: "disk" | "cdrom" | "other";
  readonly bus: string;
  readonly target: string;
  /** A volume of a pool, a path on the host, or nothing (an empty drive, or a source of another kind). */
  readonly source: VolumeSource | FileSource | undefined;
  /** Position in the boot order, as libvirt counts: over all devices, from 1. */
  readonly boot: number | undefined;
}

export interface VolumeSource {
  readonly pool: string;
  readonly volume: string;
}

export interface FileSource {
  readonly file: string;
}

export interface NicDevice {
  readonly element: XmlElement;
  readonly mac: string;
  readonly type: NicType | "other";
  readonly network: NetworkTarget;
  readonly connected: boolean;
}

export function disksOf(domain: XmlElement): DiskDevice[] {
  return childrenOf(find(domain, "devices"), "disk").map((element) => {
    const device = attribute(element, "device") ?? "disk";
    const target = find(element, "target");
    const boot = attribute(find(element, "boot"), "order");
    return {
      element,
      device: device === "disk" || device === "cdrom" ? device : "other",
      bus: attribute(target, "bus") ?? "",
      target: attribute(target, "dev") ?? "",
      source: sourceOf(element),
      boot: boot === undefined ? undefined : Number(boot),
    };
  });
}

function sourceOf(disk: XmlElement): DiskDevice["source"] {
  const source = find(disk, "source");
  const pool = attribute(source, "pool");
  const volume = attribute(source, "volume");
  if (pool !== undefined && volume !== undefined) return { pool, volume };
  const file = attribute(source, "file") ?? attribute(source, "dev");
  return file === undefined ? undefined : { file };
}

/** Stays the same while the drive does: by what is in a disk, by the place of a drive whose medium changes. */
export function idOfDisk({ device, source, target }: DiskDevice): string {
  return device === "cdrom" || source === undefined ? `drive ${target}` : idOfSource(source);
}

/** `<pool>/<volume>`, or a path on the host, which begins with a slash. */
export function idOfSource(source: VolumeSource | FileSource): string {
  return "volume" in source ? `${source.pool}/${source.volume}` : source.file;
}

/** The reverse of `idOfSource`. Volumes may have slashes in their names, pools may not. */
export function sourceOfId(id: string): VolumeSource | FileSource {
  const slash = id.indexOf("/");
  return slash <= 0 ? { file: id } : { pool: id.slice(0, slash), volume: id.slice(slash + 1) };
}

const typesOfBus: Readonly<Record<string, DiskType>> = {
  virtio: "virtio_disk",
  scsi: "scsi_disk",
  sata: "ide_disk",
  ide: "ide_disk",
};

/** `ide_disk` and `ide_cdrom` are on SATA where the machine has no IDE (q35). Undefined for a floppy and the like. */
export function diskTypeOf({ device, bus }: DiskDevice): DiskType | undefined {
  if (device === "other") return undefined;
  return device === "cdrom" ? "ide_cdrom" : typesOfBus[bus];
}

export function nicsOf(domain: XmlElement): NicDevice[] {
  return childrenOf(find(domain, "devices"), "interface").map((element) => ({
    element,
    mac: (attribute(find(element, "mac"), "address") ?? "").toLowerCase(),
    type: nicTypeOf(attribute(find(element, "model"), "type")),
    network: networkOf(element),
    connected: attribute(find(element, "link"), "state") !== "down",
  }));
}

function nicTypeOf(model: string | undefined): NicDevice["type"] {
  return model === "virtio" || model === "e1000" || model === "rtl8139" ? model : "other";
}

function networkOf(nic: XmlElement): NetworkTarget {
  const source = find(nic, "source");
  const id = Number(attribute(find(nic, "vlan", "tag"), "id"));
  const vlan = Number.isInteger(id) && id > 0 ? { vlan: id } : {};
  switch (attribute(nic, "type")) {
    case "network":
      return { network: attribute(source, "network") ?? "", ...vlan };
    case "bridge":
      return { bridge: attribute(source, "bridge") ?? "", ...vlan };
    case "user":
      return { user: true };
    default:
      return { bridge: attribute(source, "dev") ?? attribute(nic, "type") ?? "", ...vlan };
  }
}

export function sameNetwork(a: NetworkTarget, b: NetworkTarget): boolean {
  return (
    a.network === b.network &&
    a.bridge === b.bridge &&
    (a.user === true) === (b.user === true) &&
    (a.vlan ?? 0) === (b.vlan ?? 0)
  );
}

export type Machine = "bios" | "uefi" | "tpm" | "other";

export function machineTypeOf(domain: XmlElement): Machine {
  const os = find(domain, "os");
  const loader = find(os, "loader");
  const uefi = attribute(os, "firmware") === "efi" || attribute(loader, "type") === "pflash";
  const tpm = childrenOf(find(domain, "devices"), "tpm").length > 0;
  if (uefi) return tpm ? "tpm" : "uefi";
  return tpm ? "other" : "bios";
}

/** `q35` or `pc` of `pc-q35-7.2`; decides which buses there are. */
export function chipsetOf(domain: XmlElement): "q35" | "pc" {
  const machine = attribute(find(domain, "os", "type"), "machine") ?? "";
  return machine.includes("q35") ? "q35" : "pc";
}

/** Whole MiB, as libvirt rounds a running VM up to; comparing bytes would find drift for ever. */
export function memoryBytesOf(domain: XmlElement): number {
  const memory = find(domain, "memory");
  const kib = Number(textOf(memory)) * (unitKib[attribute(memory, "unit") ?? "KiB"] ?? 1);
  return Math.ceil(kib / 1024) * 1024 * 1024;
}

const unitKib: Readonly<Record<string, number>> = {
  b: 1 / 1024,
  bytes: 1 / 1024,
  KiB: 1,
  k: 1,
  MiB: 1024,
  M: 1024,
  GiB: 1024 ** 2,
  G: 1024 ** 2,
};

/** CPUs the VM has, and the most it can have without a restart. */
export function cpusOf(domain: XmlElement): { readonly current: number; readonly most: number } {
  const vcpu = find(domain, "vcpu");
  const most = Number(textOf(vcpu));
  return { current: Number(attribute(vcpu, "current") ?? most), most };
}

export function hasAgent(domain: XmlElement): boolean {
  return childrenOf(find(domain, "devices"), "channel")
    .map((channel) => find(channel, "target"))
    .some((target) => attribute(target, "name") === agentChannel && attribute(target, "state") === "connected");
}

export const agentChannel = "org.qemu.guest_agent.0";
