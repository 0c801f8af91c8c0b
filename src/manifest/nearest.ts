/**
 * The candidate a person most likely meant, or undefined when none is close: at most a third of the word may differ.
 * Case, `_` and `-` count for little, as they are what people get wrong first.
 */
export function findNearest(word: string, candidates: Iterable<string>): string | undefined {
  if (word.length > 80) return undefined;
  const wanted = fold(word);
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(wanted.length / 3)) + 1;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > bestDistance + 2) continue;
    const folded = fold(candidate);
    const limit = Math.min(bestDistance, Math.max(1, folded.length - 1));
    const found = distance(wanted, folded);
    if (found < limit) [best, bestDistance] = [candidate, found];
  }
  return best;
}

/** `did you mean "cpu"?`, or the known words when none is near (undefined when there are too many to list). */
export function nearestHint(word: string, candidates: Iterable<string>, what = "known"): string | undefined {
  const all = [...candidates];
  const nearest = findNearest(word, all);
  if (nearest !== undefined) return `did you mean "${nearest}"?`;
  if (all.length === 0 || all.length > 16) return undefined;
  return `${what}: ${all.join(", ")}`;
}

function fold(word: string): string {
  return word.toLowerCase().replaceAll(/[_-]/g, "");
}

/** Levenshtein distance, one row at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, substitution));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
