/** One request as it is remembered: never its body or headers, which hold passwords. */
export interface Call {
  readonly at: number;
  readonly node: number;
  readonly method: string;
  readonly path: string;
  /** 0 while unanswered, and for good when the connection was cut. */
  status: number;
}

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** Counts requests by method and path pattern and remembers the last ones. */
export class CallLog {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();
  #last: Call[] = [];

  constructor(limit: number) {
    this.#limit = limit;
  }

  record(node: number, method: string, path: string): Call {
    const pattern = `${method} ${path.replace(uuid, "{uuid}").replace(/TaskTag\/\d+/, "TaskTag/{tag}")}`;
    this.#counts.set(pattern, (this.#counts.get(pattern) ?? 0) + 1);
    const call: Call = { at: Date.now(), node, method, path, status: 0 };
    this.#last.push(call);
    if (this.#last.length > 2 * this.#limit) this.#last = this.#last.slice(-this.#limit);
    return call;
  }

  clear(): void {
    this.#counts.clear();
    this.#last = [];
  }

  report(): { readonly counts: Readonly<Record<string, number>>; readonly last: readonly Call[] } {
    return { counts: Object.fromEntries(this.#counts), last: this.#last.slice(-this.#limit) };
  }
}
