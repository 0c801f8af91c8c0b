import { identityKey } from "../fleet/desired-state.ts";
import { coversLoss, losesData, lossOf } from "../plan/deletion-rules.ts";
import type { Conflict, Operation } from "../plan/plan.ts";
import type {
  ClusterPass,
  ClusterResult,
  CompletedOperation,
  OperationFailure,
  OperationOutcome,
  SyncRecord,
} from "./sync-record.ts";

/** Rounds after which a cluster that still differs is reported instead of being worked on for ever. */
export const maxRounds = 6;

/** What to do next for one cluster of a running sync. */
export type PassStep =
  /** These may run now; adding one that runs already does nothing. */
  | { readonly kind: "run"; readonly operations: readonly Operation[] }
  /** Nothing may be begun but these, which people hold back. */
  | { readonly kind: "wait"; readonly operations: readonly Operation[] }
  /** Everything of this round has an outcome: read the cluster again and plan what is left. */
  | { readonly kind: "plan-again" };

/** Steps are kept within one deployment (or application without one): others do not wait for it. */
export function orderGroup(operation: Pick<Operation, "deployment" | "application">): string {
  return operation.deployment ?? operation.application;
}

/**
 * Which operations of a round may run: those whose earlier steps are done. A failure or a stale operation in an earlier
 * step leaves the later ones of its group for the next round, which decides whether they are blocked. Held ones take no
 * place of others, and keep the round open unless something else wants a new plan.
 */
export function nextPassStep(
  pass: ClusterPass,
  outcomes: ReadonlyMap<string, OperationOutcome>,
  window: number,
  isHeld: (operation: Operation) => boolean = () => false,
): PassStep {
  const ready: Operation[] = [];
  const waiting: Operation[] = [];
  const open = new Map<string, number>();
  const stopped = new Map<string, number>();
  for (const operation of pass.operations) {
    const outcome = outcomes.get(operation.id);
    const group = orderGroup(operation);
    if (outcome === undefined) open.set(group, Math.min(open.get(group) ?? Number.POSITIVE_INFINITY, operation.step));
    else if (outcome.kind !== "done")
      stopped.set(group, Math.min(stopped.get(group) ?? Number.POSITIVE_INFINITY, operation.step));
  }
  for (const operation of pass.operations) {
    if (outcomes.has(operation.id) || ready.length >= window) continue;
    const group = orderGroup(operation);
    const firstOpen = open.get(group) ?? operation.step;
    const firstStopped = stopped.get(group) ?? Number.POSITIVE_INFINITY;
    if (operation.step !== firstOpen || firstStopped < operation.step) continue;
    (isHeld(operation) ? waiting : ready).push(operation);
  }
  if (ready.length > 0) return { kind: "run", operations: ready };
  const isStale = [...outcomes.values()].some(({ kind }) => kind === "stale");
  return waiting.length > 0 && !isStale ? { kind: "wait", operations: waiting } : { kind: "plan-again" };
}

/** What a fresh plan of the cluster means for its pass: another round, or the end. */
export type RoundStep =
  | { readonly kind: "next-round"; readonly pass: ClusterPass }
  | { readonly kind: "finished"; readonly result: ClusterResult };

/** Folds the round's outcomes into the pass and decides from a fresh plan whether there is another round. */
export function nextRound(
  pass: ClusterPass,
  outcomes: ReadonlyMap<string, OperationOutcome>,
  fresh: { readonly operations: readonly Operation[]; readonly conflicts: readonly Conflict[] },
  deletions: SyncRecord["deletions"],
  nowMs: number,
): RoundStep {
  const failures = [...pass.failures, ...failuresOf(pass, outcomes)];
  const completed = [...pass.completed, ...completedOf(pass, outcomes)];
  const permitted = fresh.operations.filter((operation) => isPermitted(operation, deletions));
  const refused = fresh.operations
    .filter((operation) => !isPermitted(operation, deletions))
    .map((operation) => operation.virdomain);
  const failed = new Set(failures.map((failure) => failure.key));
  const untried = permitted.filter((operation) => !failed.has(identityKey(operation.identity)));
  const blockers = untried.map((operation) => ({ operation, by: blockerOf(operation, failures) }));
  const runnable = blockers.filter(({ by }) => by === undefined).map(({ operation }) => operation);
  const base = { cluster: pass.cluster, completed, conflicts: fresh.conflicts };
  if (runnable.length > 0 && pass.round < maxRounds) {
    return {
      kind: "next-round",
      pass: { ...base, round: pass.round + 1, operations: runnable, held: undefined, failures },
    };
  }
  const restless = runnable.map((operation) =>
    toFailure(operation, {
      code: "cluster-failed",
      message: `still differs after ${maxRounds} rounds (${describeLeft(operation)})`,
      fault: "platform",
    }),
  );
  const blocked = blockers.flatMap(({ operation: { kind, application, virdomain }, by }) =>
    by === undefined ? [] : [{ kind, application, virdomain, by }],
  );
  return {
    kind: "finished",
    result: { ...base, rounds: pass.round, failures: [...failures, ...restless], blocked, refused, atMs: nowMs },
  };
}

/** Losses need the deletion rules' word, given for the whole sync and for exactly these losses: none may grow since. */
export function isPermitted(operation: Operation, deletions: SyncRecord["deletions"]): boolean {
  if (!losesData(operation)) return true;
  return deletions.allowed && coversLoss(deletions.losses, lossOf(operation));
}

function describeLeft(operation: Operation): string {
  return operation.kind !== "update" ? operation.kind : operation.changes.map((change) => change.path).join(", ");
}

function blockerOf(operation: Operation, failures: readonly OperationFailure[]): string | undefined {
  return failures.find((failure) => failure.group === orderGroup(operation) && failure.step < operation.step)
    ?.virdomain;
}

function failuresOf(pass: ClusterPass, outcomes: ReadonlyMap<string, OperationOutcome>): OperationFailure[] {
  return pass.operations.flatMap((operation) => {
    const outcome = outcomes.get(operation.id);
    return outcome?.kind === "failed" ? [toFailure(operation, outcome)] : [];
  });
}

function toFailure(
  operation: Operation,
  { code, message, fault, snapshot }: Pick<OperationFailure, "code" | "message" | "fault" | "snapshot">,
): OperationFailure {
  const { kind, application, virdomain, step } = operation;
  return {
    kind,
    application,
    key: identityKey(operation.identity),
    virdomain,
    group: orderGroup(operation),
    step,
    code,
    message,
    fault,
    ...(snapshot === undefined ? {} : { snapshot }),
  };
}

function completedOf(pass: ClusterPass, outcomes: ReadonlyMap<string, OperationOutcome>): CompletedOperation[] {
  return pass.operations.flatMap((operation) => {
    const outcome = outcomes.get(operation.id);
    if (outcome?.kind !== "done") return [];
    const { kind, application, virdomain } = operation;
    const { durationMs, snapshot } = outcome;
    return [{ kind, application, virdomain, durationMs, ...(snapshot === undefined ? {} : { snapshot }) }];
  });
}
