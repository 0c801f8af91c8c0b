/** A planned pull request as far as others may get in its way. */
export interface Contender {
  readonly number: number;
  /** VMs its merge would change, sorted. */
  readonly touches: readonly string[];
}

/** Numbers of the other open pull requests that would change a VM this one changes too, ascending. */
export function findRivals(one: Contender, all: Iterable<Contender>): readonly number[] {
  if (one.touches.length === 0) return [];
  const own = new Set(one.touches);
  const rivals: number[] = [];
  for (const other of all)
    if (other.number !== one.number && other.touches.some((virdomain) => own.has(virdomain))) rivals.push(other.number);
  return rivals.sort((a, b) => a - b);
}
