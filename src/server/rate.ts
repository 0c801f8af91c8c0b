/** So many at once, and so many a second in the long run. */
export interface Pace {
  readonly burst: number;
  readonly perSecond: number;
}

/** Token buckets by name. Names must be few: those of the configuration, not what strangers send. */
export function createRates(pace: Pace, now: () => number): { take(name: string): boolean } {
  const buckets = new Map<string, { tokens: number; atMs: number }>();
  return {
    take(name) {
      const atMs = now();
      const bucket = buckets.get(name) ?? { tokens: pace.burst, atMs };
      const gained = (Math.max(0, atMs - bucket.atMs) / 1_000) * pace.perSecond;
      const tokens = Math.min(pace.burst, bucket.tokens + gained);
      buckets.set(name, { tokens: tokens >= 1 ? tokens - 1 : tokens, atMs });
      return tokens >= 1;
    },
  };
}

/** Lets one of a kind through now and then, with the number of those held back since. */
export function createQuiet(everyMs: number, now: () => number): (kind: string, tell: (held: number) => void) => void {
  const kinds = new Map<string, { atMs: number; held: number }>();
  return (kind, tell) => {
    const last = kinds.get(kind);
    if (last !== undefined && now() - last.atMs < everyMs) {
      last.held += 1;
      return;
    }
    kinds.set(kind, { atMs: now(), held: 0 });
    tell(last?.held ?? 0);
  };
}
