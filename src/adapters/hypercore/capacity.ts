import type { ClusterCapacity } from "../../plan/cluster-capacity.ts";
import { type ClusterAccess, listTrueConditions } from "./access.ts";
import { isFull } from "./rest/refusal.ts";
import { type NodeFacts, toNodeFacts } from "./rest/wire.ts";

/**
 * Memory of the nodes that may run VMs, and what the cluster complains about. Storage by tier is read from the drives
 * where nodes report them: public clients of the API know them, the vendor's documents do not promise them.
 */
export async function readCapacity(access: ClusterAccess, signal: AbortSignal): Promise<ClusterCapacity> {
  const [nodes, conditions] = await Promise.all([
    access.client.list("Node", toNodeFacts, signal),
    listTrueConditions(access, signal),
  ]);
  return {
    nodes: nodes
      .filter(({ runsVms, memoryBytes }) => runsVms && memoryBytes > 0)
      .map(({ memoryBytes, usedMemoryBytes }) => ({ memoryBytes, usedMemoryBytes })),
    tiers: toTiers(nodes),
    complaints: conditions.filter(({ name, text }) => isFull(text) || speaksOfRoom.test(name)).map(({ text }) => text),
  };
}

const speaksOfRoom = /storage|capacity|space|tier/i;

function toTiers(nodes: readonly NodeFacts[]): ClusterCapacity["tiers"] {
  const tiers = new Map<string, { totalBytes: number; usedBytes: number }>();
  for (const { type, capacityBytes, usedBytes } of nodes.flatMap(({ drives }) => drives)) {
    const tier = tiers.get(type) ?? { totalBytes: 0, usedBytes: 0 };
    tiers.set(type, { totalBytes: tier.totalBytes + capacityBytes, usedBytes: tier.usedBytes + usedBytes });
  }
  return [...tiers].map(([name, room]) => ({ name, ...room })).sort((a, b) => (a.name < b.name ? -1 : 1));
}
