import { contentHash } from "../../../lib/canonical-json.ts";

/**
 * Names of volumes, which have no metadata: everything of ours begins with `kg-` and a hash of the instance, and
 * everything of one VM with the VM's UUID too, so that two instances on one pool never meet and a rename moves nothing.
 */
export function instancePrefix(instance: string): string {
  return `kg-${contentHash(`instance ${instance}`, 6)}-`;
}

export function vmPrefix(instance: string, uuid: string): string {
  return `${instancePrefix(instance)}${uuid}-`;
}

/** `<vm prefix><device>.qcow2`, numbered when that is taken; odd characters are made safe without two names meeting. */
export function freeVolumeName(
  prefix: string,
  device: string,
  extension: "qcow2" | "iso",
  taken: ReadonlySet<string>,
): string {
  const plain = device.replaceAll(/[^A-Za-z0-9_.-]+/g, "-").slice(0, 40);
  const slug = plain === device ? plain : `${plain}-${contentHash(device, 6)}`;
  for (let number = 1; ; number += 1) {
    const name = `${prefix}${slug}${number === 1 ? "" : `-${number}`}.${extension}`;
    if (!taken.has(name)) return name;
  }
}

/** Firmware variables and console log of a VM, in the pool beside its disks. */
export function nvramName(instance: string, uuid: string): string {
  return `${vmPrefix(instance, uuid)}nvram.fd`;
}

export function consoleLogName(instance: string, uuid: string): string {
  return `${vmPrefix(instance, uuid)}console.log`;
}

export function assetPrefix(instance: string): string {
  return `${instancePrefix(instance)}asset-`;
}

/** An image or ISO as every VM of the host uses it. The content's version is part of the name. */
export function assetName(instance: string, version: string, extension: "raw" | "qcow2" | "iso"): string {
  return `${assetPrefix(instance)}${version}.${extension}`;
}

/** The empty volume beside an image that says it is whole: libvirt can rename no volume, and an upload may break off. */
export function completeName(asset: string): string {
  return `${asset}.complete`;
}
