import { FileReader } from "./file-reader.ts";
import {
  type FileFault,
  type ParseOptions,
  type ParsedFile,
  defaultLimits,
  fileProblem,
  mayBeApplication,
  namesOf,
} from "./parsed-file.ts";
import type { ProblemCode } from "./problem-codes.ts";
import type { Problem } from "./problem.ts";
import { type BrokenDocument, salvageDocuments } from "./salvage.ts";
import { type SourceText, decodeFile } from "./source-text.ts";
import { readYaml } from "./yaml-tree.ts";

export { type ParseOptions, type ParsedFile, defaultLimits } from "./parsed-file.ts";

/**
 * Reads one file. Never throws on bad input: every problem is in the result. A file whose YAML is broken gives no
 * documents at all, as the end of one document may be hidden in another; otherwise a bad document fails alone.
 */
export function parseManifest(file: string, bytes: Uint8Array | string, options: ParseOptions = {}): ParsedFile {
  const limits = { ...defaultLimits, ...options.limits };
  const { source, problem } = decodeFile(file, bytes, limits.maxFileBytes);
  if (source === undefined || problem !== undefined)
    return failWhole(file, source, problem === undefined ? [] : [problem]);
  const tree = readYaml(source.text, limits);
  const errors = [...tree.errors, ...tree.documents.flatMap((document) => document.errors)];
  if (errors.some(({ code }) => !harmlessToOthers.has(code)))
    return failWhole(file, source, errors.slice(0, limits.maxProblems));
  const reader = new FileReader(source, options, limits);
  for (const document of tree.documents) reader.read(document);
  return reader.finish();
}

/** Errors that leave no doubt about where documents and values begin and end: only their own document fails. */
const harmlessToOthers: ReadonlySet<string> = new Set(["duplicate-key", "yaml-tag"]);

/** The result for an entry that is not read at all. */
export function refuseEntry(file: string, kind: "symlink" | "submodule" | "too-large"): ParsedFile {
  const [code, message, hint] = refusals[kind];
  const problem: Problem = { severity: "error", code, position: { file, line: 1, column: 1 }, path: "", message, hint };
  return { file, documents: [], problems: [problem], applicationNames: [], brokenDocuments: [], readable: false };
}

const refusals: Readonly<Record<"symlink" | "submodule" | "too-large", readonly [ProblemCode, string, string]>> = {
  symlink: ["not-a-file", "the manifest is a symbolic link, which is never followed", "commit the file itself"],
  submodule: ["not-a-file", "the path is a submodule, which is never followed", "commit the files themselves"],
  "too-large": ["file-too-large", "the file is too large to be read", "split it into several files"],
};

function failWhole(file: string, source: SourceText | undefined, faults: readonly FileFault[]): ParsedFile {
  const brokenDocuments = source === undefined ? [] : salvageDocuments(source.text);
  return {
    file,
    documents: [],
    problems: faults.map((fault) => fileProblem(file, source, fault)),
    applicationNames: namesOf(brokenDocuments),
    brokenDocuments,
    readable: source !== undefined && brokenDocuments.every(tellsItsApplication),
  };
}

function tellsItsApplication({ type, name }: BrokenDocument): boolean {
  return type !== undefined && (name !== undefined || !mayBeApplication(type));
}
