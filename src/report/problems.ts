import { compareProblems, type Problem } from "../manifest/problem.ts";
import { emptySection, fitBullets, type Section } from "./cut.ts";
import { code, details, link, sentence } from "./escape.ts";
import { plural } from "./format.ts";

/** Address of a line of a file at the planned head, or undefined when there is none. */
export type LinkToFile = (file: string, line: number) => string | undefined;

/** Errors and warnings with links to their lines, errors first and open, warnings folded. */
export function renderProblems(
  problems: readonly Problem[],
  linkToFile: LinkToFile | undefined,
  budget: number,
): Section {
  const sorted = [...problems].sort(compareProblems);
  const bullets = (severity: Problem["severity"]): readonly string[] =>
    sorted.filter((problem) => problem.severity === severity).map((problem) => bullet(problem, linkToFile));
  const errors = bullets("error");
  const warnings = bullets("warning");
  if (errors.length + warnings.length === 0) return emptySection;
  const open = fitBullets(errors, budget * 0.75);
  const folded = fitBullets(warnings, budget - open.text.length - 100);
  const parts = [
    ...(errors.length === 0 ? [] : [`**${plural(errors.length, "problem")}**\n\n${open.text}`]),
    ...(warnings.length === 0 ? [] : [details(plural(warnings.length, "warning"), folded.text)]),
  ];
  return { text: parts.join("\n\n"), omitted: open.omitted + folded.omitted };
}

function bullet(problem: Problem, linkToFile: LinkToFile | undefined): string {
  const { file, line } = problem.position;
  const place = link(code(`${file}:${line}`), linkToFile?.(file, line));
  const path = problem.path === "" ? "" : ` ${code(problem.path)}`;
  const hint = problem.hint === undefined ? "" : ` (${sentence(problem.hint)})`;
  return `${place}${path}: ${sentence(problem.message)}${hint}`;
}
