import { type DesiredState, identityKey, targetKey } from "../../fleet/desired-state.ts";
import { targetsOn } from "../../plan/cluster-index.ts";
import type { AppliedVirdomain } from "../../plan/compare-applied.ts";
import type { AppliedTarget } from "../../ports/state-store.ts";
import type { Engine } from "../engine.ts";
import { fetchRevision } from "../planning/load-revision.ts";
import { lastTip } from "../signatures/last-tip.ts";

/** Where a repository stands, as far as drift is concerned. */
export type Standing =
  /** Nothing was ever synced. */
  | { readonly kind: "unsynced" }
  /** A sync is under way or about to begin: what changes now may be our own work. */
  | { readonly kind: "moving"; readonly revision: string }
  /** `stopped`: a failure ended its rollout, and no sync may begin what it kept back until a person or a commit says so. */
  | { readonly kind: "settled"; readonly revision: string; readonly syncId: string; readonly stopped: boolean };

export async function readStanding({ store }: Pick<Engine, "store">, repository: string): Promise<Standing> {
  const branch = await store.readBranch(repository);
  const sync = branch.currentSync === undefined ? undefined : await store.readSync(branch.currentSync);
  if (sync === undefined) return { kind: "unsynced" };
  const { revision, id: syncId } = sync.record;
  if (sync.state.kind !== "finished" || lastTip(branch) !== revision) return { kind: "moving", revision };
  return { kind: "settled", revision, syncId, stopped: (sync.state.verdict.notStarted ?? 0) > 0 };
}

/** What a revision asks for, and what of it the last sync brought to its end. */
export interface LastApplied {
  readonly desired: DesiredState;
  readonly applied: ReadonlyMap<string, AppliedTarget>;
}

export async function readLastApplied(
  engine: Pick<Engine, "config" | "repository" | "store">,
  name: string,
  revision: string,
  signal: AbortSignal,
): Promise<LastApplied> {
  const repository = await engine.repository(name);
  const [{ desired }, applied] = await Promise.all([
    fetchRevision(engine, repository, revision, signal),
    engine.store.readApplied(name),
  ]);
  return { desired, applied };
}

/**
 * VMs of a cluster by identity, as the last sync left them. Targets it did not bring to an end are left out: what
 * differs there is unfinished work, which a commit or a person takes up again, and no drift.
 */
export function appliedOn({ desired, applied }: LastApplied, cluster: string): ReadonlyMap<string, AppliedVirdomain> {
  const finished = targetsOn(desired, cluster).filter(
    (target) =>
      applied.get(targetKey(target))?.hash === target.hash && !desired.brokenApplications.has(target.application),
  );
  return new Map(
    finished.flatMap(({ virdomains, hash: targetHash }) =>
      virdomains.map((virdomain) => [identityKey(virdomain.identity), { desired: virdomain, targetHash }] as const),
    ),
  );
}
