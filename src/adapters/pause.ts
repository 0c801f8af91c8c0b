import { setTimeout as wait } from "node:timers/promises";

/** Waits; rejects with the signal's own reason when it aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await wait(ms, undefined, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw error;
  }
}

/**
 * Pauses between looks at something that takes as long as it takes: a fifth of the time waited so far, up to one second,
 * so that its end is noticed at most that much late. Short work is noticed early, long work is not nagged.
 */
export class Pacer {
  readonly #began = performance.now();
  #nextMs: number;

  constructor(firstMs: number) {
    this.#nextMs = firstMs;
  }

  async rest(signal: AbortSignal): Promise<void> {
    await pause(this.#nextMs, signal);
    this.#nextMs = Math.min(1_000, Math.max(10, (performance.now() - this.#began) / 5));
  }
}

/** Pauses that grow from `firstMs` by half each time, up to one second: for asking again what was refused. */
export class Patience {
  #nextMs: number;

  constructor(firstMs: number) {
    this.#nextMs = firstMs;
  }

  async rest(signal: AbortSignal): Promise<void> {
    await pause(this.#nextMs, signal);
    this.#nextMs = Math.min(1_000, this.#nextMs * 1.5);
  }
}

/**
 * Asks until `found` answers something, at most for `limitMs`; undefined when the time is over.
 * The last look always happens after the time is over, so a slow clock loses nothing.
 */
export async function poll<T>(
  limitMs: number,
  signal: AbortSignal,
  look: () => Promise<T | undefined>,
  firstMs = 10,
): Promise<T | undefined> {
  const pacer = new Pacer(firstMs);
  const end = Date.now() + limitMs;
  for (;;) {
    const last = Date.now() >= end;
    const found = await look();
    if (found !== undefined || last) return found;
    await pacer.rest(signal);
  }
}

/** A signal that also aborts after `ms` without `touch()`; `done()` frees it. Long-lived parents gather no listeners. */
export interface Deadline {
  readonly signal: AbortSignal;
  readonly expired: () => boolean;
  touch(): void;
  done(): void;
}

export function deadline(ms: number, parent: AbortSignal): Deadline {
  const controller = new AbortController();
  let expired = false;
  const timer = setTimeout(() => {
    expired = true;
    controller.abort(new Error(`no answer within ${ms} ms`));
  }, ms);
  const onAbort = (): void => controller.abort(parent.reason);
  if (parent.aborted) onAbort();
  else parent.addEventListener("abort", onAbort, { once: true });
  return {
    signal: controller.signal,
    expired: () => expired,
    touch: () => timer.refresh(),
    done: () => {
      clearTimeout(timer);
      parent.removeEventListener("abort", onAbort);
    },
  };
}
