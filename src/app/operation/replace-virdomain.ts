import { type DesiredVirdomain, identityKey } from "../../fleet/desired-state.ts";
import { diffVirdomain, isProtected } from "../../plan/diff-virdomain.ts";
import type { LiveVirdomain } from "../../plan/live-state.ts";
import type { Change } from "../../plan/plan.ts";
import type { ChangeContext } from "../../ports/hypervisor.ts";
import { carriesMark, leaveQuarantine } from "./leave-quarantine.ts";
import { quarantineVirdomain, removeVirdomain } from "./remove-virdomain.ts";
import { ensureSnapshotBefore } from "./snapshot-before.ts";
import {
  type OperationInput,
  type OperationEnd,
  stale,
  findPlanned,
  findOurs,
  unannounced,
} from "./operation-input.ts";
import { applyCreate, applyUpdate, newMedia, orRestart, stopVirdomain } from "./converge-virdomain.ts";

/**
 * The old VM goes, into quarantine where the plan keeps it, and a new one is made; or the one it was before comes back
 * from there. A crash in between leaves no VM in use, and the next round makes it or brings it back.
 */
export async function applyReplace(
  input: OperationInput,
  desired: DesiredVirdomain,
  context: ChangeContext,
): Promise<OperationEnd> {
  const { hypervisor, operation } = input;
  const live = await findPlanned(input, context.signal);
  if (live !== undefined && !carriesMark(live)) return stale(`${live.name} carries no mark`);
  const begun = live?.mark.quarantine !== undefined;
  if (begun && operation.quarantine === undefined) return stale(`${live.name} is in quarantine`);
  const successor = await findSuccessor(input, desired, context.signal);
  if (typeof successor === "string") return stale(successor);
  if (live !== undefined && !begun) {
    const difference = diffVirdomain(desired, live, hypervisor.traits);
    if (!difference.changes.some((change) => change.disruption === "rebuild"))
      return stale(`${desired.name} no longer needs to be rebuilt`);
    if (live.mark.protected || isProtected(desired)) return stale(`${desired.name} is protected`);
    await hypervisor.prepare(successor === undefined ? desired.disks : newMedia(desired, successor), context);
    if (operation.quarantine === undefined) await removeReplaced(input, desired, live, difference.changes, context);
  }
  if (live !== undefined && operation.quarantine !== undefined && !live.mark.building) {
    const terms = { nowMs: input.clock.now(), keepMs: operation.quarantine.keepMs, revision: input.revision };
    await quarantineVirdomain(hypervisor, live, terms, desired.policy, context);
  }
  if (successor === undefined) return applyCreate(input, desired, context);
  return applyUpdate(input, desired, await leaveQuarantine(input, successor, context), context);
}

async function removeReplaced(
  input: OperationInput,
  desired: DesiredVirdomain,
  live: LiveVirdomain,
  changes: readonly Change[],
  context: ChangeContext,
): Promise<void> {
  await stopVirdomain(input.hypervisor, live, desired, context);
  await orRestart(input, desired, live, context, () => ensureSnapshotBefore(input, desired, live, changes, context));
  await removeVirdomain(input.hypervisor, live, desired.policy, context);
  input.onSnapshot(undefined);
}

/** The VM that is to come back in place of a replaced one; a sentence when it no longer can. */
async function findSuccessor(
  input: OperationInput,
  desired: DesiredVirdomain,
  signal: AbortSignal,
): Promise<LiveVirdomain | string | undefined> {
  const { successor } = input.operation;
  if (successor === undefined) return undefined;
  const found = await findOurs(input, successor.virdomainId, signal);
  if (found?.mark === undefined) return `the VM ${desired.name} was before is no longer there`;
  if (found.mark.quarantine === undefined) return found;
  return objectionTo(input, desired, found) ?? (await replacementOf(input, found, signal)) ?? found;
}

/** Out of quarantine first, which ends all danger to its disks; from then on it is a VM to update like any other. */
export async function applyRestore(
  input: OperationInput,
  desired: DesiredVirdomain,
  context: ChangeContext,
): Promise<OperationEnd> {
  const found = await findPlanned(input, context.signal);
  const aside = found?.mark?.quarantine === undefined ? undefined : found;
  const surprise = aside && (objectionTo(input, desired, aside) ?? (await replacementOf(input, aside, context.signal)));
  if (surprise !== undefined) return stale(surprise);
  return applyUpdate(input, desired, await leaveQuarantine(input, found, context), context);
}

/** Two VMs of one identity are one too many: since it was planned, another may have taken its place. */
async function replacementOf(
  { hypervisor, instance, operation }: OperationInput,
  { id, mark }: LiveVirdomain,
  signal: AbortSignal,
): Promise<string | undefined> {
  const { virdomains } = await hypervisor.readLiveState(signal);
  const other = virdomains.find(
    (live) =>
      live.id !== id &&
      live.id !== operation.virdomainId &&
      live.mark?.instance === instance &&
      mark !== undefined &&
      identityKey(live.mark.identity) === identityKey(mark.identity),
  );
  return other && `${other.name} (${other.id}) took its place`;
}

function objectionTo(input: OperationInput, desired: DesiredVirdomain, found: LiveVirdomain): string | undefined {
  if (found.mark?.building === true) return `${found.name} is being taken apart`;
  const { changes, refusals } = diffVirdomain(desired, found, input.hypervisor.traits);
  return refusals[0]?.message ?? unannounced(input.operation, changes);
}
