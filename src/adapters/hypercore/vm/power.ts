import { WatcherError } from "../../../lib/errors.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { type ClusterAccess, awaitTurn, findVm, getVm, taskFailed, vanished } from "../access.ts";
import { checkpoint, interruptible } from "../../boundaries.ts";
import { readOwnership } from "../marks/ownership.ts";
import { Pacer, poll } from "../../pause.ts";
import { changeVm } from "./perform.ts";
import { describeTask, isActive } from "../rest/task-tag.ts";
import { isOff } from "./to-virdomain.ts";
import type { VirDomain } from "../rest/wire.ts";

/** Powers on and waits for RUNNING. A VM under construction is refused: cloud-init runs on the first boot only. */
export async function startVm(access: ClusterAccess, uuid: string, context: ChangeContext): Promise<void> {
  checkpoint(context);
  await interruptible(context, (signal) => settleShutdown(access, uuid, signal));
  const vm = (await awaitTurn(access, uuid, context)) ?? vanished(access, uuid);
  if (isRunning(vm)) return;
  const { mark } = readOwnership(vm);
  if (mark?.building === true || mark?.quarantine !== undefined) {
    throw new WatcherError(
      "virdomain-changed",
      `cluster ${access.cluster}: VM ${vm.name} is ${mark.building ? "still under construction" : "in quarantine"} and is not started`,
    );
  }
  const firmware = vm.machineTypeKeyword !== "bios" && vm.blockDevs.every(({ type }) => type !== "NVRAM");
  const hint = firmware ? " (it has no NVRAM device, without which UEFI does not start)" : "";
  const step = {
    what: `start VM ${vm.name}${hint}`,
    needsRoom: true,
    visibleMs: access.timeouts.startMs,
    send: (signal: AbortSignal) =>
      access.client.change("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "START" }], signal),
    done: (seen: VirDomain | undefined) => seen !== undefined && isRunning(seen),
  };
  await changeVm(access, uuid, step, context);
}

/** A guest on its way down can neither be started nor asked anything; it is awaited first. */
async function settleShutdown(
  access: ClusterAccess,
  uuid: string,
  signal: AbortSignal,
): Promise<VirDomain | undefined> {
  return poll(access.timeouts.startMs, signal, async () => {
    const vm = await getVm(access, uuid, signal);
    return vm.state === "SHUTDOWN" ? undefined : vm;
  });
}

function isRunning(vm: VirDomain): boolean {
  return vm.state === "RUNNING" || vm.state === "BLOCKED";
}

/** Shuts the guest down; the state alone decides, as tasks of STOP have been seen to hang and fail while the VM was off. */
export async function stopVm(
  access: ClusterAccess,
  uuid: string,
  options: { readonly graceMs: number; readonly force: boolean },
  context: ChangeContext,
): Promise<void> {
  checkpoint(context);
  const vm = await getVm(access, uuid, context.signal);
  if (isOff(vm)) return;
  const graceful = await askForShutdown(access, vm, options.graceMs, context);
  if (!graceful && !options.force) {
    throw new WatcherError(
      "shutdown-timeout",
      `cluster ${access.cluster}: VM ${vm.name} did not shut down within ${Math.round(options.graceMs / 1000)} s`,
    );
  }
  if (!graceful) await switchOff(access, vm, context);
  // Its last task may linger for a moment; the next operation should not meet it.
  await poll(2_000, context.signal, async () =>
    isActive((await findVm(access, uuid, context.signal))?.latestTask) ? undefined : true,
  );
}

/** ACPI, once more after a while: a guest that is still booting loses the request. True when the VM is off. */
async function askForShutdown(
  access: ClusterAccess,
  vm: VirDomain,
  graceMs: number,
  context: ChangeContext,
): Promise<boolean> {
  if (vm.state === "PAUSED") return false;
  const { resendMs } = access.timeouts;
  const asked = vm.desiredDisposition === "SHUTOFF" ? [resendMs] : [0, resendMs];
  return requestUntilOff(access, vm, "SHUTDOWN", graceMs, asked, context);
}

async function switchOff(access: ClusterAccess, vm: VirDomain, context: ChangeContext): Promise<void> {
  const { stopMs } = access.timeouts;
  if (await requestUntilOff(access, vm, "STOP", stopMs, [0, stopMs / 2], context)) return;
  const seconds = Math.round(stopMs / 1000);
  const last = (await findVm(access, vm.uuid, context.signal))?.latestTask;
  const message = `it is not off after ${seconds} s${last === undefined ? "" : ` (${describeTask(last)})`}`;
  throw await taskFailed(access, { what: `switch off VM ${vm.name}` }, message, context.signal);
}

/**
 * Sends an action at the given times after now, as long as the VM runs and no task works on it, and watches its state. A
 * refused or lost request is sent again after a moment when the VM shows no sign of it.
 */
async function requestUntilOff(
  access: ClusterAccess,
  vm: VirDomain,
  action: "SHUTDOWN" | "STOP",
  limitMs: number,
  atMs: readonly number[],
  context: ChangeContext,
): Promise<boolean> {
  const began = Date.now();
  const pacer = new Pacer(30);
  const due = [...atMs];
  for (;;) {
    const seen = await interruptible(
      context,
      async (signal) => (await findVm(access, vm.uuid, signal)) ?? vanished(access, vm.uuid),
    );
    if (isOff(seen)) return true;
    const passedMs = Date.now() - began;
    if (passedMs >= limitMs) return false;
    const [next] = due;
    const ready = !isActive(seen.latestTask) && (action === "STOP" || isRunning(seen));
    if (next !== undefined && passedMs >= next && ready) {
      due.shift();
      const taken = await request(access, vm, action, context);
      if (!taken) due.unshift(Date.now() - began + access.timeouts.settleMs);
    }
    await interruptible(context, (signal) => pacer.rest(signal));
  }
}

/** False when the cluster did not take the request, or may not have. */
async function request(
  access: ClusterAccess,
  vm: VirDomain,
  actionType: string,
  context: ChangeContext,
): Promise<boolean> {
  context.beforeChange();
  try {
    await access.client.change("POST", "VirDomain/action", [{ virDomainUUID: vm.uuid, actionType }], context.signal);
    return true;
  } catch (error) {
    if (!(error instanceof WatcherError) || (error.code !== "cluster-busy" && error.code !== "cluster-outcome-unknown"))
      throw error;
    const seen = await findVm(access, vm.uuid, context.signal);
    return seen === undefined || isOff(seen) || (actionType === "SHUTDOWN" && seen.desiredDisposition === "SHUTOFF");
  }
}
