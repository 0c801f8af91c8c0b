import { WatcherError } from "../../lib/errors.ts";
import type { Turns } from "../../lib/turns.ts";
import type { AssetStore } from "../../ports/asset-store.ts";
import type { Exclusive } from "../../ports/exclusive.ts";
import type { ChangeContext } from "../../ports/hypervisor.ts";
import { interruptible } from "../boundaries.ts";
import type { HypercoreClient } from "./rest/client.ts";
import type { HypercoreTimeouts, Log } from "./options.ts";
import { poll } from "../pause.ts";
import { isFull } from "./rest/refusal.ts";
import { type TaskWaiter, isActive } from "./rest/task-tag.ts";
import { type Condition, type VirDomain, toCondition, toVirDomainWire } from "./rest/wire.ts";

/** What every operation of the driver works with. */
export interface ClusterAccess {
  readonly cluster: string;
  readonly client: HypercoreClient;
  readonly tasks: TaskWaiter;
  readonly timeouts: HypercoreTimeouts;
  readonly assets: AssetStore;
  readonly exclusive: Exclusive;
  readonly log: Log;
  /** By image: whether one can be attached to several VMs at once is documented nowhere. */
  readonly turns: Turns;
}

export async function listVms(access: ClusterAccess, signal: AbortSignal): Promise<VirDomain[]> {
  return access.client.list("VirDomain", toVirDomainWire, signal);
}

export async function findVm(access: ClusterAccess, uuid: string, signal: AbortSignal): Promise<VirDomain | undefined> {
  const found = await access.client.list(`VirDomain/${encodeURIComponent(uuid)}`, toVirDomainWire, signal);
  return found.find((vm) => vm.uuid === uuid);
}

export async function getVm(access: ClusterAccess, uuid: string, signal: AbortSignal): Promise<VirDomain> {
  return (await findVm(access, uuid, signal)) ?? vanished(access, uuid);
}

/** The VM once no task works on it; one mutating call at a time is all a VM takes. */
export async function findIdleVm(
  access: ClusterAccess,
  uuid: string,
  signal: AbortSignal,
): Promise<VirDomain | undefined> {
  const seen = await poll(access.timeouts.busyMs, signal, async () => {
    const vm = await findVm(access, uuid, signal);
    return vm !== undefined && isActive(vm.latestTask) ? undefined : { vm };
  });
  if (seen === undefined)
    throw new WatcherError("cluster-busy", `cluster ${access.cluster}: VM ${uuid} is still busy with another task`);
  return seen.vm;
}

export async function getIdleVm(access: ClusterAccess, uuid: string, signal: AbortSignal): Promise<VirDomain> {
  return (await findIdleVm(access, uuid, signal)) ?? vanished(access, uuid);
}

/** The VM at rest before an operation begins. Somebody else's task may take long, so a newer revision ends this wait. */
export async function awaitTurn(
  access: ClusterAccess,
  uuid: string,
  context: ChangeContext,
): Promise<VirDomain | undefined> {
  return interruptible(context, (signal) => findIdleVm(access, uuid, signal));
}

export function vanished(access: ClusterAccess, uuid: string): never {
  throw new WatcherError("virdomain-changed", `cluster ${access.cluster}: VM ${uuid} does not exist any more`);
}

/**
 * The failure of a task in an operator's words, with the conditions the cluster itself reports as true. Where the task
 * needed room, such a condition also explains a failure that does not speak of it.
 */
export async function taskFailed(
  access: ClusterAccess,
  task: { readonly what: string; readonly needsRoom?: boolean },
  message: string,
  signal: AbortSignal,
): Promise<WatcherError> {
  const conditions = await trueConditions(access, signal);
  const reported =
    conditions.length === 0 ? "" : ` (the cluster reports: ${conditions.map(({ text }) => text).join("; ")})`;
  const text = `cluster ${access.cluster}: ${task.what}: ${message}${reported}`;
  const noRoom = conditions.some((condition) => isFull(condition.name) || isFull(condition.text));
  const full = isFull(message) || (task.needsRoom === true && noRoom);
  return new WatcherError(full ? "cluster-full" : "task-failed", text);
}

/** Only entries with `value: true` count: the catalogue lists every condition there could be. */
export async function listTrueConditions(access: ClusterAccess, signal: AbortSignal): Promise<Condition[]> {
  return (await access.client.list("Condition", toCondition, signal)).filter((condition) => condition.value);
}

/** Only enriches messages, so its own failure is no news. */
async function trueConditions(access: ClusterAccess, signal: AbortSignal): Promise<Condition[]> {
  try {
    return (await listTrueConditions(access, signal)).slice(0, 5);
  } catch (error) {
    access.log("debug", { cluster: access.cluster, err: error }, "conditions could not be read");
    return [];
  }
}
