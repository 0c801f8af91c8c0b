import { createHash } from "node:crypto";
import type { ClusterState } from "./state.ts";
import { freeStorage } from "./storage.ts";

/** A drive as public clients of the API have seen it; the vendor's document promises none of it. */
interface Drive {
  readonly uuid: string;
  readonly slot: number;
  readonly type: "SSD" | "HDD" | "NVME";
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly isHealthy: boolean;
}

const driveTypes = ["SSD", "HDD", "HDD", "HDD"] as const;
/** What a node holds when the cluster has no limit. */
const unlimitedNodeBytes = 8 * 2 ** 40;

/**
 * Storage of a node, by its index: capacity and use of all nodes add up to the cluster's, which are `storageBytes` and
 * what images, ISOs and disks take of it.
 */
export function storageOfNode(state: ClusterState, index: number): { capacity: number; drives: readonly Drive[] } {
  const { nodeUUIDs } = state.facts;
  const total = state.settings.storageBytes ?? nodeUUIDs.length * unlimitedNodeBytes;
  const capacity = share(total, nodeUUIDs.length, index);
  const used = share(Math.max(0, total - freeStorage(state, total)), nodeUUIDs.length, index);
  const drives = driveTypes.map((type, slot) => ({
    uuid: driveUuid(nodeUUIDs[index] ?? "", slot),
    slot,
    type,
    capacityBytes: share(capacity, driveTypes.length, slot),
    usedBytes: share(used, driveTypes.length, slot),
    isHealthy: true,
  }));
  return { capacity, drives };
}

/** Whole parts that add up to the total; the first ones are larger by one where it does not divide. */
function share(total: number, parts: number, index: number): number {
  return Math.floor(total / parts) + (index < total % parts ? 1 : 0);
}

/** The same drive after a restart, without keeping it anywhere. */
function driveUuid(node: string, slot: number): string {
  const digits = createHash("sha256").update(`${node}/${slot}`).digest("hex");
  return `${digits.slice(0, 8)}-${digits.slice(8, 12)}-4${digits.slice(13, 16)}-8${digits.slice(17, 20)}-${digits.slice(20, 32)}`;
}
