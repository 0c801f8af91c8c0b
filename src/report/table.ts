import { visible } from "./format.ts";

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right";
}

/** A plain table for the terminal: two blanks between columns, none at line ends. Cells become single lines. */
export function renderStatusTable(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = [columns.map((column) => column.title), ...rows].map((row) =>
    columns.map((_, index) => visible(row[index] ?? "")),
  );
  const widths = columns.map((_, index) => Math.max(...cells.map((row) => displayWidth(row[index] ?? ""))));
  return cells
    .map((row) =>
      row
        .map((cell, index) => pad(cell, widths[index] ?? 0, columns[index]?.align ?? "left"))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** Columns of a terminal a text takes: wide East Asian characters and emoji count two, combining marks none. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{M}/u.test(character)) continue;
    width +=
      /[\u1100-\u115F\u2E80-\uA4CF\uAC00-\uD7A3\uF900-\uFAFF\uFE30-\uFE6F\uFF00-\uFF60\uFFE0-\uFFE6]|\p{Emoji_Presentation}/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}

function pad(text: string, width: number, align: "left" | "right"): string {
  const blanks = " ".repeat(Math.max(0, width - displayWidth(text)));
  return align === "right" ? blanks + text : text + blanks;
}
