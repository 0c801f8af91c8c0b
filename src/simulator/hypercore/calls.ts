/** One request as it is remembered: never its body or headers, which hold passwords. */
export interface Call {
  readonly at: number;
  readonly node: number;
  readonly method: string;
  readonly path: string;
  /** 0 while unanswered, and for good when the connection was cut. */
  status: number;
  /** A fault struck it, or its node was not itself. */
  troubled?: boolean;
  /** Set when it meant to change something a task was under way on. */
  busy?: BusyTarget;
}

/** What was busy, and how those who sent the change and who had begun the task proved who they are. */
export interface BusyTarget {
  readonly object: "virdomain" | "image" | "iso";
  readonly sender: "basic" | "session";
  readonly holder: "basic" | "session";
}

/** Everything that was counted since the log was last cleared. */
export interface CallReport {
  readonly counts: Readonly<Record<string, number>>;
  readonly troubled: number;
  /** Changes sent to something a task was under way on; the last of them. */
  readonly busy: readonly Call[];
  readonly last: readonly Call[];
}

const uuid = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** Counts requests by method and path pattern and remembers the last ones. */
export class CallLog {
  readonly #limit: number;
  readonly #counts = new Map<string, number>();
  #last: Call[] = [];
  #troubled = 0;
  #busy: Call[] = [];

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

  trouble(call: Call): void {
    call.troubled = true;
    this.#troubled += 1;
  }

  /** Told apart from refusals by request, which look the same to a client. */
  meetsTask(call: Call, target: BusyTarget): void {
    call.busy = target;
    this.#busy = [...this.#busy.slice(1 - this.#limit), call];
  }

  clear(): void {
    this.#counts.clear();
    this.#last = [];
    this.#troubled = 0;
    this.#busy = [];
  }

  report(): CallReport {
    return {
      counts: Object.fromEntries(this.#counts),
      troubled: this.#troubled,
      busy: this.#busy,
      last: this.#last.slice(-this.#limit),
    };
  }
}
