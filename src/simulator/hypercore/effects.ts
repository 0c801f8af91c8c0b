import { diskEffects } from "./disks.ts";
import { imageEffects } from "./images.ts";
import { nicEffects } from "./nics.ts";
import { powerEffects } from "./power.ts";
import { snapshotEffects } from "./snapshots.ts";
import type { ClusterState } from "./state.ts";
import { virDomainEffects } from "./virdomains.ts";
import type { Effect, EffectTable } from "./effect-table.ts";
import type { Work, WorkKind } from "./work.ts";

/** The effects of all work on one cluster. */
export class Effects {
  readonly #state: ClusterState;
  readonly #table: EffectTable = {
    ...virDomainEffects,
    ...powerEffects,
    ...diskEffects,
    ...nicEffects,
    ...imageEffects,
    ...snapshotEffects,
  };

  constructor(state: ClusterState) {
    this.#state = state;
  }

  begin(work: Work): void {
    this.#of(work).begin?.(this.#state, work);
  }

  finish(work: Work): void {
    this.#of(work).finish(this.#state, work);
  }

  undo(work: Work): void {
    this.#of(work).undo?.(this.#state, work);
  }

  /** The table pairs every kind with an effect for that kind; the compiler cannot follow the pairing through an index. */
  #of(work: Work): Effect<WorkKind> {
    return this.#table[work.kind];
  }
}
