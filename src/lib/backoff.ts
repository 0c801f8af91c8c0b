export interface BackoffOptions {
  /** Upper bound of the first delay. */
  readonly baseMs: number;
  /** Upper bound of every delay. */
  readonly maxMs: number;
  /** A number from 0 up to, not including, 1. */
  readonly random: () => number;
}

/**
 * How long to wait before try `attempt` (counted from 1) is repeated: exponential with full jitter, so that many
 * waiters that failed together do not come back together. Whole milliseconds, between 0 and `maxMs`.
 */
export function backoffDelayMs(attempt: number, options: BackoffOptions): number {
  const exponent = Math.min(Math.max(Math.floor(attempt) - 1, 0), 52);
  const ceilingMs = Math.min(options.maxMs, options.baseMs * 2 ** exponent);
  return Math.floor(options.random() * ceilingMs);
}
