import { Composer, type Document, Lexer, type Node, Parser, isScalar } from "yaml";
import { type Path, type YamlError, YamlValues, startOf } from "./yaml-values.ts";

export type { Path, YamlError } from "./yaml-values.ts";

/** What bounds hostile YAML. */
export interface TreeLimits {
  /** Documents in one text. */
  readonly maxDocuments: number;
  /** Nesting, block and flow together. */
  readonly maxDepth: number;
  /** Lexical tokens of a text, and values of a document after aliases and merge keys are expanded. */
  readonly maxValues: number;
}

/** One YAML document as plain data. */
export interface YamlDocument {
  /** Mappings are plain objects with own properties only; aliases share one object. `undefined`: an empty document. */
  readonly value: unknown;
  readonly errors: readonly YamlError[];
  /** Where the document's content begins. */
  readonly offset: number;
  /** Offset of the value at a path; of the nearest enclosing value when there is none. */
  offsetOf(path: Path): number;
  /** Offset of the key of the last step of a path. */
  offsetOfKey(path: Path): number;
}

/** `errors` are those after which the rest of the text cannot be trusted. */
export interface YamlTree {
  readonly documents: readonly YamlDocument[];
  readonly errors: readonly YamlError[];
}

/**
 * Documents of a YAML 1.2 text (core schema, with merge keys). The depth is watched while tokens arrive, so that no
 * later, recursive stage sees deep input; duplicate keys and alias expansion are checked here in linear time, as the
 * parser's own checks are quadratic or too coarse.
 */
export function readYaml(text: string, limits: TreeLimits): YamlTree {
  const documents: YamlDocument[] = [];
  const parser = new Parser();
  const composer = new Composer({ uniqueKeys: false, prettyErrors: false, resolveKnownTags: false, logLevel: "error" });
  const stop = (code: YamlError["code"], message: string): YamlTree => ({
    documents,
    errors: [{ code, message, offset: parser.offset }],
  });
  let tokens = 0;
  for (const lexeme of new Lexer().lex(text)) {
    tokens += 1;
    if (tokens > limits.maxValues)
      return stop("too-many-values", `the file holds more than ${limits.maxValues} YAML tokens`);
    for (const token of parser.next(lexeme)) {
      for (const document of composer.next(token)) documents.push(toDocument(document, limits));
    }
    if (parser.stack.length > limits.maxDepth)
      return stop("too-deep", `the YAML is nested more than ${limits.maxDepth} deep`);
    if (documents.length > limits.maxDocuments)
      return stop("too-many-documents", `the file holds more than ${limits.maxDocuments} documents`);
  }
  for (const token of parser.end())
    for (const document of composer.next(token)) documents.push(toDocument(document, limits));
  for (const document of composer.end()) documents.push(toDocument(document, limits));
  if (documents.length > limits.maxDocuments)
    return stop("too-many-documents", `the file holds more than ${limits.maxDocuments} documents`);
  return { documents, errors: [] };
}

function toDocument(document: Document.Parsed, limits: TreeLimits): YamlDocument {
  const root: Node | null = document.contents;
  const errors: YamlError[] = [...document.errors, ...document.warnings].map(toError);
  const conversion = new YamlValues(errors, limits.maxValues);
  const value = root === null ? undefined : conversion.convert(root);
  return {
    value: root !== null && isScalar(root) && root.value === null ? undefined : value,
    errors,
    offset: startOf(root) ?? document.range[0],
    offsetOf: (path) => conversion.offsetOf(root, path, false),
    offsetOfKey: (path) => conversion.offsetOf(root, path, true),
  };
}

function toError(error: {
  readonly code: string;
  readonly message: string;
  readonly pos: readonly [number, number];
}): YamlError {
  const code =
    error.code === "TAB_AS_INDENT" ? "yaml-tab" : error.code === "TAG_RESOLVE_FAILED" ? "yaml-tag" : "yaml-syntax";
  return { code, message: firstLine(error.message), offset: error.pos[0] };
}

function firstLine(text: string): string {
  const line = text.slice(0, 200).split("\n", 1)[0] ?? "";
  return line.replace(/[:.]$/, "");
}
