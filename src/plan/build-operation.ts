import { type DesiredVirdomain, identityKey, type Target } from "../fleet/desired-state.ts";
import type { Policy } from "../manifest/document.ts";
import { contentHash } from "../lib/canonical-json.ts";
import { describeCreation } from "./diff-virdomain.ts";
import type { LiveVirdomain } from "./live-state.ts";
import {
  type Change,
  type Disruption,
  disruptionOrder,
  type Notice,
  type Operation,
  type OperationKind,
} from "./plan.ts";

/** A VM that is to come into being, or whose creation is to go on. */
export function createOperation(
  target: Target,
  desired: DesiredVirdomain,
  half: LiveVirdomain | undefined,
  notices: readonly Notice[],
): Operation {
  const disks = desired.disks
    .filter((disk) => disk.type !== "ide_cdrom")
    .map(({ name, capacityBytes }) => ({ name, capacityBytes }));
  return operation("create", target, desired, half, describeCreation(desired), notices, disks);
}

/** What brings an existing VM to what is desired; undefined when there is nothing to do. */
export function changeOperation(
  target: Target,
  desired: DesiredVirdomain,
  live: LiveVirdomain,
  changes: readonly Change[],
  notices: readonly Notice[],
  adopt: boolean,
): Operation | undefined {
  if (changes.length === 0 && !adopt) return undefined;
  const onlyDrift = changes.length > 0 && changes.every((change) => change.origin === "drift");
  if (onlyDrift && desired.policy.drift === "report" && !adopt) return undefined;
  const rebuild = changes.some((change) => change.disruption === "rebuild");
  const onlyPower = !adopt && changes.every((change) => change.kind === "power");
  const kind: OperationKind = rebuild
    ? "replace"
    : onlyPower
      ? desired.state === "running"
        ? "start"
        : "stop"
      : "update";
  const disks = rebuild ? namedDisks(live) : [];
  const planned = operation(kind, target, desired, live, changes, notices, disks);
  return { ...planned, adopt };
}

/**
 * A VM that comes back from quarantine with its disks, and is made what is desired. That it gets its name back and is on
 * again goes without saying.
 */
export function restoreOperation(
  target: Target,
  desired: DesiredVirdomain,
  live: LiveVirdomain,
  changes: readonly Change[],
  notices: readonly Notice[],
): Operation {
  const note = live.mark?.quarantine;
  if (note === undefined) throw new Error("only a VM in quarantine can be planned to come back");
  const shown = changes.filter(
    ({ kind }) =>
      !(kind === "name" && desired.name === note.name) && !(kind === "power" && desired.state === "running"),
  );
  const planned = operation("restore", target, desired, live, shown, notices, namedDisks(live));
  return { ...planned, disruption: worstDisruption("restore", changes), restores: note };
}

/** What takes the place of a VM that has to be rebuilt, and what becomes of that one. */
export interface Replacement {
  /** How long the old VM stays in quarantine; 0: it is deleted. */
  readonly keepMs: number;
  /** A VM of this identity in quarantine that needs no rebuild, and in what it differs. */
  readonly successor?: { readonly live: LiveVirdomain; readonly changes: readonly Change[] } | undefined;
}

/** A rebuild that keeps the old VM for a time, and brings back the one it was before where that is still there. */
export function keepReplaced(planned: Operation, { keepMs, successor }: Replacement): Operation {
  const kept = keepMs > 0 ? { ...planned, quarantine: { keepMs } } : planned;
  const note = successor?.live.mark?.quarantine;
  if (successor === undefined || note === undefined) return kept;
  const causes = planned.changes.filter(({ disruption }) => disruption === "rebuild");
  const paths = new Set(causes.map(({ path }) => path));
  const differences = successor.changes.filter(
    ({ kind, path }) => !paths.has(path) && kind !== "name" && kind !== "power",
  );
  const { id: virdomainId } = successor.live;
  return {
    ...kept,
    changes: [...causes, ...differences],
    successor: { virdomainId, note, disks: namedDisks(successor.live) },
  };
}

function operation(
  kind: OperationKind,
  target: { readonly cluster: string; readonly application: string; readonly deployment: string | undefined },
  desired: DesiredVirdomain,
  live: LiveVirdomain | undefined,
  changes: readonly Change[],
  notices: readonly Notice[],
  disks: Operation["disks"],
): Operation {
  return {
    id: operationId(target.cluster, identityKey(desired.identity), kind),
    kind,
    cluster: target.cluster,
    application: target.application,
    deployment: target.deployment,
    identity: desired.identity,
    ...formerlyOf(desired, live),
    virdomain: desired.name,
    virdomainId: live?.id,
    changes,
    notices,
    disruption: worstDisruption(kind, changes),
    adopt: false,
    step: desired.step,
    fingerprint: live === undefined ? "" : liveFingerprint(live),
    disks,
  };
}

function formerlyOf(desired: DesiredVirdomain, live: LiveVirdomain | undefined): Pick<Operation, "formerly"> {
  const marked = live?.mark?.identity;
  return marked === undefined || identityKey(marked) === identityKey(desired.identity) ? {} : { formerly: marked };
}

function operationId(cluster: string, key: string, kind: OperationKind): string {
  return contentHash({ cluster, key, kind }, 16);
}

/** Hash of the facts a plan rests on; what changes by itself (addresses, agent, busy) is left out. */
export function liveFingerprint(live: LiveVirdomain): string {
  const { busy: _busy, guestAgent: _agent, nics, ...facts } = live;
  return contentHash({ ...facts, nics: nics.map(({ addresses: _addresses, ...nic }) => nic) }, 16);
}

function worstDisruption(kind: OperationKind, changes: readonly Change[]): Disruption {
  if (kind === "delete" || kind === "replace" || kind === "quarantine") return "data-loss";
  return disruptionOrder.findLast((disruption) => changes.some((change) => change.disruption === disruption)) ?? "live";
}

function namedDisks(live: LiveVirdomain): Operation["disks"] {
  return live.disks
    .filter((disk) => disk.type !== "ide_cdrom")
    .map((disk) => ({ name: disk.name ?? disk.id, capacityBytes: disk.capacityBytes }));
}

/** A VM that goes, with its disks. */
export function deleteOperation(
  cluster: string,
  live: LiveVirdomain,
  deployment: string | undefined,
  step: number,
): Operation {
  return removal("delete", cluster, live, deployment, step);
}

/** A VM that is shut down and set aside for as long as policy keeps it, or is on its way there already. */
export function quarantineOperation(
  cluster: string,
  live: LiveVirdomain,
  deployment: string | undefined,
  step: number,
  { quarantineMs }: Pick<Policy, "quarantineMs">,
): Operation {
  const begun = live.mark?.quarantine;
  const quarantine =
    begun === undefined ? { keepMs: quarantineMs } : { keepMs: begun.untilMs - begun.atMs, untilMs: begun.untilMs };
  return { ...removal("quarantine", cluster, live, deployment, step), quarantine };
}

function removal(
  kind: "delete" | "quarantine",
  cluster: string,
  live: LiveVirdomain,
  deployment: string | undefined,
  step: number,
): Operation {
  const identity = live.mark?.identity;
  if (identity === undefined) throw new Error("only a marked VM can be planned for deletion");
  return {
    id: operationId(cluster, `${identityKey(identity)}@${live.id}`, kind),
    kind,
    cluster,
    application: identity.application,
    deployment,
    identity,
    virdomain: live.name,
    virdomainId: live.id,
    changes: [],
    notices: [],
    disruption: "data-loss",
    adopt: false,
    step,
    fingerprint: liveFingerprint(live),
    disks: namedDisks(live),
  };
}
