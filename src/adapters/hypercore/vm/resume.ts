import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { type ClusterAccess, awaitTurn, vanished } from "../access.ts";
import { interruptible } from "../../boundaries.ts";
import { readOwnership } from "../marks/ownership.ts";
import { pause } from "../../pause.ts";
import { nameDevices } from "./to-virdomain.ts";
import type { VirDomain } from "../rest/wire.ts";

/**
 * The VM as an operation finds it. When an earlier attempt noted a disk that is not there, its request may still be on
 * the way: it gets a moment to arrive before anybody sends it again.
 */
export async function resume(access: ClusterAccess, uuid: string, context: ChangeContext): Promise<VirDomain> {
  const vm = (await awaitTurn(access, uuid, context)) ?? vanished(access, uuid);
  if (!awaitsDisks(vm)) return vm;
  await interruptible(context, (signal) => pause(access.timeouts.settleMs, signal));
  return (await awaitTurn(access, uuid, context)) ?? vanished(access, uuid);
}

function awaitsDisks(vm: VirDomain): boolean {
  const record = readOwnership(vm);
  const present = new Set(nameDevices(vm, record).map(({ name }) => name));
  return [...record.disks].some(([name, note]) => !("uuidPrefix" in note) && !present.has(name));
}
