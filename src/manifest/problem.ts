import { compareText } from "../lib/compare.ts";

/** Where something stands in a file of the repository. Lines and columns count from 1. */
export interface Position {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/**
 * Something wrong with what people wrote. Problems are values: every problem of every file is collected in one pass.
 * An `error` keeps its application (or document) from being applied; a `warning` does not.
 */
export interface Problem {
  readonly severity: "error" | "warning";
  /** Stable kebab-case word for scripts, e.g. `unknown-key`; docs/errors.md lists them. */
  readonly code: string;
  readonly position: Position;
  /** Path inside the document, e.g. `spec.resources[0].spec.memory`; empty for the document itself. */
  readonly path: string;
  /** What is wrong. */
  readonly message: string;
  /** What would be right, when that can be said. */
  readonly hint?: string;
  /** The application it belongs to, when known. */
  readonly application?: string;
}

/** `manifests/web.yaml:12:9 spec.resources[0].spec.cpu: must be a number (write cpu: 2)`, the form editors can jump to. */
export function formatProblem(problem: Problem): string {
  const { file, line, column } = problem.position;
  const path = problem.path === "" ? "" : ` ${problem.path}`;
  const hint = problem.hint === undefined ? "" : ` (${problem.hint})`;
  return `${file}:${line}:${column}${path}: ${problem.message}${hint}`;
}

/** Stable order for lists of problems: by file, then place, then text. */
export function compareProblems(a: Problem, b: Problem): number {
  return (
    compareText(a.position.file, b.position.file) ||
    a.position.line - b.position.line ||
    a.position.column - b.position.column ||
    compareText(a.path, b.path) ||
    compareText(a.message, b.message)
  );
}
