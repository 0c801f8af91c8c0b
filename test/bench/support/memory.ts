import { readFile, writeFile } from "node:fs/promises";

export interface Watched<T> {
  readonly result: T;
  readonly seconds: number;
  readonly grownMB: number;
  readonly note: string;
}

/** Runs something and answers how far resident memory rose above `before` meanwhile; read from /proc, so Linux only. */
export async function watched<T>(before: number, work: () => Promise<T>): Promise<Watched<T>> {
  // Sets the kernel's high-water mark back to what is resident now.
  await writeFile("/proc/self/clear_refs", "5");
  const began = performance.now();
  const result = await work();
  const seconds = (performance.now() - began) / 1_000;
  const peak = await memoryMB("VmHWM");
  return {
    result,
    seconds,
    grownMB: peak - before,
    note: `${before.toFixed(0)} MB before, at most ${peak.toFixed(0)} MB`,
  };
}

export async function memoryMB(field: string): Promise<number> {
  const status = await readFile("/proc/self/status", "utf8");
  return (Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1] ?? Number.NaN) * 1024) / 1e6;
}
