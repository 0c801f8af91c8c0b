/** The least time after a failed poll, however much somebody wants the next one. */
export const breathMs = 1_000;
/** Poll interval from which failures are counted up: a longer one is meant for quiet times, not for trouble. */
const longestFirstRetryMs = 15_000;
const longestBackoffMs = 300_000;
/** A forge may tell of a change a moment before its git or its list of pull requests shows it: one more look. */
const secondLookMs = 3_000;
/** How long a repository goes unwatched after its watcher was killed: nobody stands by for longer without a try. */
export const leaseMs = 10_000;

/** How the last turn of a watcher ended. */
export interface LastTurn {
  readonly pollMs: number;
  /** Polls that failed one after another, the last one included. */
  readonly failures: number;
  /** Another process watches the repository. */
  readonly standsBy: boolean;
  /** Somebody had asked for the poll: a webhook or a person. */
  readonly wanted: boolean;
}

/** How long until the next poll when nobody wants it before: longer after failures, short once after a poll that was wanted. */
export function untilNextPoll({ pollMs, failures, standsBy, wanted }: LastTurn): number {
  if (failures > 0)
    return Math.min(longestBackoffMs, Math.min(pollMs, longestFirstRetryMs) * 2 ** Math.min(failures, 8));
  if (standsBy) return Math.min(pollMs, leaseMs);
  return Math.min(pollMs, wanted ? secondLookMs : pollMs);
}
