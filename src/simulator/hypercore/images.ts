import type { EffectTable } from "./effect-table.ts";
import { TaskFailure } from "./refusal.ts";
import type { ClusterState } from "./state.ts";
import { ensureRoom } from "./storage.ts";
import type { VirtualDisk } from "./wire.ts";

/** Record of an upload that has just begun. An upload that breaks off leaves it behind. */
export function beginUpload(state: ClusterState, uuid: string, name: string): void {
  state.images.put(uuid, {
    uuid,
    name: `uploading-${name}`,
    blockSize: 2 ** 20,
    capacityBytes: 0,
    totalAllocationBytes: 0,
    replicationFactor: 2,
  });
}

/** The image is there: usable only when its name has lost every prefix. */
export function isReady(state: ClusterState, image: VirtualDisk): boolean {
  return state.contents.get(image.uuid)?.finalName === image.name;
}

/** DELETE has no task; the record vanishes a moment later. */
export function deleteImageSoon(state: ClusterState, uuid: string): void {
  state.vanishing.put(uuid, {});
  state.timers.after(state.durationOf("image-vanish"), () => vanish(state, uuid));
}

function vanish(state: ClusterState, uuid: string): void {
  state.images.delete(uuid);
  state.contents.delete(uuid);
  state.vanishing.delete(uuid);
}

function convertSoon(state: ClusterState, uuid: string): void {
  state.timers.after(state.settings.convertMs, () => {
    const image = state.images.get(uuid);
    const content = state.contents.get(uuid);
    if (image !== undefined && content !== undefined) state.images.put(uuid, { ...image, name: content.finalName });
  });
}

/** After a restart: conversions go on, and what was to vanish is gone. */
export function recoverImages(state: ClusterState): void {
  for (const [uuid] of state.vanishing.entries()) vanish(state, uuid);
  for (const image of state.images.values()) if (image.name.startsWith("converting-")) convertSoon(state, image.uuid);
}

export const imageEffects: Pick<EffectTable, "image-upload" | "iso-create" | "iso-patch" | "iso-delete"> = {
  "image-upload": {
    finish: (state, { uuid }) => {
      const image = state.images.get(uuid);
      const content = state.contents.get(uuid);
      if (image === undefined || content === undefined) throw new TaskFailure("Virtual disk %@ does not exist", [uuid]);
      ensureRoom(state, content.virtualBytes);
      const sizes = { capacityBytes: content.virtualBytes, totalAllocationBytes: content.bytes };
      state.images.put(uuid, { ...image, ...sizes, name: `converting-${content.finalName}` });
      convertSoon(state, uuid);
    },
  },
  "iso-create": {
    finish: (state, { uuid, iso }) => {
      ensureRoom(state, iso.size);
      state.isos.put(uuid, iso);
    },
  },
  "iso-patch": {
    finish: (state, { uuid, changes }) => {
      const iso = state.isos.get(uuid);
      if (iso === undefined) throw new TaskFailure("ISO %@ does not exist", [uuid]);
      const ready = changes.readyForInsert ?? iso.readyForInsert;
      state.isos.put(uuid, { ...iso, ...changes, path: ready ? `scribe/${uuid}` : "" });
    },
  },
  "iso-delete": {
    finish: (state, { uuid }) => {
      state.isos.delete(uuid);
      state.contents.delete(uuid);
    },
  },
};
