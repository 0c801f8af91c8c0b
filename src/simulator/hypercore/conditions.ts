import type { ClusterState } from "./state.ts";
import { freeStorage } from "./storage.ts";

interface Condition {
  readonly name: string;
  readonly nodeUUID: string;
  readonly value: boolean;
  readonly severity: string;
  readonly userText: string;
}

/** Share of the capacity below which the cluster complains. */
const lowShare = 0.05;

/** The whole catalogue, as HyperCore answers it: more than 250 entries of which hardly any is true. */
export function conditions(state: ClusterState, updating: boolean): readonly Condition[] {
  const { storageBytes } = state.settings;
  const low = freeStorage(state) < (storageBytes ?? 0) * lowShare || freeStorage(state) === 0;
  return [
    entry("condition.storage.capacity.low", low, "Cluster storage is nearly full"),
    entry("condition.updateInProgress", updating, "A cluster update is in progress"),
    ...state.facts.nodeUUIDs.flatMap((node) => quietConditions(node)),
  ];
}

/** Per-drive and per-port conditions of one node: all false. */
function quietConditions(nodeUUID: string): readonly Condition[] {
  const drives = Array.from({ length: 32 }, (_item, slot) => slot);
  const aspects = [
    "failed",
    "missing",
    "smartWarning",
    "wearLevel",
    "readErrors",
    "writeErrors",
    "temperature",
    "offline",
  ];
  return drives.flatMap((slot) =>
    aspects.map((aspect) => ({
      ...entry(`condition.drive.${slot}.${aspect}`, false, `Drive ${slot}: ${aspect}`),
      nodeUUID,
    })),
  );
}

function entry(name: string, value: boolean, userText: string): Condition {
  return { name, nodeUUID: "", value, severity: value ? "WARN" : "INFO", userText };
}
