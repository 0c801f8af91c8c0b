import { WatcherError } from "../../lib/errors.ts";
import type { ChangeContext } from "../../ports/hypervisor.ts";
import type { OperationHold } from "../../ports/state-store.ts";
import type { Engine } from "../engine.ts";

/** How soon a superseded sync's operations notice. */
const lookMs = 500;

export interface HoldWatch extends AsyncDisposable {
  readonly context: ChangeContext;
}

/**
 * Keeps an operation's hold alive while it works, and tells it to stop when its sync was superseded. `beforeChange`
 * also compares the time: a process that was asleep longer than its hold must not write with stale rights.
 */
export function holdWatch(
  engine: Engine,
  syncId: string,
  hold: OperationHold,
  holdMs: number,
  signal: AbortSignal,
  progress: (text: string) => void,
): HoldWatch {
  const lost = new AbortController();
  const stop = new AbortController();
  const ended = new AbortController();
  let validUntilMs = engine.clock.now() + holdMs;

  async function look(): Promise<void> {
    const [state] = await engine.store.readSyncStates([syncId]);
    if (state?.kind !== "running") stop.abort(new WatcherError("stopped", "a newer revision is waiting"));
    if (validUntilMs - engine.clock.now() > (holdMs * 2) / 3) return;
    const renewedAtMs = engine.clock.now();
    if (await hold.renew()) validUntilMs = renewedAtMs + holdMs;
    else lost.abort(lostError());
  }

  async function keepLooking(): Promise<void> {
    while (!ended.signal.aborted) {
      await engine.clock.sleep(lookMs, ended.signal).catch(() => undefined);
      if (ended.signal.aborted) return;
      await look().catch((error: unknown) =>
        engine.log.warn({ err: error, sync: syncId }, "hold of an operation cannot be renewed now"),
      );
      if (engine.clock.now() >= validUntilMs) lost.abort(lostError());
    }
  }

  const looking = keepLooking();
  return {
    context: {
      signal: AbortSignal.any([signal, lost.signal]),
      stop: stop.signal,
      beforeChange() {
        if (engine.clock.now() >= validUntilMs) lost.abort(lostError());
        lost.signal.throwIfAborted();
        signal.throwIfAborted();
      },
      progress,
    },
    async [Symbol.asyncDispose]() {
      ended.abort();
      await looking;
    },
  };
}

function lostError(): WatcherError {
  return new WatcherError("lease-lost", "another process may be working on this VM: the hold on it ran out");
}
