import type { BlockDevice, Iso, NetDevice, VirDomain, VirtualDisk } from "../../src/simulator/hypercore/wire.ts";
import type { Guest } from "../../src/simulator/hypercore/state.ts";
import type { HypercoreLab } from "../support/hypercore-lab.ts";

/** The simulated cluster from the inside: what its API shows, and what it hides. */
export interface ClusterState {
  readonly virdomains: readonly VirDomain[];
  readonly guests: Readonly<Record<string, Guest>>;
  readonly images: readonly VirtualDisk[];
  readonly isos: readonly Iso[];
  readonly tasksUnderWay: number;
  readonly sessions: number;
}

export async function readState(lab: HypercoreLab): Promise<ClusterState> {
  return (await lab.control("GET", "state")) as ClusterState;
}

/** Built to the end, and every NIC noted: what is taken back before that, is not known to have been ours. */
export function isComplete(vm: VirDomain): boolean {
  const noted = namedDevices(vm, "nic", vm.netDevs);
  const strange = vm.netDevs.filter(({ vlan }) => vlan === peopleVlan).length;
  return !vm.tags.split(",").includes("kg-building") && noted.size + strange === vm.netDevs.length;
}

/** Only NICs of other people are on this network. */
export const peopleVlan = 999;

/**
 * The devices our tags on a VM name, by the manifest's names; read without the product's own code. A note of a
 * device that is gone is nobody's name.
 */
export function namedDevices<T extends BlockDevice | NetDevice>(
  vm: VirDomain,
  kind: "disk" | "nic",
  devices: readonly T[],
): ReadonlyMap<string, readonly T[]> {
  const named = new Map<string, readonly T[]>();
  for (const tag of vm.tags.split(",")) {
    const match = new RegExp(`^kg-${kind}:(.+)=([0-9a-f-]{8,})(\\..*)?$`).exec(tag);
    if (match === null) continue;
    const [, name = "", uuid = ""] = match;
    const found = devices.filter((device) => device.uuid.startsWith(uuid));
    if (found.length > 0) named.set(name, [...(named.get(name) ?? []), ...found]);
  }
  return named;
}
