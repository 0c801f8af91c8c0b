import type { Cluster, NetworkTarget } from "./cluster.ts";

/**
 * The cluster's own network for a NIC: by the NIC's name, else by its vlan (`vlan:20`), else by `*`. A cluster without
 * a mapping takes the manifest's vlan, or 0. Undefined: there is a mapping and it does not cover this NIC.
 */
export function findNetwork(
  networks: Cluster["networks"],
  name: string,
  vlan: number | undefined,
): NetworkTarget | undefined {
  if (networks === undefined) return { vlan: vlan ?? 0 };
  const keys = [name, ...(vlan === undefined ? [] : [`vlan:${vlan}`]), "*"];
  const key = keys.find((candidate) => Object.hasOwn(networks, candidate));
  return key === undefined ? undefined : networks[key];
}

/** What a mapping covers, for the reader of a problem. */
export function describeMapping(networks: Cluster["networks"]): string {
  const names = Object.keys(networks ?? {});
  return `map it in the cluster's configuration, by name, vlan:<number> or *; mapped: ${names.length === 0 ? "nothing" : names.slice(0, 20).join(", ")}`;
}
