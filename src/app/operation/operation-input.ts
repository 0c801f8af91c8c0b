import { type DesiredVirdomain, identityKey } from "../../fleet/desired-state.ts";
import type { LiveVirdomain } from "../../plan/live-state.ts";
import { type Change, disruptionOrder, type Operation } from "../../plan/plan.ts";
import type { Probe } from "../../ports/probe.ts";
import type { QuarantineInput } from "./leave-quarantine.ts";
import type { SnapshotInput } from "./snapshot-before.ts";

/** What an operation works with: the cluster, the revision's wish, and the world. */
export interface OperationInput extends SnapshotInput, QuarantineInput {
  /** The VM as the revision wants it; for a deletion or quarantine as it was wanted before, where that is known. */
  readonly desired: DesiredVirdomain | undefined;
  readonly instance: string;
  readonly probe: Probe;
  /** Remembers that a VM whose power is people's was switched off for a change, until it is on again. Left out: nobody does. */
  readonly owed?: { oweStart(): Promise<void>; settleStart(): Promise<void> };
  /** Counted from 1; the last one that retries allow must leave no VM off. */
  readonly attempt: number;
}

/** `stale`: live state moved in a way the plan did not know; planning decides anew. */
export type OperationEnd = { readonly kind: "done" } | { readonly kind: "stale"; readonly message: string };

export const done: OperationEnd = { kind: "done" };

export function stale(message: string): OperationEnd {
  return { kind: "stale", message };
}

/**
 * The VM the plan meant: same id, and still carrying our mark for this identity (or none, when it is to be adopted).
 * A VM whose mark was taken off or that became a clone is not ours to touch and counts as absent.
 */
export async function findPlanned(input: OperationInput, signal: AbortSignal): Promise<LiveVirdomain | undefined> {
  const { virdomainId } = input.operation;
  return virdomainId === undefined ? undefined : findOurs(input, virdomainId, signal);
}

export async function findOurs(
  input: OperationInput,
  id: string,
  signal: AbortSignal,
): Promise<LiveVirdomain | undefined> {
  const { operation, hypervisor, instance, desired } = input;
  const live = await hypervisor.findVirdomain(id, signal);
  if (live === undefined || live.clone || live.replica) return undefined;
  if (live.mark === undefined) return operation.adopt ? live : undefined;
  const renamed = operation.formerly === undefined ? [] : [operation.formerly];
  const accepted = [operation.identity, ...renamed, ...(desired?.formerIdentities ?? [])].map(identityKey);
  return live.mark.instance === instance && accepted.includes(identityKey(live.mark.identity)) ? live : undefined;
}

/** A change that costs more than the plan said, or takes a disk it did not name, goes back to planning. */
export function unannounced(operation: Operation, changes: readonly Change[]): string | undefined {
  const allowed = disruptionOrder.indexOf(operation.disruption);
  const announced = new Set(operation.changes.map((change) => change.path));
  const surprise = changes.find(
    (change) =>
      disruptionOrder.indexOf(change.disruption) > allowed ||
      (change.disruption === "data-loss" && !announced.has(change.path)),
  );
  return surprise === undefined
    ? undefined
    : `${surprise.path} of ${operation.virdomain} changed since planning and would need ${surprise.disruption}`;
}
