import type { EffectTable } from "./effect-table.ts";
import { TaskFailure } from "./refusal.ts";
import { type ClusterState, unixSeconds } from "./state.ts";
import type { WorkOf } from "./work.ts";

function createSnapshot(state: ClusterState, { vm, uuid, snapshot }: WorkOf<"snapshot-create">): void {
  const current = state.takeVirDomain(vm);
  const snapshotSerialNumber = current.snapshotSerialNumber + 1;
  state.snapshots.put(uuid, {
    ...snapshot,
    uuid,
    timestamp: unixSeconds(),
    deviceSnapshots: current.blockDevs
      .filter((disk) => !disk.disableSnapshotting)
      .map(() => ({ uuid: state.random.uuid() })),
    domain: { ...current, snapshotSerialNumber },
  });
  state.updateVirDomain(vm, { snapUUIDs: [...current.snapUUIDs, uuid], snapshotSerialNumber });
}

export const snapshotEffects: Pick<EffectTable, "snapshot-create" | "snapshot-delete"> = {
  "snapshot-create": { finish: createSnapshot },
  "snapshot-delete": {
    finish: (state, { vm, uuid }) => {
      if (!state.snapshots.has(uuid)) throw new TaskFailure("Snapshot %@ does not exist", [uuid]);
      state.snapshots.delete(uuid);
      const snapUUIDs = state.virdomains.get(vm)?.snapUUIDs.filter((snapshot) => snapshot !== uuid);
      if (snapUUIDs !== undefined) state.updateVirDomain(vm, { snapUUIDs });
    },
  },
};
