/** What a cluster has room for, as far as its platform tells. Bytes. */
export interface ClusterCapacity {
  /** Nodes that VMs may run on. */
  readonly nodes: readonly { readonly memoryBytes: number; readonly usedMemoryBytes: number }[];
  /** Storage by kind of drive, raw: what a cluster keeps twice takes twice the room. Empty when the platform does not tell. */
  readonly tiers: readonly { readonly name: string; readonly totalBytes: number; readonly usedBytes: number }[];
  /** What the platform itself reports about a lack of room, in its words. */
  readonly complaints: readonly string[];
}

/** What an operation asks for beyond what its VM has now. Bytes. */
export interface Demand {
  /** Memory of the whole VM when it is to run, else 0: one node must hold it. */
  readonly vmMemoryBytes: number;
  readonly addedMemoryBytes: number;
  /** Capacity of new disks and of growth; disks as large as their image are not known here. */
  readonly addedStorageBytes: number;
}

export const noDemand: Demand = { vmMemoryBytes: 0, addedMemoryBytes: 0, addedStorageBytes: 0 };
