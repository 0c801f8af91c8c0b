interface Running<T> {
  readonly promise: Promise<T>;
  readonly controller: AbortController;
  readonly listeners: Set<(progress: string) => void>;
}

/**
 * Does one piece of work for everybody who asks for the same key at the same time. Each asker may leave through its own
 * signal without disturbing the others; when the last one leaves, the work itself is aborted.
 */
export class SharedWork<T> {
  readonly #running = new Map<string, Running<T>>();

  async run(
    key: string,
    work: (signal: AbortSignal, progress: (text: string) => void) => Promise<T>,
    signal: AbortSignal,
    progress: (text: string) => void = () => {},
  ): Promise<T> {
    signal.throwIfAborted();
    const running = this.#running.get(key) ?? this.#begin(key, work);
    // Wrapped, so that one function given by two askers counts twice.
    const listener = (text: string): void => progress(text);
    running.listeners.add(listener);
    try {
      return await untilAborted(running.promise, signal);
    } finally {
      running.listeners.delete(listener);
      if (running.listeners.size === 0) this.#leave(key, running);
    }
  }

  #begin(key: string, work: (signal: AbortSignal, progress: (text: string) => void) => Promise<T>): Running<T> {
    const controller = new AbortController();
    const listeners = new Set<(progress: string) => void>();
    const tell = (text: string): void => {
      for (const listener of listeners) listener(text);
    };
    const promise = work(controller.signal, tell);
    // Somebody may have left by the time it fails; everybody still here sees the failure through their own await.
    promise.catch(() => {});
    const running = { promise, controller, listeners };
    this.#running.set(key, running);
    return running;
  }

  #leave(key: string, running: Running<T>): void {
    if (this.#running.get(key) === running) this.#running.delete(key);
    running.controller.abort(new Error("nobody waits for this any more"));
  }
}

function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason as Error);
    signal.addEventListener("abort", onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
  });
}
