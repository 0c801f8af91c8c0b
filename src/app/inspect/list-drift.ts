import { compareText } from "../../lib/compare.ts";
import { type AppliedVirdomain, compareWithApplied, type DriftedField, ownedBy } from "../../plan/compare-applied.ts";
import type { LiveState, LiveVirdomain, PlatformTraits } from "../../plan/live-state.ts";
import type { HeldCluster } from "../../plan/plan.ts";
import type { RememberedDrift } from "../../ports/state-store.ts";
import { driftKey, recordInForce } from "../../sync/drift-pace.ts";
import type { Engine } from "../engine.ts";
import { appliedOn, readLastApplied, readStanding } from "../drift/find-drift.ts";
import { type QuarantinedVirdomain, toQuarantined } from "./list-quarantined.ts";
import { readClusters } from "../planning/read-clusters.ts";

/** One VM that is not as it was applied. */
export interface ListedDrift {
  readonly cluster: string;
  readonly repository: string;
  readonly application: string;
  readonly virdomain: string;
  readonly identity: string;
  /** Undefined: the VM is gone. */
  readonly id: string | undefined;
  readonly policy: "correct" | "report";
  readonly fields: readonly DriftedField[];
  /** Corrections that count, and since when it is left alone. */
  readonly corrections: number;
  readonly gaveUpAtMs: number | undefined;
}

/** One VM that no manifest of this instance asks for. */
export interface UnmanagedVirdomain {
  readonly cluster: string;
  readonly virdomain: string;
  readonly id: string;
  readonly power: string;
  readonly why: "no mark" | "clone" | "replica" | "other instance" | "no repository";
}

export interface DriftList {
  readonly drifted: readonly ListedDrift[];
  readonly unmanaged: readonly UnmanagedVirdomain[];
  readonly quarantined: readonly QuarantinedVirdomain[];
  /** Repositories of which a sync is under way: what it is about to change is left out. */
  readonly syncing: readonly string[];
  readonly held: readonly HeldCluster[];
}

type ListingEngine = Pick<Engine, "config" | "hypervisor" | "log" | "repository" | "store">;

/** How clusters differ from what was applied to them, read now: one list call for each. Changes nothing. */
export async function listDrift(
  engine: ListingEngine,
  clusters: readonly string[],
  signal: AbortSignal,
): Promise<DriftList> {
  const { instance, repositories } = engine.config();
  const { live, held } = await readClusters(engine, clusters, signal, 60_000);
  const parts: ListedDrift[] = [];
  const syncing: string[] = [];
  for (const { name } of repositories) {
    const standing = await readStanding(engine, name);
    if (standing.kind === "unsynced") continue;
    if (standing.kind === "moving") syncing.push(name);
    const remembered = await engine.store.readDrift(name);
    const last = await readLastApplied(engine, name, standing.revision, signal);
    for (const [cluster, { state, traits }] of live) {
      const applied = appliedOn(last, cluster);
      parts.push(...driftedOn({ instance, repository: name, state, traits, applied, remembered }));
    }
  }
  const names = new Set(repositories.map(({ name }) => name));
  const states = [...live.values()].map(({ state }) => state);
  return {
    drifted: parts.sort(inOrder),
    unmanaged: states.flatMap((state) => unmanagedOn(state, instance, names)).sort(inOrder),
    quarantined: states.flatMap((state) => toQuarantined(state, instance)).sort(inOrder),
    syncing,
    held,
  };
}

function driftedOn(given: {
  readonly instance: string;
  readonly repository: string;
  readonly state: LiveState;
  readonly traits: PlatformTraits;
  readonly applied: ReadonlyMap<string, AppliedVirdomain>;
  readonly remembered: RememberedDrift;
}): readonly ListedDrift[] {
  const { repository, state, applied } = given;
  const { cluster } = state;
  const owned = ownedBy(state.virdomains, given.instance, repository);
  const { drifted } = compareWithApplied(applied, { owned, whole: true }, given.traits);
  const { records, restartedAtMs } = given.remembered;
  return drifted.map(({ key, applied: { desired, targetHash }, live, fields }): ListedDrift => {
    const record = recordInForce({ seen: { targetHash }, record: records.get(driftKey(cluster, key)), restartedAtMs });
    return {
      cluster,
      repository,
      application: desired.identity.application,
      virdomain: desired.name,
      identity: key,
      id: live?.id,
      policy: desired.policy.drift,
      fields,
      corrections: record?.correctedAtMs.length ?? 0,
      gaveUpAtMs: record?.gaveUp?.atMs,
    };
  });
}

function unmanagedOn(
  { cluster, virdomains }: LiveState,
  instance: string,
  repositories: ReadonlySet<string>,
): readonly UnmanagedVirdomain[] {
  return virdomains.flatMap((live): readonly UnmanagedVirdomain[] => {
    const why = whyUnmanaged(live, instance, repositories);
    return why === undefined ? [] : [{ cluster, virdomain: live.name, id: live.id, power: live.power, why }];
  });
}

function whyUnmanaged(
  { mark, clone, replica }: LiveVirdomain,
  instance: string,
  repositories: ReadonlySet<string>,
): UnmanagedVirdomain["why"] | undefined {
  if (clone) return "clone";
  if (replica) return "replica";
  if (mark === undefined) return "no mark";
  if (mark.instance !== instance) return "other instance";
  return repositories.has(mark.identity.repository) ? undefined : "no repository";
}

function inOrder(
  a: { readonly cluster: string; readonly virdomain: string },
  b: { readonly cluster: string; readonly virdomain: string },
): number {
  return compareText(a.cluster, b.cluster) || compareText(a.virdomain, b.virdomain);
}
