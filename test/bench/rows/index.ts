import type { BenchRow } from "../bench-row.ts";
import { callsWithoutChanges } from "./calls-without-changes.ts";
import { coldPlan } from "./cold-plan.ts";
import { engineOverhead } from "./engine-overhead.ts";
import { idleMemory } from "./idle-memory.ts";
import { largeAsset } from "./large-asset.ts";
import { manyCreates } from "./many-creates.ts";
import { planLargeFleet } from "./plan-large-fleet.ts";
import { planOneChange } from "./plan-one-change.ts";

/** In the order of the table. */
export const rows: readonly BenchRow[] = [
  planOneChange,
  coldPlan,
  planLargeFleet,
  engineOverhead,
  manyCreates,
  callsWithoutChanges,
  idleMemory,
  largeAsset,
];
