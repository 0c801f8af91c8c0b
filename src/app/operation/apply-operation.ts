import { defaultPolicy } from "../../manifest/document.ts";
import type { ChangeContext } from "../../ports/hypervisor.ts";
import { carriesMark } from "./leave-quarantine.ts";
import { quarantineVirdomain, removeVirdomain } from "./remove-virdomain.ts";
import { type OperationInput, type OperationEnd, done, stale, findPlanned } from "./operation-input.ts";
import { applyCreate, applyUpdate } from "./converge-virdomain.ts";
import { applyReplace, applyRestore } from "./replace-virdomain.ts";

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
