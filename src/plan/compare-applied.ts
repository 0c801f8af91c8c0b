import { type DesiredVirdomain, identityKey } from "../fleet/desired-state.ts";
import { liveFingerprint } from "./build-operation.ts";
import { diffVirdomain } from "./diff-virdomain.ts";
import type { LiveVirdomain, PlatformTraits } from "./live-state.ts";

/** A VM as it was brought to its end by the last sync, with what tells that wish from a later one. */
export interface AppliedVirdomain {
  readonly desired: DesiredVirdomain;
  readonly targetHash: string;
}

/** VMs of one repository on one cluster as far as they were read. */
export interface Sight {
  readonly owned: readonly LiveVirdomain[];
  /** Nothing is missing: a VM that is not among them is not there. */
  readonly whole: boolean;
}

/** In what a VM differs: `git` undefined is what git does not ask for, `live` undefined what is not there. */
export interface DriftedField {
  readonly path: string;
  readonly git: string | undefined;
  readonly live: string | undefined;
}

/** A VM that is not as it was applied. `live` undefined: it is gone. */
export interface DriftedVirdomain {
  readonly key: string;
  readonly applied: AppliedVirdomain;
  readonly live: LiveVirdomain | undefined;
  readonly fields: readonly DriftedField[];
}

export interface Comparison {
  readonly drifted: readonly DriftedVirdomain[];
  /** VMs on their way from one state to another: to be looked at again. */
  readonly unsteady: readonly LiveVirdomain[];
  /** VMs that are as they were applied, by identity. */
  readonly steady: ReadonlySet<string>;
}

/** The VMs that carry the mark of this instance and repository and are in use. */
export function ownedBy(
  virdomains: readonly LiveVirdomain[],
  instance: string,
  repository: string,
): readonly LiveVirdomain[] {
  return virdomains.filter(
    ({ mark }) =>
      mark?.instance === instance && mark.identity.repository === repository && mark.quarantine === undefined,
  );
}

/** What of a cluster is no longer as it was applied. */
export function compareWithApplied(
  applied: ReadonlyMap<string, AppliedVirdomain>,
  { owned, whole }: Sight,
  traits: PlatformTraits,
): Comparison {
  const drifted: DriftedVirdomain[] = [];
  const unsteady: LiveVirdomain[] = [];
  const steady = new Set<string>();
  const present = new Map<string, number>();
  for (const live of owned) present.set(keyOf(live), (present.get(keyOf(live)) ?? 0) + 1);
  for (const live of owned) {
    const key = keyOf(live);
    const wish = applied.get(key);
    // A VM under construction is what a sync has left; copies and replicas are never touched; twins are a conflict.
    if (wish === undefined || live.mark?.building === true || live.clone || live.replica || present.get(key) !== 1)
      continue;
    if (live.busy || live.power === "shutting-down") {
      unsteady.push(live);
      continue;
    }
    const fields = driftedFields(wish.desired, live, traits);
    if (fields.length === 0) steady.add(key);
    else drifted.push({ key, applied: wish, live, fields });
  }
  if (whole)
    for (const [key, wish] of applied)
      if (!present.has(key)) drifted.push({ key, applied: wish, live: undefined, fields: [] });
  return { drifted, unsteady, steady };
}

function keyOf({ mark }: LiveVirdomain): string {
  return mark === undefined ? "" : identityKey(mark.identity);
}

/** Nothing while the VM is as desired, or where no operation could change it. */
function driftedFields(
  desired: DesiredVirdomain,
  live: LiveVirdomain,
  traits: PlatformTraits,
): readonly DriftedField[] {
  const { changes, refusals } = diffVirdomain(desired, live, traits, { upkeep: false });
  return refusals.length > 0 ? [] : changes.map(({ path, from, to }) => ({ path, git: to, live: from }));
}

/** Names of what differs, for logs and statuses. */
export function driftPaths({ live, fields }: DriftedVirdomain): readonly string[] {
  return live === undefined ? ["it is gone"] : fields.map(({ path }) => path);
}

/** What was seen of a VM, so that the same sight is told once: its wish, and its live facts or that it is gone. */
export function sightOf({ applied, live }: DriftedVirdomain): string {
  return `${applied.targetHash}/${live === undefined ? "gone" : liveFingerprint(live)}`;
}

/** Whether it is put right: where policy reports drift it is not, but a VM that is gone is made again all the same. */
export function isCorrected({ applied, live }: DriftedVirdomain): boolean {
  return live === undefined || applied.desired.policy.drift === "correct";
}
