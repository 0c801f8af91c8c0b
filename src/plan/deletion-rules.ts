import { contentHash } from "../lib/canonical-json.ts";
import { type DesiredState, identityKey } from "../fleet/desired-state.ts";
import { type DeletionBudget, defaultPolicy } from "../manifest/document.ts";
import type { DeletionVerdict, Loss, Operation } from "./plan.ts";

/** What the deletion rules look at, for all clusters of a plan together. */
export interface DeletionInput {
  readonly operations: readonly Operation[];
  readonly desired: DesiredState;
  /** VMs this repository owns on the clusters read, or had before, whichever is more. */
  readonly ownedBefore: number;
  /** The branch was rewritten: history no longer explains what disappears. */
  readonly rewritten: boolean;
  /** Operations on VMs that were last changed by a commit this repository does not have. */
  readonly foreign: readonly Operation[];
  /** Ids from `Kraken-Approve:` trailers of the revision's commit. */
  readonly approvals: ReadonlySet<string>;
}

/** Whether an operation takes data with it: a deletion, a rebuild, or a disk that goes. */
export function losesData(operation: Operation): boolean {
  return operation.disruption === "data-loss";
}

/** What an operation takes with it. */
export function lossOf(operation: Operation): Loss {
  const paths = operation.changes.filter((change) => change.lostBytes !== undefined).map((change) => change.path);
  const key = identityKey(operation.identity);
  const stays = operation.kind === "update" || operation.kind === "restore" || operation.successor !== undefined;
  return { cluster: operation.cluster, key, kind: operation.kind, paths: stays ? paths : [] };
}

/** Whether a loss was shown before: the same VM, the same kind of operation, and no disk that was not named. */
export function coversLoss(losses: readonly Loss[], loss: Loss): boolean {
  return losses.some(
    (known) =>
      known.cluster === loss.cluster &&
      known.key === loss.key &&
      (known.kind === loss.kind || (mayBecome[known.kind] ?? []).includes(loss.kind)) &&
      loss.paths.every((path) => known.paths.includes(path)),
  );
}

/**
 * What may be lost at once may as well be kept for a time; and a rebuild that was cut off is planned in parts: the old
 * VM goes into quarantine, the one it was before comes back.
 */
const mayBecome: Partial<Record<Loss["kind"], readonly Loss["kind"][]>> = {
  delete: ["quarantine"],
  replace: ["quarantine", "restore"],
};

/**
 * The rules of SAFE-2: a budget per run, nothing at all on an empty desired state or a rewritten branch, and an
 * approval that holds for exactly this set of losses.
 */
export function judgeDeletions(input: DeletionInput): DeletionVerdict {
  const losing = input.operations.filter(losesData);
  const budget = budgetOf(losing, input);
  const names = losing.map((operation) => `${operation.cluster}/${operation.virdomain}`).sort();
  if (losing.length === 0)
    return {
      losing: [],
      losses: [],
      budget,
      allowed: true,
      reason: undefined,
      cause: undefined,
      approvalId: "",
      approved: false,
    };
  const approvalId = approvalIdOf(losing);
  const approved = input.approvals.has(approvalId);
  const objection = approved ? undefined : objectionTo(input, losing, budget);
  return {
    losing: names,
    losses: losing.map(lossOf),
    budget,
    allowed: objection === undefined,
    reason: objection?.reason,
    cause: objection?.cause,
    approvalId,
    approved,
  };
}

function objectionTo(
  input: DeletionInput,
  losing: readonly Operation[],
  budget: number,
): { readonly cause: NonNullable<DeletionVerdict["cause"]>; readonly reason: string } | undefined {
  const wanted = [...input.desired.targets.values()].some((target) => target.virdomains.length > 0);
  if (!wanted && losing.some((operation) => !input.desired.undeployed.has(operation.application))) {
    return { cause: "empty", reason: "this revision describes no VM at all, and an empty desired state never deletes" };
  }
  if (input.rewritten) {
    return {
      cause: "rewritten",
      reason: "the branch was rewritten (force push), so nothing is deleted without a person's word",
    };
  }
  const [foreign] = input.foreign.filter(losesData);
  if (foreign !== undefined) {
    const place = `${foreign.virdomain} on ${foreign.cluster}`;
    return {
      cause: "foreign",
      reason: `${place} was last changed by a commit that is not in this repository: another one under the same instance and name may answer for it`,
    };
  }
  if (losing.length <= budget) return undefined;
  return { cause: "budget", reason: `${losing.length} VMs would lose data, the budget is ${budget}` };
}

/** The strictest budget among the deployments that lose something: `count` VMs or `percent` of all, whichever is more. */
function budgetOf(losing: readonly Operation[], input: DeletionInput): number {
  const policies = new Map<string, DeletionBudget>();
  for (const target of input.desired.targets.values()) {
    for (const virdomain of target.virdomains.slice(0, 1))
      policies.set(target.application, virdomain.policy.deletionBudget);
  }
  const budgets = losing.map((operation) => policies.get(operation.application) ?? defaultPolicy.deletionBudget);
  if (budgets.length === 0) budgets.push(defaultPolicy.deletionBudget);
  return Math.min(
    ...budgets.map(({ count, percent }) => Math.max(count, Math.floor((input.ownedBefore * percent) / 100))),
  );
}

/** Binds an approval to VM ids and what happens to them, so that a plan that changed needs a new word. */
function approvalIdOf(losing: readonly Operation[]): string {
  const facts = losing.map((operation) => ({
    cluster: operation.cluster,
    key: identityKey(operation.identity),
    id: operation.virdomainId,
    kind: operation.kind,
    // To keep the old VM is another promise than to delete it.
    ...(operation.kind === "replace" ? { kept: operation.quarantine !== undefined } : {}),
    lost: operation.changes.filter((change) => change.lostBytes !== undefined).map((change) => change.path),
  }));
  return contentHash(
    facts.sort((a, b) => (`${a.cluster}/${a.key}/${a.id}` < `${b.cluster}/${b.key}/${b.id}` ? -1 : 1)),
    12,
  );
}

/** Ids in `Kraken-Approve: <id>` trailers of a commit message, at the beginning of a line. */
export function readApprovals(message: string): Set<string> {
  return new Set(
    [...message.matchAll(/^Kraken-Approve:[ \t]*([0-9a-f]{12})[ \t]*$/gim)].map((match) =>
      (match[1] ?? "").toLowerCase(),
    ),
  );
}
