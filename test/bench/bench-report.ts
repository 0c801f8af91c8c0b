import { cpus, loadavg, totalmem } from "node:os";
import type { Measurement } from "./bench-row.ts";
import type { RowAnswer } from "./run-row.ts";

/** One row and what came of it. */
export interface RowReport {
  readonly name: string;
  readonly measures: string;
  /** Load average of the last minute when the row began. */
  readonly load: string;
  readonly answer: RowAnswer;
}

export interface Machine {
  readonly text: string;
  readonly load: string;
}

export function describeMachine(): Machine {
  const [first] = cpus();
  const memory = `${Math.round(totalmem() / 2 ** 30)} GiB`;
  const load = (loadavg()[0] ?? 0).toFixed(1);
  const date = new Date().toISOString().slice(0, 10);
  const text = `${date}, Node ${process.versions.node}, ${cpus().length} x ${first?.model.trim() ?? "unknown"}, ${memory} of memory, ${process.platform}`;
  return { text, load };
}

function valueText({ value, unit }: Measurement): string {
  const digits =
    unit === "s" || unit === "x"
      ? 2
      : unit === "calls" && !Number.isInteger(value)
        ? 1
        : unit === "ms" && value < 20
          ? 1
          : 0;
  return `${value.toFixed(digits)} ${unit}`;
}

function aimText({ aim, unit, bound }: Measurement): string {
  return aim === undefined ? "–" : `${bound === "least" ? "≥" : "≤"} ${aim} ${unit}`;
}

function verdict({ aim, value, bound }: Measurement): string {
  if (aim === undefined) return "";
  const met = bound === "least" ? value >= aim : value <= aim;
  return met ? "met" : "**missed**";
}

/** For the terminal. */
export function toText(reports: readonly RowReport[]): string {
  const lines = reports.flatMap(({ name, answer }) =>
    "trouble" in answer
      ? [[name, "", "failed", "", answer.trouble]]
      : answer.measurements.map((one) => [
          name,
          one.what,
          valueText(one),
          aimText(one),
          verdict(one).replaceAll("*", ""),
        ]),
  );
  const widths = [0, 1, 2, 3].map((column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map((line) =>
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

/** A section of docs/performance.md. */
export function toMarkdown({ name, measures, load, answer }: RowReport): string {
  const head = `### ${name}\n\n${measures}\n\n`;
  const tail = `\nLoad average when it began: ${load}.\n`;
  if ("trouble" in answer) return `${head}Not measured: ${answer.trouble.split("\n")[0]}\n${tail}`;
  const lines = answer.measurements.map(
    (one) => `| ${one.what} | ${valueText(one)} | ${aimText(one)} | ${verdict(one)} | ${one.note} |`,
  );
  return `${head}| case | measured | aim | | how it came about |\n| --- | --- | --- | --- | --- |\n${lines.join("\n")}\n${tail}`;
}

const begin = "<!-- numbers: written by npm run bench -->";
const end = "<!-- end of numbers -->";

/** Puts new sections between the page's markers; rows that were not run keep what they had. */
export function withNumbers(
  page: string,
  machine: Machine,
  sections: ReadonlyMap<string, string>,
  order: readonly string[],
): string {
  const from = page.indexOf(begin);
  const to = page.indexOf(end);
  if (from < 0 || to < from) throw new Error("docs/performance.md has lost its markers");
  const old = page.slice(from + begin.length, to);
  const kept = new Map(
    old
      .split(/^(?=### )/m)
      .filter((part) => part.startsWith("### "))
      .map((part) => [part.slice(4, part.indexOf("\n")), part.trim()] as const),
  );
  const dated = [...sections].map(([name, text]) => [name, `${text.trim()} Measured on ${machine.text}.`] as const);
  const all = new Map([...kept, ...dated]);
  const texts = order.flatMap((name) => all.get(name) ?? []);
  return `${page.slice(0, from)}${begin}\n\n${texts.join("\n\n")}\n\n${page.slice(to)}`;
}
