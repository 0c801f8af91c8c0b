import type { Policy } from "../manifest/document.ts";
import type { LiveVirdomain } from "../plan/live-state.ts";
import type { ChangeContext, Hypervisor } from "../ports/hypervisor.ts";

/**
 * The one place where a VM goes away, after planning and the deletion rules agreed: the guest is asked to shut down,
 * then the VM is deleted with its disks. Setting it aside for a time instead (quarantine) belongs here.
 */
export async function removeVirdomain(
  hypervisor: Hypervisor,
  live: LiveVirdomain,
  policy: Policy,
  context: ChangeContext,
): Promise<void> {
  if (live.power !== "shutoff" && live.power !== "crashed") {
    await hypervisor.stop(live.id, { graceMs: policy.shutdownGraceMs, force: policy.forceShutdown }, context);
  }
  await hypervisor.delete(live, context);
}
