import type { BenchRow } from "../bench-row.ts";
import { callsWithoutChanges } from "./calls-without-changes.ts";
import { coldPlan } from "./cold-plan.ts";
import { deployThreeTier } from "./deploy-three-tier.ts";
import { engineOverhead } from "./engine-overhead.ts";
import { idleMemory } from "./idle-memory.ts";
import { largeAsset } from "./large-asset.ts";
import { largeComment } from "./large-comment.ts";
import { libvirtCreate, libvirtRead, libvirtUpload } from "./libvirt.ts";
import { manyCreates } from "./many-creates.ts";
import { planCommentLatency } from "./plan-comment-latency.ts";
import { planLargeFleet } from "./plan-large-fleet.ts";
import { planOneChange } from "./plan-one-change.ts";
import { pollThousandClusters } from "./poll-thousand-clusters.ts";
import { revertLatency } from "./revert-latency.ts";
import { uploadThroughput } from "./upload-throughput.ts";

/** In the order of the table. */
export const rows: readonly BenchRow[] = [
  planOneChange,
  coldPlan,
  planLargeFleet,
  planCommentLatency,
  largeComment,
  revertLatency,
  engineOverhead,
  deployThreeTier,
  manyCreates,
  uploadThroughput,
  pollThousandClusters,
  callsWithoutChanges,
  idleMemory,
  largeAsset,
  libvirtRead,
  libvirtCreate,
  libvirtUpload,
];
