import { type DesiredState, identityKey } from "../fleet/desired-state.ts";
import { targetsOn } from "./cluster-index.ts";
import type { LiveVirdomain, OwnershipMark } from "./live-state.ts";
import { isUnfinished } from "./quarantine.ts";
import { isOn } from "./snapshot-need.ts";

/** Everything that is asked before a VM in quarantine is deleted for good. */
export interface PurgeInput {
  readonly cluster: string;
  readonly instance: string;
  readonly live: LiveVirdomain;
  readonly nowMs: number;
  /** What else is on the cluster: one of them may be what the manifests ask for. */
  readonly others: readonly LiveVirdomain[];
  /** The VM's repository as far as it is known now; `gone` when others are configured and this one no longer is. */
  readonly repository: PurgeRepository | "gone";
}

export interface PurgeRepository {
  /** Why nobody can say now what it asks for: a remote that does not answer, a sync under way. */
  readonly uncertain: string | undefined;
  /** What its newest commit asks for; undefined where that cannot be told. */
  readonly desired: DesiredState | undefined;
}

/** Why a VM in quarantine must stay, or undefined when it may be deleted. In doubt it stays. */
export function reasonToStay(input: PurgeInput): string | undefined {
  const { live, instance } = input;
  const { mark } = live;
  if (mark?.quarantine === undefined) return "it is in no quarantine";
  if (mark.instance !== instance) return `it belongs to instance ${mark.instance}`;
  if (live.clone || live.replica) return "it is a copy";
  return (
    untilItsTime(mark.quarantine, input.nowMs) ??
    (isOn(live) ? "it is not off" : undefined) ??
    (live.busy ? "the cluster is working on it" : undefined) ??
    (isUnfinished(live) ? "it still has its name, so its quarantine is not complete" : undefined) ??
    (input.repository === "gone" ? undefined : wantedBy(input.repository, mark, input))
  );
}

/** A clock that runs before the quarantine began is wrong now, or was wrong then: neither may cost a disk. */
function untilItsTime({ atMs, untilMs }: NonNullable<OwnershipMark["quarantine"]>, nowMs: number): string | undefined {
  if (nowMs < atMs) return "the clock is before the beginning of its quarantine";
  if (untilMs < atMs) return "its quarantine ends before it begins";
  return nowMs < untilMs ? "its time is not over" : undefined;
}

function wantedBy(
  { uncertain, desired }: PurgeRepository,
  mark: OwnershipMark,
  { cluster, nowMs, others }: PurgeInput,
): string | undefined {
  if (uncertain !== undefined) return uncertain;
  if (desired === undefined) return "its repository was never synced";
  const { application, repository } = mark.identity;
  if (desired.repository !== repository) return "its repository is another one";
  // One that is being taken apart already is nobody's wish any more: its disks are going.
  if (!mark.building && !isReplaced(mark, others) && isWanted(desired, cluster, mark)) return "a manifest asks for it";
  if (desired.drafts?.has(application) === true) return `${application} is a draft`;
  if (desired.brokenApplications.has(application)) return `the manifest of ${application} has problems`;
  if (!desired.complete) return "a file of the repository cannot be read";
  const virdomains = [...desired.targets.values()].flatMap((target) => target.virdomains);
  if (virdomains.length === 0 && !desired.undeployed.has(application))
    return "its repository describes no VM at all, and an empty desired state never deletes";
  const kept = virdomains.filter(
    ({ identity, deployment }) =>
      identity.application === application && (deployment === mark.deployment || mark.deployment === undefined),
  );
  const quarantineMs = Math.max(0, ...kept.map(({ policy }) => policy.quarantineMs));
  const atMs = mark.quarantine?.atMs ?? nowMs;
  return nowMs < atMs + quarantineMs ? "its deployment keeps VMs longer by now" : undefined;
}

function isWanted(desired: DesiredState, cluster: string, { identity }: OwnershipMark): boolean {
  const key = identityKey(identity);
  return targetsOn(desired, cluster)
    .flatMap((target) => target.virdomains)
    .flatMap((virdomain) => [virdomain.identity, ...virdomain.formerIdentities])
    .some((wanted) => identityKey(wanted) === key);
}

/** Whether another VM is the one of this mark by now, whole: then what a manifest asks for is that one. */
function isReplaced({ instance, identity }: OwnershipMark, others: readonly LiveVirdomain[]): boolean {
  const key = identityKey(identity);
  return others.some(
    ({ mark, clone, replica }) =>
      mark !== undefined &&
      mark.instance === instance &&
      mark.quarantine === undefined &&
      !mark.building &&
      !clone &&
      !replica &&
      identityKey(mark.identity) === key,
  );
}
