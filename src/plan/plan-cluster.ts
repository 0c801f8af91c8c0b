import { contentHash } from "../lib/canonical-json.ts";
import {
  type DesiredState,
  type DesiredVirdomain,
  identityKey,
  type Target,
  targetKey,
} from "../fleet/desired-state.ts";
import { assumeApplied } from "./assume-applied.ts";
import { plannedApplications, targetsOn } from "./cluster-index.ts";
import { type DiffContext, describeCreation, diffVirdomain, isProtected } from "./diff-virdomain.ts";
import type { LiveState, LiveVirdomain, PlatformTraits } from "./live-state.ts";
import { indexNames, indexOwned, type Match, matchVirdomain, nameDevices } from "./match-virdomains.ts";
import {
  type Change,
  type Conflict,
  type Disruption,
  disruptionOrder,
  type Notice,
  type Operation,
  type OperationKind,
  type TargetSummary,
} from "./plan.ts";

/** Everything planning one cluster rests on. */
export interface ClusterPlanInput {
  readonly instance: string;
  readonly desired: DesiredState;
  /** What the revision before asked for; tells a change of git from drift, and the order of deletions. */
  readonly base: DesiredState | undefined;
  readonly live: LiveState;
  readonly traits: PlatformTraits;
  /** Targets an earlier sync left in motion: what differs there is ours to put right, not drift. */
  readonly enforced: ReadonlySet<string>;
  /** Target keys to plan; undefined plans everything on this cluster. */
  readonly scope: ReadonlySet<string> | undefined;
}

export interface ClusterPlan {
  readonly operations: readonly Operation[];
  readonly conflicts: readonly Conflict[];
  readonly targets: readonly TargetSummary[];
  /** VMs of this repository on the cluster, for the deletion budget. */
  readonly owned: number;
}

/** From live to desired on one cluster: pure, and the same for the same input. */
export function planCluster(input: ClusterPlanInput): ClusterPlan {
  const { cluster } = input.live;
  const onCluster = targetsOn(input.desired, cluster);
  const targets = onCluster.filter((target) => inScope(input, target));
  const owned = indexOwned(input.live.virdomains, input.instance, input.desired.repository);
  const names = indexNames(input.live.virdomains);
  const planner = {
    input,
    owned,
    names,
    base: baseVirdomains(input, cluster),
    wanted: identityKeys(onCluster),
    claimed: new Set<string>(),
  };
  const parts = targets.map((target) => planTarget(planner, target));
  const removals = planRemovals(planner);
  return {
    operations: [...parts.flatMap((part) => part.operations), ...removals.operations].sort(compareOperations),
    conflicts: [...parts.flatMap((part) => part.conflicts), ...removals.conflicts],
    targets: [...parts.map((part) => part.summary), ...removals.summaries],
    owned: [...owned.values()].reduce((sum, list) => sum + list.length, 0),
  };
}

interface Planner {
  readonly input: ClusterPlanInput;
  readonly owned: ReadonlyMap<string, readonly LiveVirdomain[]>;
  readonly names: ReadonlyMap<string, readonly LiveVirdomain[]>;
  readonly base: ReadonlyMap<string, DesiredVirdomain>;
  /** Identities asked for on this cluster: a VM that could not be matched (a conflict) is not deleted meanwhile. */
  readonly wanted: ReadonlySet<string>;
  /** Ids of live VMs that a desired VM is, in this cluster. */
  readonly claimed: Set<string>;
}

interface TargetPlan {
  readonly operations: readonly Operation[];
  readonly conflicts: readonly Conflict[];
  readonly summary: TargetSummary;
}

function inScope(input: ClusterPlanInput, target: { readonly cluster: string; readonly application: string }): boolean {
  return input.scope === undefined || input.scope.has(targetKey(target));
}

function baseVirdomains(input: ClusterPlanInput, cluster: string): Map<string, DesiredVirdomain> {
  const virdomains = targetsOn(input.base, cluster).flatMap((target) => target.virdomains);
  return new Map(virdomains.map((virdomain) => [identityKey(virdomain.identity), virdomain]));
}

function identityKeys(targets: readonly Target[]): Set<string> {
  const virdomains = targets.flatMap((target) => target.virdomains);
  return new Set(
    virdomains.flatMap((virdomain) => [virdomain.identity, ...virdomain.formerIdentities].map(identityKey)),
  );
}

function planTarget(planner: Planner, target: Target): TargetPlan {
  const operations: Operation[] = [];
  const conflicts: Conflict[] = [];
  const notices: (Notice & { virdomain: string })[] = [];
  let unchanged = 0;
  for (const desired of target.virdomains) {
    const match = matchVirdomain(desired, planner.owned, planner.names);
    const planned = planVirdomain(planner, target, desired, match);
    conflicts.push(...planned.conflicts);
    notices.push(...planned.notices.map((notice) => ({ ...notice, virdomain: desired.name })));
    if (planned.operation !== undefined) operations.push(planned.operation);
    else if (planned.conflicts.length === 0) unchanged += 1;
  }
  const { cluster, application, deployment } = target;
  return {
    operations,
    conflicts,
    summary: { cluster, application, deployment, unchanged, operations: operations.length, notices },
  };
}

interface VirdomainPlan {
  readonly operation: Operation | undefined;
  readonly conflicts: readonly Conflict[];
  readonly notices: readonly Notice[];
}

function planVirdomain(planner: Planner, target: Target, desired: DesiredVirdomain, match: Match): VirdomainPlan {
  const conflict = (code: Conflict["code"], message: string): Conflict => ({
    code,
    cluster: target.cluster,
    application: target.application,
    virdomain: desired.name,
    message,
  });
  if (match.kind === "conflict")
    return { operation: undefined, conflicts: [conflict(match.code, match.message)], notices: [] };
  if (match.kind === "new")
    return { operation: createOperation(target, desired, undefined, []), conflicts: [], notices: [] };
  planner.claimed.add(match.live.id);
  if (match.live.mark?.building === true) {
    const notice: Notice = {
      code: "still-building",
      path: "",
      message: "an earlier attempt to create this VM was interrupted and is continued",
    };
    return { operation: createOperation(target, desired, match.live, [notice]), conflicts: [], notices: [] };
  }
  const live = match.kind === "adopt" ? nameDevices(match.live, desired) : match.live;
  const difference = diffVirdomain(desired, live, planner.input.traits, contextOf(planner, desired));
  if (difference.refusals.length > 0) {
    return {
      operation: undefined,
      conflicts: difference.refusals.map((refusal) => conflict(refusal.code, refusal.message)),
      notices: difference.notices,
    };
  }
  const adopts: Notice[] =
    match.kind === "adopt"
      ? [{ code: "adopts", path: "", message: "takes over a VM that was not managed until now" }]
      : [];
  const notices = [...difference.notices, ...adopts];
  const operation = changeOperation(target, desired, match.live, difference.changes, notices, match.kind === "adopt");
  if (operation?.kind === "replace" && isProtected(desired)) {
    return {
      operation: undefined,
      conflicts: [
        conflict(
          "protected",
          "this VM is protected and will not be rebuilt; take it off policy.protect in a commit of its own first",
        ),
      ],
      notices,
    };
  }
  return { operation, conflicts: [], notices };
}

/** Git against git by the same comparison: what differs between the revisions is theirs, the rest was different before. */
function contextOf({ input, base }: Planner, desired: DesiredVirdomain): DiffContext {
  const known = [desired.identity, ...desired.formerIdentities].map((identity) => base.get(identityKey(identity)));
  const before = known.find((virdomain) => virdomain !== undefined);
  if (before === undefined) return {};
  const key = targetKey({ cluster: input.live.cluster, application: desired.identity.application });
  if (input.enforced.has(key)) return { before };
  const { changes } = diffVirdomain(desired, assumeApplied(before, input.instance, undefined), input.traits);
  const paths = new Set(changes.map((change) => change.path));
  return { before, originOf: (path) => (paths.has(path) ? "git" : "drift") };
}

function createOperation(
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

function changeOperation(
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

function operationId(cluster: string, key: string, kind: OperationKind): string {
  return contentHash({ cluster, key, kind }, 16);
}

/** Hash of the facts a plan rests on; what changes by itself (addresses, agent, busy) is left out. */
export function liveFingerprint(live: LiveVirdomain): string {
  const { busy: _busy, guestAgent: _agent, nics, ...facts } = live;
  return contentHash({ ...facts, nics: nics.map(({ addresses: _addresses, ...nic }) => nic) }, 16);
}

function worstDisruption(kind: OperationKind, changes: readonly Change[]): Disruption {
  if (kind === "delete" || kind === "replace") return "data-loss";
  return disruptionOrder.findLast((disruption) => changes.some((change) => change.disruption === disruption)) ?? "live";
}

function namedDisks(live: LiveVirdomain): Operation["disks"] {
  return live.disks
    .filter((disk) => disk.type !== "ide_cdrom")
    .map((disk) => ({ name: disk.name ?? disk.id, capacityBytes: disk.capacityBytes }));
}

/** VMs that carry our mark and that no manifest asks for any more. Whether they may really go is the deletion rules' decision. */
function planRemovals(planner: Planner): {
  operations: Operation[];
  conflicts: Conflict[];
  summaries: TargetSummary[];
} {
  const { input } = planner;
  const { cluster } = input.live;
  const operations: Operation[] = [];
  const conflicts: Conflict[] = [];
  const summaries = new Map<string, TargetSummary>();
  const known = plannedApplications(input.desired);
  const lastStep = Math.max(0, ...[...planner.base.values()].map((virdomain) => virdomain.step));
  for (const virdomain of [...planner.owned.values()].flat()) {
    const mark = virdomain.mark;
    if (mark === undefined || planner.claimed.has(virdomain.id)) continue;
    const { application } = mark.identity;
    if (!inScope(input, { cluster, application }) || planner.wanted.has(identityKey(mark.identity))) continue;
    const keep = reasonToKeep(input.desired, application, known);
    const summary = summaries.get(application) ?? {
      cluster,
      application,
      deployment: mark.deployment,
      unchanged: 0,
      operations: 0,
      notices: [],
    };
    if (keep !== undefined) {
      summaries.set(application, {
        ...summary,
        unchanged: summary.unchanged + 1,
        notices: [...summary.notices, { code: "stays-incomplete", path: "", message: keep, virdomain: virdomain.name }],
      });
    } else if (mark.protected) {
      const message = `VM ${virdomain.name} is protected and stays; take the protection off in a commit of its own before removing the manifest`;
      conflicts.push({ code: "protected", cluster, application, virdomain: virdomain.name, message });
      summaries.set(application, { ...summary, unchanged: summary.unchanged + 1 });
    } else {
      const before = planner.base.get(identityKey(mark.identity));
      operations.push(deleteOperation(cluster, virdomain, mark.deployment, deletionStep(lastStep, before?.step)));
      summaries.set(application, { ...summary, operations: summary.operations + 1 });
    }
  }
  return { operations, conflicts, summaries: [...summaries.values()] };
}

function reasonToKeep(desired: DesiredState, application: string, known: ReadonlySet<string>): string | undefined {
  if (desired.drafts?.has(application) === true) return `kept: ${application} is a draft`;
  if (desired.brokenApplications.has(application)) return `kept: the manifest of ${application} has problems`;
  if (known.has(application) || desired.undeployed.has(application) || desired.complete) return undefined;
  return `kept: a file of the repository cannot be read, and ${application} may be in it`;
}

function deletionStep(lastStep: number, stepBefore: number | undefined): number {
  return lastStep + 1 + (lastStep - Math.min(stepBefore ?? lastStep, lastStep));
}

function deleteOperation(
  cluster: string,
  live: LiveVirdomain,
  deployment: string | undefined,
  step: number,
): Operation {
  const identity = live.mark?.identity;
  if (identity === undefined) throw new Error("only a marked VM can be planned for deletion");
  return {
    id: operationId(cluster, `${identityKey(identity)}@${live.id}`, "delete"),
    kind: "delete",
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

function compareOperations(a: Operation, b: Operation): number {
  return (
    a.step - b.step ||
    compareText(a.application, b.application) ||
    compareText(a.virdomain, b.virdomain) ||
    compareText(a.id, b.id)
  );
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
