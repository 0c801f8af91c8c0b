/** Lets askers of one key go one after another, in the order they came. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>();

  /** Resolves when it is this asker's turn, with the function that ends it. Rejects with the signal's reason when that aborts first. */
  async enter(key: string, signal: AbortSignal): Promise<() => void> {
    const before = this.#last.get(key) ?? Promise.resolve();
    let leave = nothing;
    const left = new Promise<void>((resolve) => (leave = resolve));
    // Whoever comes next waits for all before, also when this asker leaves early.
    const both = Promise.all([before, left]);
    this.#last.set(key, both);
    try {
      await untilAborted(before, signal);
    } catch (error) {
      leave();
      throw error;
    }
    return () => {
      leave();
      if (this.#last.get(key) === both) this.#last.delete(key);
    };
  }
}

function nothing(): void {}

function untilAborted(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener("abort", onAbort, { once: true });
    void promise.then(() => resolve()).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
