import { WatcherError } from "../../lib/errors.ts";
import type { LiveVirdomain, OwnershipMark } from "../../plan/live-state.ts";
import type { Clock } from "../../ports/clock.ts";
import type { ChangeContext, Hypervisor } from "../../ports/hypervisor.ts";
import type { Lease } from "../../ports/state-store.ts";
import { releaseVirdomain } from "./remove-virdomain.ts";

/** What bringing a VM back needs. */
export interface QuarantineInput {
  readonly hypervisor: Hypervisor;
  readonly clock: Clock;
  /** Keeps purge and return of one VM apart. Undefined while another process has it. */
  readonly leaseQuarantined: (virdomainId: string) => Promise<Lease | undefined>;
}

/** Longer than reading a VM and writing its mark takes. */
export const quarantineLeaseMs = 120_000;

export function quarantineLeaseName(cluster: string, virdomainId: string): string {
  return `quarantine/${cluster}/${virdomainId}`;
}

export function carriesMark(live: LiveVirdomain): live is LiveVirdomain & { readonly mark: OwnershipMark } {
  return live.mark !== undefined;
}

/** The VM out of quarantine. One that is in none, as an earlier attempt took it out, is answered as it is. */
export async function leaveQuarantine(
  { hypervisor, clock, leaseQuarantined }: QuarantineInput,
  found: LiveVirdomain | undefined,
  context: ChangeContext,
): Promise<LiveVirdomain | undefined> {
  if (found === undefined || !carriesMark(found) || found.mark.quarantine === undefined) return found;
  const leaseEndsMs = clock.now() + quarantineLeaseMs;
  const lease = await leaseQuarantined(found.id);
  if (lease === undefined)
    throw new WatcherError(
      "cluster-busy",
      `cluster ${hypervisor.cluster}: another process decides about VM ${found.name} in quarantine`,
    );
  try {
    return await releaseVirdomain(hypervisor, found, withinLease(context, clock, leaseEndsMs));
  } finally {
    await lease.release().catch(() => undefined);
  }
}

/** Nothing is written under a lease that ended while the process was asleep. */
export function withinLease(context: ChangeContext, clock: Clock, leaseEndsMs: number): ChangeContext {
  return {
    ...context,
    beforeChange() {
      context.beforeChange();
      if (clock.now() >= leaseEndsMs)
        throw new WatcherError("lease-lost", "another process may decide about this VM in quarantine by now");
    },
  };
}
