import { WatcherError } from "../../../lib/errors.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { type ClusterAccess, findIdleVm, findVm, taskFailed } from "../access.ts";
import { checkpoint } from "../../boundaries.ts";
import { Patience, poll } from "../../pause.ts";
import { isActive } from "../rest/task-tag.ts";
import type { ChangeReply, VirDomain } from "../rest/wire.ts";

/** One changing call on one VM, with the way to see on the VM that it has happened. */
export interface Step {
  /** For messages, e.g. `attach disk "root" to web-1`. */
  readonly what: string;
  send(signal: AbortSignal): Promise<ChangeReply>;
  /** It takes storage or memory, so a full cluster may be why it fails. */
  readonly needsRoom?: boolean;
  /** How long a refused call is sent again before it counts as refused for good, when that is less than usual. */
  readonly refusedMs?: number;
  /** How long a finished task may take to show, when that is more than usual. */
  readonly visibleMs?: number;
  /** True when the VM (undefined: gone) shows the wanted state, whoever brought it about. */
  done(vm: VirDomain | undefined): boolean;
}

type Attempt =
  | { readonly kind: "complete" }
  | { readonly kind: "failed"; readonly message: string }
  | { readonly kind: "unknown"; readonly message: string }
  | { readonly kind: "refused"; readonly error: WatcherError }
  | { readonly kind: "lost"; readonly error: WatcherError };

/**
 * Sends a step, waits for its task and reads the VM back; answers the VM with the step done. The VM has the last word:
 * a failed task, a lost answer or a 500 count as success when it shows the wanted state. A 500 means "not now" more
 * often than "never", so it is tried again for a while; a lost answer is not, because the request may yet take effect.
 */
export async function performStep(
  access: ClusterAccess,
  uuid: string,
  step: Step,
  context: ChangeContext,
): Promise<VirDomain | undefined> {
  const patience = new Patience(Math.min(250, access.timeouts.backoffMs));
  const end = Date.now() + (step.refusedMs ?? access.timeouts.busyMs);
  for (;;) {
    checkpoint(context);
    const attempt = await trySend(access, step, context);
    const vm = await lookAfter(access, uuid, step, attempt, context.signal);
    if (step.done(vm)) return vm;
    if (attempt.kind === "complete") throw notVisible(access, step);
    if (attempt.kind === "lost") throw attempt.error;
    if (attempt.kind === "failed" || attempt.kind === "unknown")
      throw await taskFailed(access, step, attempt.message, context.signal);
    if (Date.now() >= end) throw stillRefused(step, attempt.error);
    await patience.rest(context.signal);
  }
}

/** The same for steps the VM survives. */
export async function changeVm(
  access: ClusterAccess,
  uuid: string,
  step: Step,
  context: ChangeContext,
): Promise<VirDomain> {
  const vm = await performStep(
    access,
    uuid,
    { ...step, done: (seen) => seen !== undefined && step.done(seen) },
    context,
  );
  if (vm === undefined)
    throw new WatcherError(
      "virdomain-changed",
      `cluster ${access.cluster}: ${step.what}: the VM does not exist any more`,
    );
  return vm;
}

async function trySend(access: ClusterAccess, step: Step, context: ChangeContext): Promise<Attempt> {
  context.beforeChange();
  try {
    const reply = await step.send(context.signal);
    return await access.tasks.wait(reply.taskTag, context.signal, (percent) =>
      context.progress(`${step.what}: ${percent}%`),
    );
  } catch (error) {
    if (error instanceof WatcherError && error.code === "cluster-busy") return { kind: "refused", error };
    if (error instanceof WatcherError && error.code === "cluster-outcome-unknown") return { kind: "lost", error };
    throw error;
  }
}

/** A completed task may take a moment to show; after anything else the VM first has to come to rest. */
async function lookAfter(
  access: ClusterAccess,
  uuid: string,
  step: Step,
  attempt: Attempt,
  signal: AbortSignal,
): Promise<VirDomain | undefined> {
  if (attempt.kind !== "complete" && attempt.kind !== "unknown") return restingVm(access, uuid, attempt, signal);
  const seen = await poll(step.visibleMs ?? access.timeouts.verifyMs, signal, async () => {
    const vm = await findVm(access, uuid, signal);
    // Whatever comes next is another change of this VM, so a task of anybody on it has to be over, too.
    return step.done(vm) && !isActive(vm?.latestTask) ? { vm } : undefined;
  });
  return seen === undefined ? findVm(access, uuid, signal) : seen.vm;
}

/** When the cluster cannot even be read after a lost answer, the lost answer is the news. */
async function restingVm(
  access: ClusterAccess,
  uuid: string,
  attempt: Attempt,
  signal: AbortSignal,
): Promise<VirDomain | undefined> {
  try {
    return await findIdleVm(access, uuid, signal);
  } catch (error) {
    signal.throwIfAborted();
    if (attempt.kind === "lost") throw attempt.error;
    throw error;
  }
}

function notVisible(access: ClusterAccess, step: Step): WatcherError {
  return new WatcherError(
    "task-failed",
    `cluster ${access.cluster}: ${step.what}: the cluster reported success, but the VM does not show it`,
  );
}

function stillRefused(step: Step, last: WatcherError): WatcherError {
  return new WatcherError("cluster-busy", `${step.what}: ${last.message}; tried until the time for it was over`, {
    cause: last,
  });
}
