/** One line of a comparison. */
export interface LineEdit {
  readonly kind: "same" | "removed" | "added";
  readonly text: string;
}

/** Lines of unchanged text shown around a change. */
const contextLines = 3;
/** Edits looked for before a comparison gives up and shows everything as replaced: bounds time and memory to this squared. */
const maxEdits = 1_500;

/** Lines of a text; a final newline ends the last line and starts no new one. */
export function splitLines(text: string): readonly string[] {
  if (text === "") return [];
  const lines = text.split(/\r\n|\n|\r/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

/**
 * The shortest list of edits from one list of lines to another (Myers' algorithm), bounded: texts that differ in more
 * than about 1,500 lines come back as replaced between their common beginning and end.
 */
export function compareLines(before: readonly string[], after: readonly string[]): readonly LineEdit[] {
  let start = 0;
  while (start < before.length && start < after.length && before[start] === after[start]) start += 1;
  let end = 0;
  while (
    end < before.length - start &&
    end < after.length - start &&
    before[before.length - 1 - end] === after[after.length - 1 - end]
  ) {
    end += 1;
  }
  return [
    ...before.slice(0, start).map(same),
    ...compareMiddle(before.slice(start, before.length - end), after.slice(start, after.length - end)),
    ...before.slice(before.length - end).map(same),
  ];
}

/**
 * A difference to read, like `diff -u` without file names: `@@` headers, three lines of context, `-` and `+` lines.
 * Equal texts give "".
 */
export function diffLines(before: string, after: string): string {
  const edits = compareLines(splitLines(before), splitLines(after));
  return hunksOf(edits)
    .map((hunk) => renderHunk(edits, hunk))
    .join("\n");
}

function same(text: string): LineEdit {
  return { kind: "same", text };
}

function compareMiddle(before: readonly string[], after: readonly string[]): readonly LineEdit[] {
  const trace = before.length === 0 || after.length === 0 ? undefined : searchShortestPath(before, after);
  if (trace !== undefined) return walkBack(before, after, trace);
  return [
    ...before.map((text) => ({ kind: "removed", text }) as const),
    ...after.map((text) => ({ kind: "added", text }) as const),
  ];
}

/** Furthest x per diagonal (index k + offset) after each number of edits; undefined when more edits would be needed. */
function searchShortestPath(before: readonly string[], after: readonly string[]): readonly Int32Array[] | undefined {
  const limit = Math.min(before.length + after.length, maxEdits);
  const offset = limit + 1;
  const furthest = new Int32Array(2 * offset + 1);
  const trace: Int32Array[] = [];
  for (let edits = 0; edits <= limit; edits += 1) {
    trace.push(furthest.slice(offset - edits - 1, offset + edits + 2));
    for (let diagonal = -edits; diagonal <= edits; diagonal += 2) {
      let x = stepX(furthest, offset + diagonal, diagonal, edits);
      while (x < before.length && x - diagonal < after.length && before[x] === after[x - diagonal]) x += 1;
      furthest[offset + diagonal] = x;
      if (x >= before.length && x - diagonal >= after.length) return trace;
    }
  }
  return undefined;
}

/** Where an edit arrives on a diagonal: down (an added line) keeps x, right (a removed line) moves it on. */
function stepX(furthest: Int32Array, index: number, diagonal: number, edits: number): number {
  const below = furthest[index + 1] ?? 0;
  const left = furthest[index - 1] ?? 0;
  return diagonal === -edits || (diagonal !== edits && left < below) ? below : left + 1;
}

function walkBack(before: readonly string[], after: readonly string[], trace: readonly Int32Array[]): LineEdit[] {
  const reversed: LineEdit[] = [];
  let x = before.length;
  let y = after.length;
  for (let edits = trace.length - 1; edits >= 0; edits -= 1) {
    const furthest = trace[edits] ?? new Int32Array();
    const diagonal = x - y;
    const index = edits + 1 + diagonal;
    const startX = edits === 0 ? 0 : stepX(furthest, index, diagonal, edits);
    const startY = startX - diagonal;
    while (x > startX && y > startY) {
      x -= 1;
      y -= 1;
      reversed.push(same(before[x] ?? ""));
    }
    if (edits === 0) break;
    const previous = stepDown(furthest, index, diagonal, edits);
    if (previous) {
      y -= 1;
      reversed.push({ kind: "added", text: after[y] ?? "" });
    } else {
      x -= 1;
      reversed.push({ kind: "removed", text: before[x] ?? "" });
    }
  }
  return reversed.toReversed();
}

function stepDown(furthest: Int32Array, index: number, diagonal: number, edits: number): boolean {
  return diagonal === -edits || (diagonal !== edits && (furthest[index - 1] ?? 0) < (furthest[index + 1] ?? 0));
}

interface Hunk {
  readonly from: number;
  readonly to: number;
}

/** Ranges of edits to show: every change with its context, neighbours joined. */
function hunksOf(edits: readonly LineEdit[]): readonly Hunk[] {
  const hunks: Hunk[] = [];
  for (const [index, edit] of edits.entries()) {
    if (edit.kind === "same") continue;
    const from = Math.max(0, index - contextLines);
    const to = Math.min(edits.length, index + contextLines + 1);
    const last = hunks.at(-1);
    if (last !== undefined && from <= last.to) hunks[hunks.length - 1] = { from: last.from, to };
    else hunks.push({ from, to });
  }
  return hunks;
}

function renderHunk(edits: readonly LineEdit[], hunk: Hunk): string {
  const shown = edits.slice(hunk.from, hunk.to);
  const skipped = edits.slice(0, hunk.from);
  const range = (unwanted: LineEdit["kind"]): string => {
    const count = shown.filter((edit) => edit.kind !== unwanted).length;
    const line = skipped.filter((edit) => edit.kind !== unwanted).length + (count === 0 ? 0 : 1);
    return count === 1 ? `${line}` : `${line},${count}`;
  };
  const symbols = { same: " ", removed: "-", added: "+" } as const;
  return [
    `@@ -${range("added")} +${range("removed")} @@`,
    ...shown.map((edit) => `${symbols[edit.kind]}${edit.text}`),
  ].join("\n");
}
