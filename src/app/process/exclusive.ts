import type { Clock } from "../../ports/clock.ts";
import type { Exclusive } from "../../ports/exclusive.ts";
import type { Lease, StateStore } from "../../ports/state-store.ts";
import { keepLease } from "./keep-lease.ts";

const ttlMs = 10_000;
/** Between two looks whether somebody else is done. */
const lookMs = 250;

/** One process at a time through leases of the state store. */
export function exclusiveThrough(store: Pick<StateStore, "acquireLease">, clock: Clock): Exclusive {
  return async (name, signal, work) => {
    await using kept = keepLease(await waitForLease(store, clock, `exclusive/${name}`, signal), ttlMs, clock);
    // Awaited here: the lease is given back when this scope ends.
    return await work(AbortSignal.any([signal, kept.lost]));
  };
}

async function waitForLease(
  store: Pick<StateStore, "acquireLease">,
  clock: Clock,
  name: string,
  signal: AbortSignal,
): Promise<Lease> {
  for (;;) {
    signal.throwIfAborted();
    const lease = await store.acquireLease(name, ttlMs);
    if (lease !== undefined) return lease;
    await clock.sleep(lookMs, signal);
  }
}
