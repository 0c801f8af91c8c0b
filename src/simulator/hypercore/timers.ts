/** Everything of a cluster that happens later. Closing forgets what has not happened. */
export class Timers {
  readonly #handles = new Set<NodeJS.Timeout>();
  readonly #afterEach: () => void;
  #closed = false;

  /** `afterEach` runs after every callback: the place to write down what it changed. */
  constructor(afterEach: () => void) {
    this.#afterEach = afterEach;
  }

  after(ms: number, callback: () => void): void {
    if (this.#closed) return;
    const handle = setTimeout(() => {
      this.#handles.delete(handle);
      callback();
      this.#afterEach();
    }, ms);
    this.#handles.add(handle);
  }

  close(): void {
    this.#closed = true;
    for (const handle of this.#handles) clearTimeout(handle);
    this.#handles.clear();
  }
}
