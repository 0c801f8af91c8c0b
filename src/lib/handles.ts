/** Open handles that are closed together, last opened first. (AsyncDisposableStack is not in Node 20.) */
export class Handles implements AsyncDisposable {
  readonly #open: AsyncDisposable[] = [];

  /** Keeps a handle until everything is closed, and answers it. */
  use<T extends AsyncDisposable>(handle: T): T {
    this.#open.push(handle);
    return handle;
  }

  /** Closes everything, also when some of it fails; the failures come together in one AggregateError. */
  async [Symbol.asyncDispose](): Promise<void> {
    const errors: unknown[] = [];
    for (let handle = this.#open.pop(); handle !== undefined; handle = this.#open.pop()) {
      try {
        await handle[Symbol.asyncDispose]();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, "some handles could not be closed");
  }
}
