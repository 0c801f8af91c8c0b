import { WatcherError } from "../../lib/errors.ts";

export interface TransferLimitOptions {
  readonly remote: string;
  /** Longest duration of the whole call. */
  readonly deadlineMs: number;
  /** Longest time without a word of progress. */
  readonly silenceMs: number;
  /** Most bytes that one fetch may bring. */
  readonly maxBytes: number | undefined;
}

/** Ends a network call that takes too long, falls silent, or brings too much. The reason of the abort is the error to throw. */
export class TransferLimits implements Disposable {
  readonly #options: TransferLimitOptions;
  readonly #controller = new AbortController();
  readonly #deadline: NodeJS.Timeout;
  #silence: NodeJS.Timeout;

  constructor(options: TransferLimitOptions) {
    this.#options = options;
    this.#deadline = setTimeout(
      () => this.#end(`did not finish within ${seconds(options.deadlineMs)}`),
      options.deadlineMs,
    );
    this.#silence = this.#listen();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Takes git's progress text: "Receiving objects: 45% (45/100), 5.21 MiB | 1.20 MiB/s". */
  readonly onProgress = (text: string): void => {
    clearTimeout(this.#silence);
    this.#silence = this.#listen();
    const { maxBytes, remote } = this.#options;
    if (maxBytes === undefined || receivedBytes(text) <= maxBytes) return;
    const message = `The fetch from ${remote} was stopped at ${maxBytes} bytes: raise maxFetchBytes, or keep large files out of the repository.`;
    this.#controller.abort(new WatcherError("git-failed", message));
  };

  [Symbol.dispose](): void {
    clearTimeout(this.#deadline);
    clearTimeout(this.#silence);
  }

  #listen(): NodeJS.Timeout {
    const { silenceMs } = this.#options;
    return setTimeout(() => this.#end(`sent nothing for ${seconds(silenceMs)}`), silenceMs);
  }

  #end(what: string): void {
    this.#controller.abort(new WatcherError("git-unreachable", `${this.#options.remote} ${what}; it is tried again.`));
  }
}

const units: Readonly<Record<string, number>> = { bytes: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 };

/** The largest amount named in a piece of progress text; 0 where it names none. */
export function receivedBytes(text: string): number {
  const amounts = [...text.matchAll(/, ([\d.]+) (bytes|KiB|MiB|GiB)(?: \||,)/g)];
  return Math.max(0, ...amounts.map(([, amount, unit]) => Number(amount) * (units[unit ?? ""] ?? 0)));
}

function seconds(ms: number): string {
  return `${Math.round(ms / 100) / 10} s`;
}
