import type { LiveDisk, LiveNic, LiveVirdomain } from "../../../plan/live-state.ts";
import { cpusOf, diskTypeOf, hasAgent, idOfDisk, idOfSource, machineTypeOf, memoryBytesOf } from "./devices.ts";
import type { ListedDomain, NamedDisk } from "./domain.ts";
import { find, textOf } from "./xml.ts";

/** What the definition does not tell. */
export interface Observed {
  /** Bytes by id of the disk. */
  readonly capacities: ReadonlyMap<string, number>;
  /** Addresses by MAC. */
  readonly addresses: ReadonlyMap<string, readonly string[]>;
}

/**
 * A domain as planning sees it: hardware of what runs, names and marks of the definition. Drives without a type of the
 * manifest (floppies) and the seed are not shown.
 */
export function toVirdomain(domain: ListedDomain, observed: Observed): LiveVirdomain {
  const { ownership, config, live, power } = domain;
  const hardware = live ?? config;
  const { current, most } = cpusOf(hardware);
  const unmade = ownership.disks
    .filter(({ role, state }) => role !== "seed" && (state === "making" || state === "removing"))
    .filter((note) => domain.disks.every((disk) => disk.note !== note))
    .map(({ name }) => name);
  return {
    id: domain.uuid,
    name: domain.name,
    description: textOf(find(config, "description")),
    os: ownership.os,
    cpu: current,
    memoryBytes: memoryBytesOf(hardware),
    machineType: machineTypeOf(hardware),
    power,
    tags: ownership.tags,
    disks: withBootRanks(domain.disks.flatMap((disk) => toDisk(disk, ownership.mark?.building === true, observed))),
    ...(unmade.length === 0 || ownership.mark?.building === true ? {} : { unmadeDisks: [...new Set(unmade)] }),
    nics: domain.nics.map(({ device, name }): LiveNic => {
      const { mac, type, network, connected } = device;
      return { id: mac, name, type, network, connected, addresses: observed.addresses.get(mac) ?? [] };
    }),
    mark: ownership.mark,
    clone: ownership.clone,
    replica: false,
    busy: false,
    guestAgent: live !== undefined && hasAgent(live),
    ...(live !== undefined && most > current ? { liveCpuLimit: most } : {}),
  };
}

function toDisk({ device, note }: NamedDisk, building: boolean, { capacities }: Observed): LiveDisk[] {
  const type = diskTypeOf(device);
  if (type === undefined || note?.role === "seed") return [];
  const id = idOfDisk(device);
  const { source } = device;
  const sameMedium = source !== undefined && idOfSource(source) === note?.source;
  return [
    {
      id,
      name: note?.name,
      ...(note?.state !== undefined && !building ? { provisional: true } : {}),
      type,
      capacityBytes: type === "ide_cdrom" ? 0 : (capacities.get(id) ?? 0),
      assetId: type !== "ide_cdrom" || sameMedium ? note?.assetId : undefined,
      boot: device.boot,
    },
  ];
}

/** libvirt counts boot orders over all devices; the manifest's ranks have no gaps. */
function withBootRanks(disks: readonly LiveDisk[]): LiveDisk[] {
  const orders = disks.flatMap(({ boot }) => (boot === undefined ? [] : [boot])).sort((a, b) => a - b);
  return disks.map((disk) => (disk.boot === undefined ? disk : { ...disk, boot: orders.indexOf(disk.boot) + 1 }));
}
