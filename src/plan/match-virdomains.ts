import { type DesiredVirdomain, identityKey } from "../fleet/desired-state.ts";
import type { LiveVirdomain, PlatformTraits } from "./live-state.ts";
import type { Conflict } from "./plan.ts";
import { canComeBack, isUnfinished, quarantinedOf } from "./quarantine.ts";

/** What planning decided about one desired VM before looking at its fields. */
export type Match =
  /** `stays` are VMs of this identity in quarantine that cannot be this one again. */
  | { readonly kind: "new"; readonly stays: readonly LiveVirdomain[] }
  | { readonly kind: "restore"; readonly live: LiveVirdomain }
  /** Its predecessor has its name still, as it is only on its way into quarantine and cannot come back. */
  | { readonly kind: "set-aside"; readonly live: LiveVirdomain }
  | { readonly kind: "ours"; readonly live: LiveVirdomain }
  | { readonly kind: "adopt"; readonly live: LiveVirdomain }
  | { readonly kind: "conflict"; readonly code: Conflict["code"]; readonly message: string };

/** The VMs of one cluster that carry the mark of this instance and repository, by identity. Clones are not among them. */
export function indexOwned(
  live: readonly LiveVirdomain[],
  instance: string,
  repository: string,
): Map<string, LiveVirdomain[]> {
  const owned = new Map<string, LiveVirdomain[]>();
  for (const virdomain of live) {
    const mark = virdomain.mark;
    if (mark === undefined || mark.instance !== instance || mark.identity.repository !== repository) continue;
    const key = identityKey(mark.identity);
    owned.set(key, [...(owned.get(key) ?? []), virdomain]);
  }
  return owned;
}

/** VMs by name, which platforms do not keep unique. */
export function indexNames(live: readonly LiveVirdomain[]): Map<string, LiveVirdomain[]> {
  const names = new Map<string, LiveVirdomain[]>();
  for (const virdomain of live) names.set(virdomain.name, [...(names.get(virdomain.name) ?? []), virdomain]);
  return names;
}

/**
 * Finds the VM a desired VM already is: by its mark, then by an identity it had before. A name alone never makes a VM
 * ours; a VM of that name without our mark is a conflict unless the deployment adopts it. What is found nowhere comes back
 * from quarantine: the newest VM that can be this one again with its disks.
 */
export function matchVirdomain(
  desired: DesiredVirdomain,
  owned: ReadonlyMap<string, readonly LiveVirdomain[]>,
  names: ReadonlyMap<string, readonly LiveVirdomain[]>,
  { quarantined, traits }: Quarantine,
): Match {
  for (const identity of [desired.identity, ...desired.formerIdentities]) {
    const found = owned.get(identityKey(identity)) ?? [];
    if (found.length > 1) {
      const ids = found.map((virdomain) => virdomain.id).join(", ");
      return {
        kind: "conflict",
        code: "duplicate-mark",
        message: `${found.length} VMs carry the mark of ${identityKey(identity)} (${ids}); remove the mark from the wrong one`,
      };
    }
    const [live] = found;
    if (live === undefined) continue;
    if (live.replica)
      return {
        kind: "conflict",
        code: "replica",
        message: `VM ${live.name} is a replication target and is not touched`,
      };
    const taken = namesakes(desired.name, names).find((other) => other.id !== live.id);
    if (taken !== undefined && live.name !== desired.name) return nameConflict(desired, taken);
    return { kind: "ours", live };
  }
  const waiting = quarantinedOf(desired, quarantined);
  const returning = waiting.find((live) => canComeBack(desired, live, traits));
  const others = namesakes(desired.name, names).filter(({ id }) => id !== returning?.id);
  const leaving = waiting.find((live) => live !== returning && isUnfinished(live) && others.includes(live));
  if (leaving !== undefined) return { kind: "set-aside", live: leaving };
  return matchByName(desired, others, returning, waiting);
}

/** What matching knows of VMs in quarantine. */
export interface Quarantine {
  /** Ours, by identity. */
  readonly quarantined: ReadonlyMap<string, readonly LiveVirdomain[]>;
  readonly traits: PlatformTraits;
}

function matchByName(
  desired: DesiredVirdomain,
  found: readonly LiveVirdomain[],
  returning: LiveVirdomain | undefined,
  waiting: readonly LiveVirdomain[],
): Match {
  const [first] = found;
  if (first === undefined)
    return returning === undefined ? { kind: "new", stays: waiting } : { kind: "restore", live: returning };
  const adoptable = found.length === 1 && first.mark === undefined && !first.clone && !first.replica;
  if (desired.policy.adopt && adoptable) return { kind: "adopt", live: first };
  return nameConflict(desired, first, found.length);
}

function nameConflict(desired: DesiredVirdomain, taken: LiveVirdomain, count = 1): Match {
  const whose =
    taken.mark !== undefined
      ? `belongs to ${identityKey(taken.mark.identity)} of instance ${taken.mark.instance}`
      : taken.clone
        ? "is a clone of a managed VM"
        : taken.replica
          ? "is a replication target"
          : "is not managed by kraken-gitops";
  const many = count > 1 ? ` (${count} VMs have that name)` : "";
  const help =
    taken.mark === undefined && !taken.clone
      ? "; rename one of them, or set policy.adopt in the deployment to take it over"
      : "; rename one of them";
  return {
    kind: "conflict",
    code: "name-taken",
    message: `a VM named ${desired.name} exists (${taken.id}) and ${whose}${many}${help}`,
  };
}

function namesakes(name: string, names: ReadonlyMap<string, readonly LiveVirdomain[]>): readonly LiveVirdomain[] {
  return names.get(name) ?? [];
}

/**
 * What an adopted VM looks like once its devices are named by position: disks and NICs in their own order. Tags that the
 * manifest does not name stay people's.
 */
export function nameDevices(live: LiveVirdomain, desired: DesiredVirdomain): LiveVirdomain {
  const disks = live.disks.map((disk, index) => {
    const ofType = live.disks.slice(0, index + 1).filter((other) => other.type === disk.type).length - 1;
    const wanted = desired.disks.filter((other) => other.type === disk.type)[ofType];
    return { ...disk, name: wanted?.name, assetId: wanted?.asset?.id };
  });
  const nics = live.nics.map((nic, index) => ({ ...nic, name: desired.nics[index]?.name }));
  return { ...live, tags: live.tags.filter((tag) => desired.tags.includes(tag)), disks, nics };
}
