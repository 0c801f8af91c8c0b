import { messageOf, WatcherError } from "../../lib/errors.ts";
import type { DesiredDisk, DesiredVirdomain } from "../../fleet/desired-state.ts";
import { diffVirdomain, isProtected } from "../../plan/diff-virdomain.ts";
import type { LiveVirdomain, OwnershipMark } from "../../plan/live-state.ts";
import { nameDevices } from "../../plan/match-virdomains.ts";
import { needsOff } from "../../plan/needs-off.ts";
import { isPowerOfPeople, keepingPower } from "../../plan/power.ts";
import type { ChangeContext, Hypervisor } from "../../ports/hypervisor.ts";
import { decideRetry } from "../../sync/retry.ts";
import { ensureSnapshotBefore, wasPlannedOn } from "./snapshot-before.ts";
import { waitUntilReady } from "./wait-until-ready.ts";
import { type OperationInput, type OperationEnd, done, stale, unannounced } from "./operation-input.ts";

export async function applyCreate(
  input: OperationInput,
  desired: DesiredVirdomain,
  context: ChangeContext,
): Promise<OperationEnd> {
  const created = await input.hypervisor.create(desired, markFor(input, desired, desired.cloudInit?.hash), context);
  await settlePower(input, desired, created, context);
  return done;
}

export async function applyUpdate(
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
export function newMedia(desired: DesiredVirdomain, live: LiveVirdomain): readonly DesiredDisk[] {
  const present = new Map(live.disks.map((disk) => [disk.name, disk.assetId]));
  return desired.disks.filter((disk) => disk.asset !== undefined && present.get(disk.name) !== disk.asset.id);
}

/**
 * Does what a VM may have been switched off for. When nobody will try again it must not stay off; also when it was an
 * earlier attempt that switched it off.
 */
export async function orRestart<T>(
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

export async function stopVirdomain(
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
