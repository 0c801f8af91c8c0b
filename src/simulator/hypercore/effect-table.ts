import type { ClusterState } from "./state.ts";
import type { WorkKind, WorkOf } from "./work.ts";

/** What one kind of work does to the cluster. Each step throws TaskFailure when the cluster cannot do it. */
export interface Effect<K extends WorkKind> {
  /** When the task starts RUNNING: half-done states that others may see. */
  readonly begin?: (state: ClusterState, work: WorkOf<K>) => void;
  /** When the task completes. */
  readonly finish: (state: ClusterState, work: WorkOf<K>) => void;
  /** When it fails: takes back what `begin` showed. */
  readonly undo?: (state: ClusterState, work: WorkOf<K>) => void;
}

export type EffectTable = { readonly [K in WorkKind]: Effect<K> };
