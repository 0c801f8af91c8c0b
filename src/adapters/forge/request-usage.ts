import type { RawAnswer } from "./transport.ts";

/** What one token was used for within an hour, by all forges of this process that share it. */
export interface RequestUsage {
  /** Answers that count against the forge's limit. */
  readonly counted: number;
  /** Answers "not modified" (304) to conditional requests, which do not. */
  readonly unchanged: number;
  /** As the forge told last; undefined when it does not tell. */
  readonly limit: number | undefined;
  readonly remaining: number | undefined;
}

/** Whether less than a tenth of the limit is left: what can wait or be left out should be. */
export function isScarce({ limit, remaining }: RequestUsage): boolean {
  return limit !== undefined && remaining !== undefined && remaining < limit / 10;
}

interface Window {
  readonly endsAtMs: number;
  usage: RequestUsage;
}

const windowMs = 3_600_000;
/** Short-lived tokens come and go. */
const maxTokens = 200;
const nothing: RequestUsage = { counted: 0, unchanged: 0, limit: undefined, remaining: undefined };

/** Limits count per token, not per repository: so do we, under a hash of the token. */
export class RequestCounter {
  readonly #windows = new Map<string, Window>();

  /** Counts an answer. Answers the hour before when this answer begins a new one. */
  count(credential: string, answer: RawAnswer, nowMs: number): RequestUsage | undefined {
    const known = this.#windows.get(credential);
    const over = known !== undefined && nowMs >= known.endsAtMs;
    const window = known === undefined || over ? { endsAtMs: nowMs + windowMs, usage: nothing } : known;
    const { counted, unchanged, limit, remaining } = window.usage;
    const free = answer.status === 304;
    window.usage = {
      counted: counted + (free ? 0 : 1),
      unchanged: unchanged + (free ? 1 : 0),
      limit: numberIn(answer, "ratelimit-limit") ?? limit,
      remaining: numberIn(answer, "ratelimit-remaining") ?? remaining,
    };
    this.#windows.delete(credential);
    this.#windows.set(credential, window);
    const oldest = this.#windows.keys().next().value;
    if (this.#windows.size > maxTokens && oldest !== undefined) this.#windows.delete(oldest);
    return over ? known.usage : undefined;
  }

  /** The hour that is under way. */
  usage(credential: string): RequestUsage {
    return this.#windows.get(credential)?.usage ?? nothing;
  }
}

/** GitHub writes `x-` before the name, GitLab does not. */
function numberIn({ headers }: RawAnswer, name: string): number | undefined {
  const value = headers[`x-${name}`] ?? headers[name];
  return value !== undefined && /^\d+$/.test(value) ? Number(value) : undefined;
}
