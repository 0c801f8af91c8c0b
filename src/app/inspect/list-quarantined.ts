import { identityKey } from "../../fleet/desired-state.ts";
import { compareText } from "../../lib/compare.ts";
import type { LiveState, LiveVirdomain, PowerState } from "../../plan/live-state.ts";
import type { HeldCluster } from "../../plan/plan.ts";
import type { Engine } from "../engine.ts";
import { readClusters } from "../planning/read-clusters.ts";

/** One VM in quarantine, for people and programs. */
export interface QuarantinedVirdomain {
  readonly cluster: string;
  /** What it is called now, and before. */
  readonly virdomain: string;
  readonly name: string;
  readonly id: string;
  readonly identity: string;
  readonly power: PowerState;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** The commit that took it away. */
  readonly revision: string;
  /** Of its disks together, as large as they may grow. */
  readonly bytes: number;
}

/** What this instance keeps in quarantine on these clusters, the first to go first. */
export async function listQuarantined(
  engine: Pick<Engine, "config" | "hypervisor" | "log">,
  clusters: readonly string[],
  signal: AbortSignal,
): Promise<{ readonly virdomains: readonly QuarantinedVirdomain[]; readonly held: readonly HeldCluster[] }> {
  const { instance } = engine.config();
  const { live, held } = await readClusters(engine, clusters, signal, 60_000);
  const found = [...live.values()].flatMap(({ state }) => toQuarantined(state, instance));
  return { virdomains: found.sort((a, b) => a.untilMs - b.untilMs || compareText(a.id, b.id)), held };
}

/** What this instance keeps in quarantine on one cluster. */
export function toQuarantined({ cluster, quarantined = [] }: LiveState, instance: string): QuarantinedVirdomain[] {
  return quarantined.flatMap((virdomain) => toListed(cluster, virdomain, instance));
}

function toListed(cluster: string, live: LiveVirdomain, instance: string): readonly QuarantinedVirdomain[] {
  const { mark, disks, id, name, power } = live;
  if (mark?.quarantine === undefined || mark.instance !== instance) return [];
  const { atMs, untilMs, revision, name: before } = mark.quarantine;
  const bytes = disks.reduce((sum, disk) => sum + disk.capacityBytes, 0);
  const identity = identityKey(mark.identity);
  return [{ cluster, virdomain: name, name: before, id, identity, power, sinceMs: atMs, untilMs, revision, bytes }];
}
