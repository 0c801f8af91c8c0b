import { messageOf, WatcherError } from "../../lib/errors.ts";
import { type DesiredDisk, type DesiredVirdomain, identityKey } from "../../fleet/desired-state.ts";
import { defaultPolicy } from "../../manifest/document.ts";
import { diffVirdomain, isProtected } from "../../plan/diff-virdomain.ts";
import type { LiveVirdomain, OwnershipMark } from "../../plan/live-state.ts";
import { nameDevices } from "../../plan/match-virdomains.ts";
import { needsOff } from "../../plan/needs-off.ts";
import { isPowerOfPeople, keepingPower } from "../../plan/power.ts";
import { type Change, disruptionOrder, type Operation } from "../../plan/plan.ts";
import type { ChangeContext, Hypervisor } from "../../ports/hypervisor.ts";
import type { Probe } from "../../ports/probe.ts";
import { decideRetry } from "../../sync/retry.ts";
import { carriesMark, leaveQuarantine, type QuarantineInput } from "./leave-quarantine.ts";
import { quarantineVirdomain, removeVirdomain } from "./remove-virdomain.ts";
import { ensureSnapshotBefore, type SnapshotInput, wasPlannedOn } from "./snapshot-before.ts";
import { waitUntilReady } from "./wait-until-ready.ts";

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

const done: OperationEnd = { kind: "done" };

/**
 * Carries out one operation: reads the VM, does what is still to do, reads back. May run twice, late, or from the
 * middle; it never does more harm than the plan announced.
 */
export async function applyOperation(input: OperationInput, context: ChangeContext): Promise<OperationEnd> {
  const { operation, desired } = input;
  if (operation.kind === "delete") return applyDelete(input, context);
  if (operation.kind === "quarantine") return applyQuarantine(input, context);
  if (desired === undefined) return stale(`${operation.virdomain} is no longer in the manifests of this revision`);
  switch (operation.kind) {
    case "create":
      return applyCreate(input, desired, context);
    case "replace":
      return applyReplace(input, desired, context);
    case "update":
    case "start":
    case "stop":
      return applyUpdate(input, desired, await findPlanned(input, context.signal), context);
    case "restore":
      return applyRestore(input, desired, context);
    default:
      return operation.kind satisfies never;
  }
}

async function applyCreate(
  input: OperationInput,
  desired: DesiredVirdomain,
  context: ChangeContext,
): Promise<OperationEnd> {
  const created = await input.hypervisor.create(desired, markFor(input, desired, desired.cloudInit?.hash), context);
  await settlePower(input, desired, created, context);
  return done;
}

/**
 * The old VM goes, into quarantine where the plan keeps it, and a new one is made; or the one it was before comes back
 * from there. A crash in between leaves no VM in use, and the next round makes it or brings it back.
 */
async function applyReplace(
  input: OperationInput,
  desired: DesiredVirdomain,
  context: ChangeContext,
): Promise<OperationEnd> {
  const { hypervisor, operation } = input;
  const live = await findPlanned(input, context.signal);
  const begun = live?.mark?.quarantine !== undefined;
  if (begun && operation.quarantine === undefined) return stale(`${live.name} is in quarantine`);
  const successor = await findSuccessor(input, desired, context.signal);
  if (typeof successor === "string") return stale(successor);
  if (live !== undefined && !begun) {
    const difference = diffVirdomain(desired, live, hypervisor.traits);
    if (!difference.changes.some((change) => change.disruption === "rebuild"))
      return stale(`${desired.name} no longer needs to be rebuilt`);
    if (live.mark?.protected === true || isProtected(desired)) return stale(`${desired.name} is protected`);
    await hypervisor.prepare(successor === undefined ? desired.disks : newMedia(desired, successor), context);
    if (operation.quarantine === undefined) await removeReplaced(input, desired, live, difference.changes, context);
  }
  if (live !== undefined && operation.quarantine !== undefined && carriesMark(live) && !live.mark.building) {
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
async function applyRestore(
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

async function applyUpdate(
  input: OperationInput,
  wish: DesiredVirdomain,
  found: LiveVirdomain | undefined,
  context: ChangeContext,
): Promise<OperationEnd> {
  const { hypervisor, operation } = input;
  if (found === undefined) return stale(`${wish.name} (${operation.virdomainId}) is no longer there`);
  const desired = keepingPower(wish, found);
  if (found.mark?.building === true) return stale(`${desired.name} is still being built`);
  if (found.mark?.quarantine !== undefined) return stale(`${found.name} is in quarantine`);
  const live = operation.adopt && found.mark === undefined ? nameDevices(found, desired) : found;
  const { changes, refusals } = diffVirdomain(desired, live, hypervisor.traits);
  const surprise = refusals[0]?.message ?? unannounced(operation, changes);
  if (surprise !== undefined) return stale(surprise);
  const wanted = changes.filter((change) => change.kind !== "power");
  if (wanted.length === 0 && found.mark !== undefined) {
    await ensureSnapshotBefore(input, desired, found, [], context);
    await settlePower(input, desired, found, context);
    return done;
  }
  await hypervisor.prepare(newMedia(desired, live), context);
  if (wanted.some(({ kind }) => needsOff(kind, { live, desired }, hypervisor.traits)))
    await stopForChange(input, found, desired, context);
  const updated = await orRestart(input, desired, found, context, async () => {
    await ensureSnapshotBefore(input, desired, found, wanted, context);
    return updateVirdomain(input, desired, found, context);
  });
  await settlePower(input, desired, updated, context);
  return done;
}

/** Disks whose image or ISO the VM does not have yet. */
function newMedia(desired: DesiredVirdomain, live: LiveVirdomain): readonly DesiredDisk[] {
  const present = new Map(live.disks.map((disk) => [disk.name, disk.assetId]));
  return desired.disks.filter((disk) => disk.asset !== undefined && present.get(disk.name) !== disk.asset.id);
}

/**
 * Does what a VM may have been switched off for. When nobody will try again it must not stay off; also when it was an
 * earlier attempt that switched it off.
 */
async function orRestart<T>(
  input: OperationInput,
  desired: DesiredVirdomain,
  found: LiveVirdomain,
  context: ChangeContext,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const hopeless = !context.signal.aborted && decideRetry(error, input.attempt, 0).kind === "give-up";
    const ran = found.power === "running" || wasPlannedOn(input.operation, desired);
    if (hopeless && ran && desired.state === "running") {
      const start = async (): Promise<void> => {
        await input.hypervisor.start(found.id, context);
        await input.owed?.settleStart();
      };
      await start().catch((failed: unknown) => {
        if (!(error instanceof WatcherError)) throw error;
        throw new WatcherError(error.code, `${error.message}; starting it again failed, too: ${messageOf(failed)}`);
      });
    }
    throw error;
  }
}

/** Stops the VM only where the change turns out to need it, and the plan said that it would or may restart. */
async function updateVirdomain(
  input: OperationInput,
  desired: DesiredVirdomain,
  found: LiveVirdomain,
  context: ChangeContext,
): Promise<LiveVirdomain> {
  const { hypervisor, operation } = input;
  const mark = markFor(input, desired, found.mark === undefined ? desired.cloudInit?.hash : found.mark.cloudInitHash);
  const current = async (): Promise<LiveVirdomain> =>
    (await hypervisor.findVirdomain(found.id, context.signal)) ?? found;
  try {
    return await hypervisor.update(await current(), desired, mark, context);
  } catch (error) {
    const running = error instanceof WatcherError && error.code === "virdomain-running";
    const announced = operation.disruption !== "live" || operation.notices.some(({ code }) => code === "may-restart");
    if (!running || !announced) throw error;
    context.progress(`${desired.name} is shut down: ${error.message}`);
    await stopForChange(input, await current(), desired, context);
    return hypervisor.update(await current(), desired, mark, context);
  }
}

async function applyDelete(input: OperationInput, context: ChangeContext): Promise<OperationEnd> {
  const live = await findPlanned(input, context.signal);
  if (live === undefined) return done;
  if (live.mark?.quarantine !== undefined) return stale(`${live.name} is in quarantine`);
  if (live.mark?.protected === true) return stale(`${live.name} is protected`);
  await removeVirdomain(input.hypervisor, live, input.desired?.policy ?? defaultPolicy, context);
  return done;
}

async function applyQuarantine(input: OperationInput, context: ChangeContext): Promise<OperationEnd> {
  const { operation, hypervisor, revision, clock } = input;
  const live = await findPlanned(input, context.signal);
  if (live === undefined || !carriesMark(live)) return done;
  const { building, protected: isKept, quarantine } = live.mark;
  if (building) return stale(`${live.name} is not whole`);
  if (isKept && quarantine === undefined) return stale(`${live.name} is protected`);
  const keepMs = operation.quarantine?.keepMs ?? defaultPolicy.quarantineMs;
  const policy = input.desired?.policy ?? defaultPolicy;
  await quarantineVirdomain(hypervisor, live, { nowMs: clock.now(), keepMs, revision }, policy, context);
  return done;
}

/**
 * The VM the plan meant: same id, and still carrying our mark for this identity (or none, when it is to be adopted).
 * A VM whose mark was taken off or that became a clone is not ours to touch and counts as absent.
 */
async function findPlanned(input: OperationInput, signal: AbortSignal): Promise<LiveVirdomain | undefined> {
  const { virdomainId } = input.operation;
  return virdomainId === undefined ? undefined : findOurs(input, virdomainId, signal);
}

async function findOurs(input: OperationInput, id: string, signal: AbortSignal): Promise<LiveVirdomain | undefined> {
  const { operation, hypervisor, instance, desired } = input;
  const live = await hypervisor.findVirdomain(id, signal);
  if (live === undefined || live.clone || live.replica) return undefined;
  if (live.mark === undefined) return operation.adopt ? live : undefined;
  const renamed = operation.formerly === undefined ? [] : [operation.formerly];
  const accepted = [operation.identity, ...renamed, ...(desired?.formerIdentities ?? [])].map(identityKey);
  return live.mark.instance === instance && accepted.includes(identityKey(live.mark.identity)) ? live : undefined;
}

/** A change that costs more than the plan said, or takes a disk it did not name, goes back to planning. */
function unannounced(operation: Operation, changes: readonly Change[]): string | undefined {
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

/** Power comes last: on and ready, or off. `live` was read back a moment ago; starting looks again. */
async function settlePower(
  input: OperationInput,
  desired: DesiredVirdomain,
  live: LiveVirdomain,
  context: ChangeContext,
): Promise<void> {
  if (desired.state === "shutoff") return stopVirdomain(input.hypervisor, live, desired, context);
  if (live.power !== "running") await input.hypervisor.start(live.id, context);
  await input.owed?.settleStart();
  await waitUntilReady(input, desired, live.id, context);
}

/** What has to be on again afterwards is written down first: by what is seen later nobody could tell who switched it off. */
async function stopForChange(
  input: OperationInput,
  live: LiveVirdomain,
  desired: DesiredVirdomain,
  context: ChangeContext,
): Promise<void> {
  if (desired.state === "running" && isPowerOfPeople(desired, live)) await input.owed?.oweStart();
  await stopVirdomain(input.hypervisor, live, desired, context);
}

async function stopVirdomain(
  hypervisor: Hypervisor,
  live: LiveVirdomain,
  desired: DesiredVirdomain,
  context: ChangeContext,
): Promise<void> {
  if (live.power === "shutoff" || live.power === "crashed") return;
  await hypervisor.stop(
    live.id,
    { graceMs: desired.policy.shutdownGraceMs, force: desired.policy.forceShutdown },
    context,
  );
}

function markFor(input: OperationInput, desired: DesiredVirdomain, cloudInitHash: string | undefined): OwnershipMark {
  return {
    instance: input.instance,
    identity: desired.identity,
    deployment: desired.deployment,
    revision: input.revision,
    cloudInitHash,
    building: false,
    protected: isProtected(desired),
  };
}

function stale(message: string): OperationEnd {
  return { kind: "stale", message };
}
