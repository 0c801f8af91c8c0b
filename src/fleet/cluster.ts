/** What planning knows of a cluster: its configuration as plain data, without secrets or addresses. */
export interface Cluster {
  readonly name: string;
  /** `{{ clusterId }}` in manifests; the name unless configured. */
  readonly id?: string;
  readonly driver: "hypercore" | "libvirt";
  readonly labels: Readonly<Record<string, string>>;
  readonly variables: Readonly<Record<string, string>>;
  /**
   * NIC name (or `*` for any, or `vlan:20`) -> the cluster's own network. Undefined: the cluster maps nothing, every
   * NIC takes its manifest's vlan, or none. Once a mapping exists, a NIC it does not cover is a plan problem.
   */
  readonly networks: Readonly<Record<string, NetworkTarget>> | undefined;
  /** No VM gets more than this, whatever its manifest asks for: a laboratory. Left out: no limits. */
  readonly limits?: ClusterLimits;
}

/** Left out: not limited. */
export interface ClusterLimits {
  readonly memoryBytes?: number;
  readonly cpu?: number;
}

/** HyperCore knows VLAN numbers; libvirt knows networks (with a `vlan` beside them where they can tag) and bridges. */
export interface NetworkTarget {
  readonly vlan?: number;
  readonly network?: string;
  readonly bridge?: string;
  /** QEMU's user-mode network: needs no rights on the host; the guest reaches out, nobody reaches in. */
  readonly user?: true;
}
