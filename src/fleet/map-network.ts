import type { Cluster, NetworkTarget } from "./cluster.ts";

type NetworkMapping = Pick<Cluster, "driver" | "networks">;

/**
 * The cluster's own network for a NIC: by the NIC's name, else by its vlan (`vlan:20`), else by `*`. Undefined: there is a
 * mapping and it does not cover this NIC, or there is none and the cluster does not know VLANs by their number.
 */
export function findNetwork(
  { driver, networks }: NetworkMapping,
  name: string,
  vlan: number | undefined,
): NetworkTarget | undefined {
  if (networks === undefined) return unmappedNetwork(driver, vlan ?? 0);
  const keys = [name, ...(vlan === undefined ? [] : [`vlan:${vlan}`]), "*"];
  const key = keys.find((candidate) => Object.hasOwn(networks, candidate));
  return key === undefined ? undefined : networks[key];
}

/** Where a NIC goes on a cluster that maps nothing. `default` is the network libvirt itself brings. */
function unmappedNetwork(driver: Cluster["driver"], vlan: number): NetworkTarget | undefined {
  if (driver === "hypercore") return { vlan };
  return vlan === 0 ? { network: "default" } : undefined;
}

/** What to do about a NIC that `findNetwork` has no network for. */
export function adviseMapping({ driver, networks }: NetworkMapping, vlan: number | undefined): string {
  if (driver === "libvirt" && networks === undefined)
    return `libvirt knows VLANs by the names of its networks: say which one VLAN ${vlan ?? 0} is in the cluster's configuration, networks: { "vlan:${vlan ?? 0}": { network: <name> } }`;
  const names = Object.keys(networks ?? {});
  return `map it in the cluster's configuration, by name, vlan:<number> or *; mapped: ${names.length === 0 ? "nothing" : names.slice(0, 20).join(", ")}`;
}
