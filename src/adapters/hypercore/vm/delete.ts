import { WatcherError } from "../../../lib/errors.ts";
import { type OwnershipMark, sameQuarantine } from "../../../plan/live-state.ts";
import type { ChangeContext } from "../../../ports/hypervisor.ts";
import { type ClusterAccess, awaitTurn } from "../access.ts";
import { checkpoint } from "../../boundaries.ts";
import { ownerText } from "../marks/marks.ts";
import { readOwnership } from "../marks/ownership.ts";
import { performStep } from "./perform.ts";
import { isOff } from "./to-virdomain.ts";
import type { VirDomain } from "../rest/wire.ts";

/** Removes a switched-off VM after reading once more that it is the one meant. Gone already is success. */
export async function deleteVm(
  access: ClusterAccess,
  uuid: string,
  mark: OwnershipMark,
  context: ChangeContext,
): Promise<void> {
  checkpoint(context);
  const vm = await awaitTurn(access, uuid, context);
  if (vm === undefined) return;
  requireOurs(access, vm, mark);
  const found = readOwnership(vm).mark;
  if (found !== undefined && !sameQuarantine(found, mark))
    throw new WatcherError(
      "virdomain-changed",
      `cluster ${access.cluster}: VM ${vm.name} went into or out of quarantine meanwhile and is not deleted`,
    );
  if (!isOff(vm))
    throw new WatcherError(
      "virdomain-changed",
      `cluster ${access.cluster}: VM ${vm.name} is not off and is therefore not deleted`,
    );
  const step = {
    what: `delete VM ${vm.name}`,
    send: (signal: AbortSignal) => access.client.change("DELETE", `VirDomain/${uuid}`, undefined, signal),
    done: (seen: VirDomain | undefined) => seen === undefined,
  };
  await performStep(access, uuid, step, context);
}

/** A VM whose mark was edited, moved to a clone, or is somebody else's is not ours to change. */
export function requireOurs(access: ClusterAccess, vm: VirDomain, ...marks: readonly OwnershipMark[]): void {
  const record = readOwnership(vm);
  const where = `cluster ${access.cluster}: VM ${vm.name} (${vm.uuid})`;
  if (record.clone || vm.sourceVirDomainUUID !== "")
    throw new WatcherError(
      "virdomain-conflict",
      `${where} is a ${record.clone ? "clone" : "replica"} and is left alone`,
    );
  const { mark } = record;
  if (mark !== undefined && marks.some((expected) => ownerText(expected) === ownerText(mark))) return;
  throw new WatcherError("virdomain-changed", `${where} does not carry the mark it was planned with`);
}
