import { type DesiredVirdomain, identityKey, targetKey } from "../fleet/desired-state.ts";
import { targetsOn } from "../plan/cluster-index.ts";
import { liveFingerprint } from "../plan/build-operation.ts";
import { diffVirdomain } from "../plan/diff-virdomain.ts";
import type { LiveVirdomain, PlatformTraits } from "../plan/live-state.ts";
import type { Engine } from "./engine.ts";
import { fetchRevision } from "./load-revision.ts";
import { lastTip } from "./observe-branch.ts";

/** Where a repository stands, as far as drift is concerned. */
export type Standing =
  /** Nothing was ever synced. */
  | { readonly kind: "unsynced" }
  /** A sync is under way or about to begin: what changes now may be our own work. */
  | { readonly kind: "moving" }
  | { readonly kind: "settled"; readonly revision: string };

export async function readStanding({ store }: Pick<Engine, "store">, repository: string): Promise<Standing> {
  const branch = await store.readBranch(repository);
  const sync = branch.currentSync === undefined ? undefined : await store.readSync(branch.currentSync);
  if (sync === undefined) return { kind: "unsynced" };
  const { revision } = sync.record;
  return sync.state.kind === "finished" && lastTip(branch) === revision
    ? { kind: "settled", revision }
    : { kind: "moving" };
}

/** A VM as it was brought to its end by the last sync, with what tells that wish from a later one. */
export interface AppliedVirdomain {
  readonly desired: DesiredVirdomain;
  readonly targetHash: string;
}

/**
 * VMs of a cluster by identity, as the last sync left them. Targets it did not bring to an end are left out: what
 * differs there is unfinished work, which a commit or a person takes up again, and no drift.
 */
export async function readAppliedVirdomains(
  engine: Pick<Engine, "config" | "repository" | "store">,
  name: string,
  revision: string,
  cluster: string,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, AppliedVirdomain>> {
  const repository = await engine.repository(name);
  const [{ desired }, applied] = await Promise.all([
    fetchRevision(engine, repository, revision, signal),
    engine.store.readApplied(name),
  ]);
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

/** What was seen of a VM, so that the same sight is judged once: its wish, and its live facts or that it is gone. */
export function sightOf({ targetHash }: AppliedVirdomain, live: LiveVirdomain | undefined): string {
  return `${targetHash}/${live === undefined ? "gone" : liveFingerprint(live)}`;
}

/** In what a VM differs from what was applied; nothing while it is as desired, or where no operation could change it. */
export function driftOf(
  { desired }: AppliedVirdomain,
  live: LiveVirdomain | undefined,
  traits: PlatformTraits,
): readonly string[] {
  if (live === undefined) return ["it is gone"];
  const { changes, refusals } = diffVirdomain(desired, live, traits, { upkeep: false });
  return refusals.length > 0 ? [] : changes.map(({ path }) => path);
}
