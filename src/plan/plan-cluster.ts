import { type DesiredVirdomain, identityKey, type Target, targetKey } from "../fleet/desired-state.ts";
import { compareText } from "../lib/compare.ts";
import { assumeApplied } from "./assume-applied.ts";
import {
  changeOperation,
  createOperation,
  keepReplaced,
  quarantineOperation,
  restoreOperation,
} from "./build-operation.ts";
import { neverFits, withDemand } from "./check-capacity.ts";
import { targetsOn } from "./cluster-index.ts";
import { type DiffContext, diffVirdomain, isProtected } from "./diff-virdomain.ts";
import type { LiveVirdomain } from "./live-state.ts";
import { type Match, matchVirdomain, nameDevices } from "./match-virdomains.ts";
import { owedKey, owedPower } from "./power.ts";
import { planRemovals } from "./plan-removals.ts";
import type { Conflict, Notice, Operation, TargetSummary } from "./plan.ts";
import { type ClusterPlanInput, createPlanner, inScope, type Planner } from "./planner.ts";
import { canComeBack, quarantinedOf } from "./quarantine.ts";
import { untellableReadiness } from "./readiness.ts";
import { scaledDownNotices } from "./scaled-down.ts";
import { snapshotBefore, withSnapshot } from "./snapshot-need.ts";

export interface ClusterPlan {
  readonly operations: readonly Operation[];
  readonly conflicts: readonly Conflict[];
  readonly targets: readonly TargetSummary[];
  /** VMs of this repository on the cluster, for the deletion budget. */
  readonly owned: number;
}

/** From live to desired on one cluster: pure, and the same for the same input. */
export function planCluster(input: ClusterPlanInput): ClusterPlan {
  const planner = createPlanner(input);
  const targets = targetsOn(input.desired, input.live.cluster).filter((target) => inScope(input, target));
  const parts = targets.map((target) => planTarget(planner, target));
  const removals = planRemovals(planner);
  return {
    operations: [...parts.flatMap((part) => part.operations), ...removals.operations].sort(compareOperations),
    conflicts: [...parts.flatMap((part) => part.conflicts), ...removals.conflicts],
    targets: [...parts.map((part) => part.summary), ...removals.summaries],
    owned: [...planner.owned.values()].reduce((sum, list) => sum + list.length, 0),
  };
}

interface TargetPlan {
  readonly operations: readonly Operation[];
  readonly conflicts: readonly Conflict[];
  readonly summary: TargetSummary;
}

function planTarget(planner: Planner, target: Target): TargetPlan {
  const operations: Operation[] = [];
  const conflicts: Conflict[] = [];
  const notices: (Notice & { virdomain: string })[] = [];
  let unchanged = 0;
  for (const wish of target.virdomains) {
    const { quarantined, input } = planner;
    const owed = input.owedStarts?.has(owedKey(target.cluster, wish.identity)) === true;
    const desired = owed ? owedPower(wish) : wish;
    const match = matchVirdomain(desired, planner.owned, planner.names, { quarantined, traits: input.traits });
    const planned = withinCapacity(planner, desired, match, planVirdomain(planner, target, desired, match));
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
  if (match.kind !== "new") planner.claimed.add(match.live.id);
  if (match.kind === "set-aside") {
    // The new VM is planned once the name is free.
    const operation = quarantineOperation(target.cluster, match.live, desired.deployment, desired.step, desired.policy);
    return { operation, conflicts: [], notices: [] };
  }
  const untellable = untellableReadiness(desired, planner.input.traits);
  if (untellable !== undefined)
    return { operation: undefined, conflicts: [conflict("unsupported-change", untellable)], notices: [] };
  const scaled = scaledDownNotices(desired);
  if (match.kind === "new")
    return {
      operation: createOperation(target, desired, undefined, [...match.stays.map(staysNotice), ...scaled]),
      conflicts: [],
      notices: [],
    };
  if (match.live.mark?.building === true) {
    const notice: Notice = {
      code: "still-building",
      path: "",
      message: "an earlier attempt to create this VM was interrupted and is continued",
    };
    const operation = createOperation(target, desired, match.live, [notice, ...scaled]);
    return { operation, conflicts: [], notices: [] };
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
  const notices = [...difference.notices, ...adopts, ...scaled];
  if (match.kind === "restore") {
    const operation = restoreOperation(target, desired, live, difference.changes, notices);
    return { operation: withSnapshot(operation, desired, live, planner.input.traits), conflicts: [], notices };
  }
  const operation = changeOperation(target, desired, match.live, difference.changes, notices, match.kind === "adopt");
  if (operation?.kind === "replace" && match.kind === "adopt") {
    const causes = difference.changes.flatMap(({ disruption, path }) => (disruption === "rebuild" ? [path] : []));
    const message = `VM ${desired.name} is not managed and would have to be rebuilt (${causes.join(", ")}), so it is not taken over; say in the manifest what it is, or rename one of them`;
    return { operation: undefined, conflicts: [conflict("unsupported-change", message)], notices: [] };
  }
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
  if (operation?.kind === "replace")
    return { operation: planReplacement(planner, desired, live, operation), conflicts: [], notices };
  return {
    operation: operation === undefined ? undefined : withSnapshot(operation, desired, live, planner.input.traits),
    conflicts: [],
    notices,
  };
}

/** The old VM is kept as policy said before this revision. Kept as a whole, it needs no snapshot. */
function planReplacement(
  planner: Planner,
  desired: DesiredVirdomain,
  live: LiveVirdomain,
  operation: Operation,
): Operation {
  const { traits } = planner.input;
  const keepMs = (planner.base.get(identityKey(desired.identity)) ?? desired).policy.quarantineMs;
  const returning = quarantinedOf(desired, planner.quarantined).find((each) => canComeBack(desired, each, traits));
  const difference = returning && diffVirdomain(desired, returning, traits, contextOf(planner, desired));
  if (returning === undefined || difference === undefined || difference.refusals.length > 0) {
    const kept = keepReplaced(operation, { keepMs });
    return keepMs > 0 ? kept : withSnapshot(kept, desired, live, traits);
  }
  planner.claimed.add(returning.id);
  const { changes } = difference;
  const planned = keepReplaced(operation, { keepMs, successor: { live: returning, changes } });
  const snapshot = snapshotBefore(desired, { changes, live: returning, wasOn: false }, traits);
  return snapshot === undefined ? planned : { ...planned, snapshot };
}

/** Its disks are out of reach for this revision, and nobody may take them for lost. */
function staysNotice({ name }: LiveVirdomain): Notice {
  const message = `a new VM is made: ${name} stays in quarantine with its disks, as it would have to be rebuilt for this`;
  return { code: "stays-quarantined", path: "", message };
}

/** Says what the operation asks of the cluster, and refuses what no node could ever hold. */
function withinCapacity(
  planner: Planner,
  desired: DesiredVirdomain,
  match: Match,
  planned: VirdomainPlan,
): VirdomainPlan {
  if (planned.operation === undefined) return planned;
  if (match.kind === "set-aside") return planned;
  const operation = withDemand(planned.operation, desired, "live" in match ? match.live : undefined);
  const { capacity } = planner.input;
  const message = capacity === undefined ? undefined : neverFits(operation, capacity);
  if (message === undefined) return { ...planned, operation };
  const { cluster, application, virdomain } = operation;
  const conflict: Conflict = { code: "does-not-fit", cluster, application, virdomain, message };
  return { ...planned, operation: undefined, conflicts: [...planned.conflicts, conflict] };
}

/** Git against git by the same comparison: what differs between the revisions is theirs, the rest was different before. */
function contextOf({ input, base }: Planner, desired: DesiredVirdomain): DiffContext {
  const upkeep = input.upkeep ?? true;
  const known = [desired.identity, ...desired.formerIdentities].map((identity) => base.get(identityKey(identity)));
  const before = known.find((virdomain) => virdomain !== undefined);
  if (before === undefined) return { upkeep };
  const key = targetKey({ cluster: input.live.cluster, application: desired.identity.application });
  if (input.enforced.has(key)) return { before, upkeep };
  const { changes } = diffVirdomain(desired, assumeApplied(before, input.instance, undefined), input.traits);
  const paths = new Set(changes.map((change) => change.path));
  return { before, upkeep, originOf: (path) => (paths.has(path) ? "git" : "drift") };
}

function compareOperations(a: Operation, b: Operation): number {
  return (
    a.step - b.step ||
    compareText(a.application, b.application) ||
    compareText(a.virdomain, b.virdomain) ||
    compareText(a.id, b.id)
  );
}
