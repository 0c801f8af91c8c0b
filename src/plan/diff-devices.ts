import { formatBytes } from "../manifest/quantity.ts";
import type { DesiredDisk, DesiredNic } from "../fleet/desired-state.ts";
import type { NetworkTarget } from "../fleet/cluster.ts";
import { sameCapacity } from "./capacity.ts";
import type { ChangeKind, LiveDisk, LiveNic } from "./live-state.ts";
import type { Notice } from "./plan.ts";

/** A difference before its cost on the platform and its origin are known. */
export interface Difference {
  readonly kind: ChangeKind;
  readonly path: string;
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly lostBytes?: number;
}

export interface DeviceDifferences {
  readonly differences: readonly Difference[];
  readonly notices: readonly Notice[];
  /** What no operation can bring about, in words. */
  readonly impossible: readonly string[];
}

/**
 * Disks are matched by their manifest name; those without one are somebody else's and only mentioned. So are those known
 * by their place only, once nobody wishes them: who put them there is not certain, and a disk may hold data.
 */
export function diffDisks(
  desired: readonly DesiredDisk[],
  live: readonly LiveDisk[],
  unmade: readonly string[] = [],
): DeviceDifferences {
  const differences: Difference[] = [];
  const notices: Notice[] = [];
  const impossible: string[] = [];
  const byName = new Map(live.filter((disk) => disk.name !== undefined).map((disk) => [disk.name, disk]));
  for (const wanted of desired) {
    const found = byName.get(wanted.name);
    const path = `storage_devices.${wanted.name}`;
    if (found === undefined) {
      differences.push({
        kind: additionOf(wanted.type),
        path,
        from: undefined,
        to: describeDisk(wanted),
      });
    } else if (isDrive(found.type) !== isDrive(wanted.type)) {
      impossible.push(
        `disk ${wanted.name} is a ${found.type} and cannot become a ${wanted.type} with its data; give the new disk another name`,
      );
    } else if (wanted.type === "ide_cdrom") {
      if (found.assetId !== wanted.asset?.id) {
        differences.push({ kind: "cdrom-medium", path: `${path}.source`, from: found.assetId, to: wanted.asset?.name });
      }
    } else {
      diffDisk(wanted, found, path, differences, notices);
    }
    if (found?.provisional === true)
      differences.push({ kind: "ownership", path: `${path}.name`, from: "unconfirmed", to: wanted.name });
  }
  const wantedNames = new Set(desired.map((disk) => disk.name));
  for (const name of unmade.filter((announced) => !wantedNames.has(announced)))
    differences.push({ kind: "ownership", path: `storage_devices.${name}.name`, from: "announced", to: undefined });
  for (const disk of live) {
    const forgotten = disk.provisional === true && disk.name !== undefined && !wantedNames.has(disk.name);
    if (forgotten)
      differences.push({
        kind: "ownership",
        path: `storage_devices.${disk.name}.name`,
        from: "unconfirmed",
        to: undefined,
      });
    if (disk.name === undefined || forgotten) {
      notices.push({
        code: "foreign-disk",
        path: "storage_devices",
        message: `a ${formatBytes(disk.capacityBytes)} disk (${disk.id}) is not in the manifest and is left alone`,
      });
    } else if (!wantedNames.has(disk.name)) {
      const path = `storage_devices.${disk.name}`;
      if (disk.type === "ide_cdrom") differences.push({ kind: "cdrom-remove", path, from: "CD-ROM", to: undefined });
      else
        differences.push({
          kind: "disk-remove",
          path,
          from: formatBytes(disk.capacityBytes),
          to: undefined,
          lostBytes: disk.capacityBytes,
        });
    }
  }
  const order = diffBootOrder(desired, live);
  if (order !== undefined) differences.push(order);
  return { differences, notices, impossible };
}

function additionOf(type: DesiredDisk["type"]): ChangeKind {
  if (type === "ide_cdrom") return "cdrom-add";
  return type === "ide_disk" ? "ide-disk-add" : "disk-add";
}

function isDrive(type: DesiredDisk["type"]): boolean {
  return type === "ide_cdrom";
}

function diffDisk(
  wanted: DesiredDisk,
  found: LiveDisk,
  path: string,
  differences: Difference[],
  notices: Notice[],
): void {
  if (wanted.asset !== undefined && found.assetId !== wanted.asset.id) {
    differences.push({
      kind: "disk-replace",
      path: `${path}.source`,
      from: found.assetId ?? "unknown image",
      to: wanted.asset.name,
      lostBytes: found.capacityBytes,
    });
    return;
  }
  if (found.type !== wanted.type)
    differences.push({ kind: "disk-type", path: `${path}.type`, from: found.type, to: wanted.type });
  const bytes = wanted.capacityBytes;
  if (bytes === undefined || sameCapacity(bytes, found.capacityBytes)) return;
  if (found.capacityBytes < bytes) {
    differences.push({
      kind: "disk-grow",
      path: `${path}.capacity`,
      from: formatBytes(found.capacityBytes),
      to: formatBytes(bytes),
    });
  } else {
    notices.push({
      code: "disk-not-shrunk",
      path: `${path}.capacity`,
      message: `disk ${wanted.name} stays at ${formatBytes(found.capacityBytes)}: a disk cannot shrink to ${formatBytes(bytes)} with its data`,
    });
  }
}

/** Only disks the manifest knows count: a foreign disk in the boot order is no difference. */
function diffBootOrder(desired: readonly DesiredDisk[], live: readonly LiveDisk[]): Difference | undefined {
  const names = new Set(desired.map((disk) => disk.name));
  const wanted = inOrder(desired).map((disk) => disk.name);
  const found = inOrder(live.filter((disk) => disk.name !== undefined && names.has(disk.name))).map(
    (disk) => disk.name ?? "",
  );
  if (wanted.join("\n") === found.join("\n")) return undefined;
  return {
    kind: "boot-order",
    path: "storage_devices.boot",
    from: found.join(", ") || "none",
    to: wanted.join(", ") || "none",
  };
}

function inOrder<T extends { readonly boot: number | undefined }>(disks: readonly T[]): readonly T[] {
  return disks.filter((disk) => disk.boot !== undefined).sort((a, b) => (a.boot ?? 0) - (b.boot ?? 0));
}

/** NICs are matched by their manifest name; the order of a list means nothing once a VM exists. */
export function diffNics(desired: readonly DesiredNic[], live: readonly LiveNic[]): DeviceDifferences {
  const differences: Difference[] = [];
  const notices: Notice[] = [];
  const byName = new Map(live.filter((nic) => nic.name !== undefined).map((nic) => [nic.name, nic]));
  for (const wanted of desired) {
    const found = byName.get(wanted.name);
    const path = `network_devices.${wanted.name}`;
    if (found === undefined) {
      differences.push({
        kind: wanted.type === "virtio" ? "nic-add" : "legacy-nic-add",
        path,
        from: undefined,
        to: `${wanted.type} on ${describeNetwork(wanted.network)}`,
      });
      continue;
    }
    if (found.type !== wanted.type)
      differences.push({ kind: "nic-type", path: `${path}.type`, from: found.type, to: wanted.type });
    if (describeNetwork(found.network) !== describeNetwork(wanted.network)) {
      differences.push({
        kind: "nic-network",
        path: `${path}.network`,
        from: describeNetwork(found.network),
        to: describeNetwork(wanted.network),
      });
    }
  }
  const wantedNames = new Set(desired.map((nic) => nic.name));
  for (const nic of live) {
    if (nic.name === undefined) {
      notices.push({
        code: "foreign-nic",
        path: "network_devices",
        message: `a NIC on ${describeNetwork(nic.network)} is not in the manifest and is left alone`,
      });
    } else if (!wantedNames.has(nic.name)) {
      differences.push({
        kind: "nic-remove",
        path: `network_devices.${nic.name}`,
        from: describeNetwork(nic.network),
        to: undefined,
      });
    }
  }
  return { differences, notices, impossible: [] };
}

function describeDisk(disk: DesiredDisk): string {
  const size = disk.capacityBytes === undefined ? undefined : formatBytes(disk.capacityBytes);
  const from = disk.asset === undefined ? "empty" : `from ${disk.asset.name}`;
  return disk.type === "ide_cdrom" ? `CD-ROM ${from}` : [size, from].filter((part) => part !== undefined).join(" ");
}

/** `VLAN 20`, `network default`, `network ovs, VLAN 20`, `bridge br0`, `user-mode network`; `untagged` when nothing is named. */
export function describeNetwork({ vlan, network, bridge, user }: NetworkTarget): string {
  const tag = vlan === undefined || vlan === 0 ? [] : [`VLAN ${vlan}`];
  if (user === true) return "user-mode network";
  if (network !== undefined) return [`network ${network}`, ...tag].join(", ");
  if (bridge !== undefined) return [`bridge ${bridge}`, ...tag].join(", ");
  return tag[0] ?? "untagged";
}
