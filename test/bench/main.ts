import { fork } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { messageOf } from "../../src/lib/errors.ts";
import { describeMachine, type RowReport, toMarkdown, toText, withNumbers } from "./bench-report.ts";
import type { BenchRow } from "./bench-row.ts";
import { rows } from "./rows/index.ts";
import type { RowAnswer } from "./run-row.ts";

const page = fileURLToPath(new URL("../../docs/performance.md", import.meta.url));

/** Runs the rows whose names hold one of the words given (all without a word), one after another. */
async function main(words: readonly string[]): Promise<number> {
  const chosen = rows.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)));
  if (chosen.length === 0) {
    console.error(`No row matches ${words.join(" ")}. Rows: ${rows.map(({ name }) => name).join(", ")}`);
    return 2;
  }
  const machine = describeMachine();
  const reports: RowReport[] = [];
  for (const row of chosen) {
    console.error(`${row.name} ...`);
    reports.push(await report(row));
  }
  console.log(toText(reports));
  const text = await readFile(page, "utf8");
  const known = rows.map(({ name }) => name);
  await writeFile(
    page,
    withNumbers(text, machine, new Map(reports.map((each) => [each.name, toMarkdown(each)])), known),
  );
  return reports.every(({ answer }) => "measurements" in answer) ? 0 : 1;
}

async function report(row: BenchRow): Promise<RowReport> {
  const load = describeMachine().load;
  const answer = await inProcess(row.name).catch((error: unknown): RowAnswer => ({ trouble: messageOf(error) }));
  return { name: row.name, measures: row.measures, load, answer };
}

/** A process per row: what one leaves in memory is not counted for the next. */
function inProcess(name: string): Promise<RowAnswer> {
  const child = fork(fileURLToPath(new URL("run-row.ts", import.meta.url)), [name], { execArgv: ["--import", "tsx"] });
  return new Promise((resolve, reject) => {
    child.once("message", (answer) => resolve(answer as RowAnswer));
    child.once("error", reject);
    child.once("exit", (code) => reject(new Error(`the row's process ended with ${code} and no answer`)));
  });
}

process.exitCode = await main(process.argv.slice(2));
