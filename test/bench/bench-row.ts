/** One number of a row, with what it may be at most, or is to be at least. */
export interface Measurement {
  /** The case, e.g. `1,000 applications`. */
  readonly what: string;
  readonly value: number;
  /** `x` is a ratio of two times, `%` a share. */
  readonly unit: "ms" | "s" | "MB" | "calls" | "chars" | "%" | "x";
  /** The bound it is held to; undefined for a number that only explains another. */
  readonly aim: number | undefined;
  /** Which bound: of a cost the most it may be (the default), of a yield the least. */
  readonly bound?: "most" | "least";
  /** How it came about: repetitions, spread, phases. */
  readonly note: string;
}

/** Something worth measuring, in a file of its own. Runs in a process of its own. */
export interface BenchRow {
  readonly name: string;
  /** What is measured and on what, for docs/performance.md. */
  readonly measures: string;
  run(): Promise<readonly Measurement[]>;
}

/** Runs `work` several times, one after another, and answers the durations in milliseconds, fastest first. */
export async function repeat(times: number, work: (index: number) => Promise<unknown>): Promise<number[]> {
  const durations: number[] = [];
  for (let index = 0; index < times; index += 1) {
    const began = performance.now();
    await work(index);
    durations.push(performance.now() - began);
  }
  return durations.sort((a, b) => a - b);
}

/** A percentile of sorted numbers: `at` is from 0 to 1. */
export function percentile(sorted: readonly number[], at: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * at))] ?? Number.NaN;
}

export function count(value: number): string {
  return value.toLocaleString("en-US");
}

/** `best 12 ms, median 14 ms, worst 30 ms of 7`. */
export function spread(sorted: readonly number[]): string {
  const [best, middle, worst] = [percentile(sorted, 0), percentile(sorted, 0.5), sorted.at(-1) ?? Number.NaN];
  return `best ${best.toFixed(0)} ms, median ${middle.toFixed(0)} ms, worst ${worst.toFixed(0)} ms of ${sorted.length}`;
}
