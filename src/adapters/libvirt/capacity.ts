import type { ClusterCapacity } from "../../plan/cluster-capacity.ts";
import type { Host } from "./host.ts";
import { readPool } from "./storage/pool.ts";

/** Memory of the host and room in the pool. What is cached counts as free: the kernel gives it up. */
export async function readCapacity(host: Host, signal: AbortSignal): Promise<ClusterCapacity> {
  const call = { what: "read what the host has room for", signal };
  const [memory, pool] = await Promise.all([host.virsh.run(["nodememstats"], call), readPool(host, signal)]);
  const kib = (name: string): number => Number(new RegExp(`^${name}\\s*:\\s*(\\d+)`, "m").exec(memory)?.[1] ?? 0);
  const totalBytes = kib("total") * 1024;
  const freeBytes = (kib("free") + kib("buffers") + kib("cached")) * 1024;
  return {
    nodes: totalBytes === 0 ? [] : [{ memoryBytes: totalBytes, usedMemoryBytes: Math.max(0, totalBytes - freeBytes) }],
    tiers: [
      {
        name: `pool ${pool.name}`,
        totalBytes: pool.capacityBytes,
        usedBytes: pool.capacityBytes - pool.availableBytes,
      },
    ],
    complaints: [],
  };
}
