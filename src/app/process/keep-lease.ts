import { WatcherError } from "../../lib/errors.ts";
import type { Clock } from "../../ports/clock.ts";
import type { Lease } from "../../ports/state-store.ts";

/** A lease kept for as long as its holder works. Disposing it lets it go. */
export interface KeptLease extends AsyncDisposable {
  /** Aborts with `lease-lost` when somebody else may hold the lease. */
  readonly lost: AbortSignal;
}

/** Renewals within one term: several may fail, as they do while Redis starts again, before the lease is lost. */
const renewalsPerTerm = 5;

/**
 * Renews a lease of `ttlMs` until disposed. It is lost when somebody else has it, or when it could not be renewed for
 * almost its whole term; a Redis that is away for a moment loses nothing.
 */
export function keepLease(lease: Lease, ttlMs: number, clock: Clock): KeptLease {
  const lost = new AbortController();
  const renewalMs = ttlMs / renewalsPerTerm;
  let validUntilMs = clock.now() + ttlMs;

  async function renew(): Promise<void> {
    const askedAtMs = clock.now();
    // The store has the last word: a process that was busy for longer than the term may still be the holder.
    const kept = await lease.renew().catch(() => undefined);
    if (kept === true) validUntilMs = askedAtMs + ttlMs;
    else if (kept === false || clock.now() + renewalMs >= validUntilMs) lose();
  }

  function lose(): void {
    clearInterval(timer);
    lost.abort(new WatcherError("lease-lost", "another process may have taken over"));
  }

  const timer = setInterval(() => void renew(), renewalMs);
  return {
    lost: lost.signal,
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      if (!lost.signal.aborted) await lease.release().catch(() => undefined);
    },
  };
}
