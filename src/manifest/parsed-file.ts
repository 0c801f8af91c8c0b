import type { ManifestDocument } from "./document.ts";
import type { ProblemCode } from "./problem-codes.ts";
import type { Problem } from "./problem.ts";
import type { BrokenDocument } from "./salvage.ts";
import type { SourceText } from "./source-text.ts";
import type { TreeLimits, YamlError } from "./yaml-tree.ts";

/** What bounds a file, so that hostile input costs bounded time. */
export interface Limits extends TreeLimits {
  readonly maxFileBytes: number;
  /** Problems listed per file. */
  readonly maxProblems: number;
}

export const defaultLimits: Limits = {
  maxFileBytes: 1024 ** 2,
  maxDocuments: 100,
  maxDepth: 64,
  maxValues: 250_000,
  maxProblems: 100,
};

export interface ParseOptions {
  /** Check Applications against the published schema as well. */
  readonly strict?: boolean;
  /** Allow `http:` asset URLs. */
  readonly allowHttp?: boolean;
  readonly limits?: Partial<Limits>;
}

/** Everything one file of a repository says. Plain data, safe to cache by blob id and options. */
export interface ParsedFile {
  readonly file: string;
  /** Documents without errors. */
  readonly documents: readonly ManifestDocument[];
  readonly problems: readonly Problem[];
  /** Every application the file names itself the manifest of, those of broken documents included. */
  readonly applicationNames: readonly string[];
  /** Documents that cannot be used, as far as they could be read. */
  readonly brokenDocuments: readonly BrokenDocument[];
  /** False when it is not known which applications the file holds: then nothing missing may be taken for deleted. */
  readonly readable: boolean;
}

/** What is wrong with a file as a whole. */
export type FileFault =
  | YamlError
  | { readonly code: ProblemCode; readonly message: string; readonly hint?: string; readonly offset: number };

/** A problem of a file as a whole, or of its YAML. */
export function fileProblem(file: string, source: SourceText | undefined, fault: FileFault): Problem {
  const hint = "hint" in fault ? fault.hint : yamlHints[fault.code];
  const position = source?.positionAt(fault.offset) ?? { file, line: 1, column: 1 };
  return {
    severity: "error",
    code: fault.code,
    position,
    path: "",
    message: fault.message,
    ...(hint === undefined ? {} : { hint }),
  };
}

const yamlHints: Readonly<Partial<Record<string, string>>> = {
  "yaml-tab": "indent with spaces",
  "yaml-tag": "remove the tag: manifests are plain data",
  "duplicate-key": "keep one of them",
  "too-deep": "manifests are about ten levels deep",
  "too-many-values": "use fewer aliases, or split the file",
  "too-many-documents": "split the file",
};

/** An application is broken under its own name; what has no known type may be an application with a mistyped type. */
export function namesOf(documents: readonly BrokenDocument[]): readonly string[] {
  return [
    ...new Set(documents.flatMap(({ type, name }) => (mayBeApplication(type) && name !== undefined ? [name] : []))),
  ];
}

export function mayBeApplication(type: string | undefined): boolean {
  return type !== "ClusterGroup" && type !== "Deployment";
}
