/** Between two syncs because of one VM, at first and at most. */
const firstGapMs = 60_000;
const longestGapMs = 3_600_000;

interface Correction {
  readonly atMs: number;
  /** How long the next one has to wait. */
  readonly gapMs: number;
}

/**
 * How often one VM may cause a sync: once a minute, and while it keeps changing half as often each time, down to once an
 * hour. A VM that was left alone for twice its pause begins at a minute again.
 */
export class DriftPace {
  readonly #last = new Map<string, Correction>();

  /** From when a VM may cause a sync. */
  dueMs(key: string): number {
    const last = this.#last.get(key);
    return last === undefined ? 0 : last.atMs + last.gapMs;
  }

  /** A VM causes a sync. */
  note(key: string, nowMs: number): void {
    for (const [other, correction] of this.#last) if (hasRested(correction, nowMs)) this.#last.delete(other);
    const last = this.#last.get(key);
    const gapMs = last === undefined ? firstGapMs : Math.min(longestGapMs, 2 * last.gapMs);
    this.#last.set(key, { atMs: nowMs, gapMs });
  }
}

function hasRested({ atMs, gapMs }: Correction, nowMs: number): boolean {
  return nowMs >= atMs + 2 * gapMs;
}
