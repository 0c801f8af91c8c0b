import type { DesiredVirdomain } from "../fleet/desired-state.ts";
import { formatBytes } from "../manifest/quantity.ts";
import { type ClusterCapacity, type Demand, noDemand } from "./cluster-capacity.ts";
import type { LiveVirdomain } from "./live-state.ts";
import type { CapacityFinding, Operation } from "./plan.ts";
import { isOn } from "./snapshot-need.ts";

/** The operation with what it asks of its cluster. `live` is what it starts from, undefined for nothing. */
export function withDemand(
  operation: Operation,
  desired: DesiredVirdomain,
  live: LiveVirdomain | undefined,
): Operation {
  const demand = demandOf(operation, desired, live);
  return demand === noDemand ? operation : { ...operation, demand };
}

function demandOf(operation: Operation, desired: DesiredVirdomain, live: LiveVirdomain | undefined): Demand {
  const runs = desired.state === "running";
  const usedMemoryBytes = live !== undefined && isOn(live) ? live.memoryBytes : 0;
  const addedMemoryBytes = runs ? Math.max(0, desired.memoryBytes - usedMemoryBytes) : 0;
  const before = new Map(disksBefore(operation, live).map(({ name, capacityBytes = 0 }) => [name, capacityBytes]));
  const addedStorageBytes = desired.disks.reduce(
    (sum, { name, type, capacityBytes = 0 }) =>
      type === "ide_cdrom" ? sum : sum + Math.max(0, capacityBytes - (before.get(name) ?? 0)),
    0,
  );
  if (operation.kind === "stop" || (addedMemoryBytes === 0 && addedStorageBytes === 0)) return noDemand;
  return { vmMemoryBytes: addedMemoryBytes === 0 ? 0 : desired.memoryBytes, addedMemoryBytes, addedStorageBytes };
}

/** What is there already of the disks it ends with: a VM that is kept beside its successor keeps its own. */
function disksBefore({ successor, kind, quarantine }: Operation, live: LiveVirdomain | undefined): DisksBefore {
  if (successor !== undefined) return successor.disks;
  return kind === "replace" && quarantine !== undefined ? [] : (live?.disks ?? []);
}

type DisksBefore = readonly { readonly name: string | undefined; readonly capacityBytes: number | undefined }[];

/** Why an operation can never succeed on this cluster, or undefined. Only what is certain counts. */
export function neverFits({ demand, cluster }: Operation, capacity: ClusterCapacity): string | undefined {
  if (demand === undefined || capacity.nodes.length === 0) return undefined;
  const largest = Math.max(...capacity.nodes.map(({ memoryBytes }) => memoryBytes));
  if (demand.vmMemoryBytes <= largest) return undefined;
  return `it asks for ${formatBytes(demand.vmMemoryBytes)} of memory, and the largest node of ${cluster} has ${formatBytes(largest)}`;
}

/** Fuller than this, a tier has no room for the writes that snapshots and new disks bring. */
const fullShare = 0.9;

/**
 * What may not fit: memory that is free now, on one node and on all, and storage if disks fill up. Platforms give out
 * storage as it is written and free memory moves, so these warn a reviewer; the cluster has the last word.
 */
export function checkCapacity(
  cluster: string,
  operations: readonly Operation[],
  capacity: ClusterCapacity,
): CapacityFinding[] {
  const demands = operations.flatMap(({ demand }) => (demand === undefined ? [] : [demand]));
  const writes = demands.some(({ addedStorageBytes }) => addedStorageBytes > 0);
  const snapshots = operations.some(({ snapshot }) => snapshot !== undefined);
  return [
    ...checkMemory(cluster, operations, capacity),
    ...checkStorage(cluster, sum(demands.map(({ addedStorageBytes }) => addedStorageBytes)), capacity),
    ...(writes || snapshots ? fullTiers(cluster, capacity) : []),
    ...(writes || snapshots ? capacity.complaints.map((text) => complaint(cluster, text)) : []),
  ];
}

function checkMemory(cluster: string, operations: readonly Operation[], { nodes }: ClusterCapacity): CapacityFinding[] {
  if (nodes.length === 0) return [];
  const free = nodes.map(({ memoryBytes, usedMemoryBytes }) => Math.max(0, memoryBytes - usedMemoryBytes));
  const needed = sum(operations.map(({ demand }) => demand?.addedMemoryBytes ?? 0));
  if (needed > sum(free)) {
    const message = `${formatBytes(needed)} of memory are needed, ${formatBytes(sum(free))} are free on all nodes together`;
    return [{ cluster, resource: "memory", neededBytes: needed, availableBytes: sum(free), message }];
  }
  const roomiest = Math.max(...free);
  return operations.flatMap(({ virdomain, demand }) => {
    const wanted = demand?.addedMemoryBytes ?? 0;
    if (wanted <= roomiest) return [];
    const message = `${virdomain} needs ${formatBytes(wanted)} of memory, and no node has more than ${formatBytes(roomiest)} free`;
    return [{ cluster, resource: "memory" as const, neededBytes: wanted, availableBytes: roomiest, message }];
  });
}

function checkStorage(cluster: string, neededBytes: number, { tiers }: ClusterCapacity): CapacityFinding[] {
  const availableBytes = sum(tiers.map(({ totalBytes, usedBytes }) => Math.max(0, totalBytes - usedBytes)));
  if (tiers.length === 0 || neededBytes <= availableBytes) return [];
  const message = `new disks may grow to ${formatBytes(neededBytes)}, ${formatBytes(availableBytes)} are free on all drives together`;
  return [{ cluster, resource: "storage", neededBytes, availableBytes, message }];
}

function fullTiers(cluster: string, { tiers }: ClusterCapacity): CapacityFinding[] {
  return tiers
    .filter(({ totalBytes, usedBytes }) => totalBytes > 0 && usedBytes / totalBytes >= fullShare)
    .map(({ name, totalBytes, usedBytes }) => {
      const availableBytes = Math.max(0, totalBytes - usedBytes);
      const percent = Math.floor((100 * usedBytes) / totalBytes);
      const message = `the ${name} tier is ${percent} % full (${formatBytes(availableBytes)} free): snapshots and new disks may find no room`;
      return { cluster, resource: "tier", neededBytes: undefined, availableBytes, message };
    });
}

function complaint(cluster: string, text: string): CapacityFinding {
  return {
    cluster,
    resource: "storage",
    neededBytes: undefined,
    availableBytes: undefined,
    message: `the cluster reports: ${text}`,
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
