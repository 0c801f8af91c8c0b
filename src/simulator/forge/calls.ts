export interface CallRecord {
  readonly at: string;
  readonly method: string;
  /** With the query, but never with credentials. */
  readonly path: string;
  readonly status: number;
  readonly login: string | undefined;
  readonly ms: number;
}

const KEEP = 500;

/** What clients asked for, without bodies and tokens. A cut connection is recorded with status 0. */
export class Calls {
  readonly #counts = new Map<string, number>();
  readonly #last: CallRecord[] = [];
  #total = 0;

  /** @param label What the call is counted under: method and route pattern. */
  record(label: string, call: Omit<CallRecord, "at">): void {
    this.#total += 1;
    this.#counts.set(label, (this.#counts.get(label) ?? 0) + 1);
    this.#last.push({ ...call, path: withoutSecrets(call.path), at: new Date().toISOString() });
    if (this.#last.length > KEEP) this.#last.shift();
  }

  summary(): { total: number; counts: Record<string, number>; last: readonly CallRecord[] } {
    return { total: this.#total, counts: Object.fromEntries(this.#counts), last: [...this.#last] };
  }
}

function withoutSecrets(path: string): string {
  return path.replaceAll(/([?&](?:access_token|token|client_secret)=)[^&]*/gi, "$1***");
}
