import { TaskFailure } from "./refusal.ts";
import type { ClusterState } from "./state.ts";

/** Fails the task when the cluster has no room for so many more bytes. */
export function ensureRoom(state: ClusterState, bytes: number): void {
  if (bytes === 0) return;
  const free = freeStorage(state);
  if (bytes <= free) return;
  throw new TaskFailure("Insufficient storage: %@ bytes requested, %@ bytes available", [String(bytes), String(free)]);
}

/** Bytes left of the capacity; without a configured one there is no end of them. */
export function freeStorage(
  state: ClusterState,
  capacityBytes = state.settings.storageBytes ?? Number.POSITIVE_INFINITY,
): number {
  return state.facts.storageFull ? 0 : Math.max(0, capacityBytes - usedStorage(state));
}

function usedStorage(state: ClusterState): number {
  let used = 0;
  for (const image of state.images.values()) used += image.capacityBytes;
  for (const iso of state.isos.values()) used += iso.size;
  for (const vm of state.virdomains.values()) {
    for (const disk of vm.blockDevs) used += disk.type === "IDE_CDROM" ? 0 : disk.capacity;
  }
  return used;
}
