import { WatcherError } from "../../lib/errors.ts";
import type { Policy } from "../../manifest/document.ts";
import type { LiveVirdomain, OwnershipMark } from "../../plan/live-state.ts";
import { isUnfinished, quarantinedName, withoutSuffix } from "../../plan/quarantine.ts";
import type { ChangeContext, Hypervisor } from "../../ports/hypervisor.ts";

/** How a guest is shut down before its VM goes. */
export type ShutdownPolicy = Pick<Policy, "shutdownGraceMs" | "forceShutdown">;

/**
 * The one place where a VM goes away, after planning and the deletion rules agreed or its quarantine is over: the guest
 * is asked to shut down, then the VM is deleted with its disks.
 */
export async function removeVirdomain(
  hypervisor: Hypervisor,
  live: LiveVirdomain,
  policy: ShutdownPolicy,
  context: ChangeContext,
): Promise<void> {
  await stopUnlessOff(hypervisor, live, policy, context);
  await hypervisor.delete(live, context);
}

/** What a quarantine that begins now is to say. One that has begun keeps what it says, however often it is tried. */
export interface QuarantineTerms {
  readonly nowMs: number;
  readonly keepMs: number;
  readonly revision: string;
}

/**
 * Sets a VM aside with its disks in place of deleting it. The note on the VM comes first and the name last, so that
 * whoever meets it half done knows what it is and can finish it, or bring it back.
 */
export async function quarantineVirdomain(
  hypervisor: Hypervisor,
  live: LiveVirdomain & { readonly mark: OwnershipMark },
  terms: QuarantineTerms,
  policy: ShutdownPolicy,
  context: ChangeContext,
): Promise<void> {
  const { nowMs, keepMs, revision } = terms;
  const note = live.mark.quarantine ?? {
    atMs: nowMs,
    untilMs: nowMs + keepMs,
    revision,
    name: withoutSuffix(live.name),
  };
  const mark = { ...live.mark, quarantine: note };
  const marked = live.mark.quarantine === undefined ? await hypervisor.remark(live, mark, undefined, context) : live;
  await stopUnlessOff(hypervisor, marked, policy, context);
  if (!isUnfinished(marked)) return;
  try {
    await hypervisor.remark(marked, mark, quarantinedName(note), context);
  } catch (error) {
    if (!(error instanceof WatcherError) || error.code !== "virdomain-conflict") throw error;
    // The platform keeps names unique, and another VM of this name was set aside by the same commit.
    await hypervisor.remark(marked, mark, quarantinedName(note, live.id), context);
  }
}

/** Takes the note off: from here on it is a VM like any other, and no purge takes it. */
export async function releaseVirdomain(
  hypervisor: Hypervisor,
  live: LiveVirdomain & { readonly mark: OwnershipMark },
  context: ChangeContext,
): Promise<LiveVirdomain> {
  const { quarantine: _over, ...mark } = live.mark;
  return hypervisor.remark(live, mark, undefined, context);
}

/** Deletes a VM whose quarantine is over. The driver looks once more whether it is off and still in this quarantine. */
export async function purgeVirdomain(
  hypervisor: Hypervisor,
  live: LiveVirdomain,
  context: ChangeContext,
): Promise<void> {
  if (live.mark?.quarantine === undefined) throw new Error("only a VM in quarantine is purged");
  await hypervisor.delete(live, context);
}

export async function stopUnlessOff(
  hypervisor: Hypervisor,
  live: LiveVirdomain,
  { shutdownGraceMs, forceShutdown }: ShutdownPolicy,
  context: ChangeContext,
): Promise<void> {
  if (live.power === "shutoff" || live.power === "crashed") return;
  await hypervisor.stop(live.id, { graceMs: shutdownGraceMs, force: forceShutdown }, context);
}
