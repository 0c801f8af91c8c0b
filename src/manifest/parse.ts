import { CloudInitChecker } from "./check-cloud-init.ts";
import { type SchemaName, checkSchema } from "./check-schema.ts";
import type { ManifestDocument } from "./document.ts";
import { DocumentContext, asList, asRecord, asText } from "./document-context.ts";
import { nearestHint } from "./nearest.ts";
import { parseApplication } from "./parse-application.ts";
import { parseClusterGroup, parseDeployment } from "./parse-fleet-documents.ts";
import type { ProblemCode } from "./problem-codes.ts";
import type { Problem } from "./problem.ts";
import { type BrokenDocument, salvageDocuments } from "./salvage.ts";
import { type SourceText, decodeFile } from "./source-text.ts";
import { type TreeLimits, type YamlDocument, type YamlError, readYaml } from "./yaml-tree.ts";

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

const documentTypes = ["Application", "ClusterGroup", "Deployment"] as const;
type DocumentType = (typeof documentTypes)[number];

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

type FileFault =
  | YamlError
  | { readonly code: ProblemCode; readonly message: string; readonly hint?: string; readonly offset: number };

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

function fileProblem(file: string, source: SourceText | undefined, fault: FileFault): Problem {
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
function namesOf(documents: readonly BrokenDocument[]): readonly string[] {
  return [
    ...new Set(documents.flatMap(({ type, name }) => (mayBeApplication(type) && name !== undefined ? [name] : []))),
  ];
}

function mayBeApplication(type: string | undefined): boolean {
  return type !== "ClusterGroup" && type !== "Deployment";
}

function tellsItsApplication({ type, name }: BrokenDocument): boolean {
  return type !== undefined && (name !== undefined || !mayBeApplication(type));
}

/** Collects what the documents of one file say. */
class FileReader {
  readonly #source: SourceText;
  readonly #options: ParseOptions;
  readonly #limits: Limits;
  readonly #cloudInit: CloudInitChecker;
  readonly #documents: ManifestDocument[] = [];
  readonly #problems: Problem[] = [];
  readonly #broken: BrokenDocument[] = [];
  #readable = true;

  constructor(source: SourceText, options: ParseOptions, limits: Limits) {
    this.#source = source;
    this.#options = options;
    this.#limits = limits;
    this.#cloudInit = new CloudInitChecker(limits);
  }

  read(document: YamlDocument): void {
    if (document.value === undefined && document.errors.length === 0) return;
    const root = asRecord(document.value);
    const type = documentTypes.find((known) => known === root["type"]);
    const name = asText(asRecord(root["metadata"])["name"])?.trim();
    const context = new DocumentContext(
      this.#source,
      document,
      mayBeApplication(type) ? name : undefined,
      this.#limits.maxProblems,
    );
    for (const error of document.errors) this.#problems.push(fileProblem(this.#source.file, this.#source, error));
    if (document.errors.length > 0)
      this.#broken.push(...salvageDocuments(this.#source.text.slice(document.offset)).slice(0, 1));
    const parsed = type === undefined ? this.#refuseType(context, root) : this.#parse(context, type);
    this.#problems.push(...context.problems);
    if (parsed !== undefined && !context.broken && document.errors.length === 0) this.#documents.push(parsed);
    else this.#keepBroken(root, type, name);
  }

  #parse(context: DocumentContext, type: DocumentType): ManifestDocument {
    this.#check(context, type);
    const { value } = context.document;
    if (type === "ClusterGroup") return parseClusterGroup(context, value);
    if (type === "Deployment") return parseDeployment(context, value);
    if (this.#options.strict === true) this.#check(context, "strict Application");
    return parseApplication(context, value, {
      allowHttp: this.#options.allowHttp === true,
      cloudInit: this.#cloudInit,
    });
  }

  #check(context: DocumentContext, schema: SchemaName): void {
    for (const finding of checkSchema(schema, context.document.value)) context.report(finding);
  }

  #refuseType(context: DocumentContext, root: Readonly<Record<string, unknown>>): undefined {
    const { type } = root;
    const known = documentTypes.join(", ");
    if (type === undefined) {
      context.report({
        code: "unknown-type",
        path: [],
        message: "the document has no type",
        hint: `begin it with one of type: ${known}`,
      });
    } else {
      const message = typeof type === "string" ? `unknown type "${type.slice(0, 60)}"` : "the type is no text";
      context.report({
        code: "unknown-type",
        path: ["type"],
        message,
        hint: typeof type === "string" ? nearestHint(type, documentTypes, "known types") : `known types: ${known}`,
      });
    }
  }

  #keepBroken(root: Readonly<Record<string, unknown>>, type: string | undefined, name: string | undefined): void {
    const applications = asRecord(root["spec"])["applications"];
    const listed = Array.isArray(applications)
      ? asList(applications).flatMap((item) => asText(item)?.trim() ?? [])
      : undefined;
    this.#broken.push({
      type: type ?? asText(root["type"]),
      name: name === "" ? undefined : name,
      applications: listed,
    });
    const looksLikeApplication =
      type === "Application" || "resources" in asRecord(root["spec"]) || Object.keys(root).length === 0;
    if (looksLikeApplication && (name === undefined || name === "")) this.#readable = false;
  }

  finish(): ParsedFile {
    const applications = this.#documents.flatMap((document) =>
      document.type === "Application" ? [document.name] : [],
    );
    return {
      file: this.#source.file,
      documents: this.#documents,
      problems: this.#limitProblems(),
      applicationNames: [...new Set([...applications, ...namesOf(this.#broken)])],
      brokenDocuments: this.#broken,
      readable: this.#readable,
    };
  }

  #limitProblems(): readonly Problem[] {
    const { maxProblems } = this.#limits;
    if (this.#problems.length <= maxProblems) return this.#problems;
    const listed = this.#problems.slice(0, maxProblems);
    const position = { file: this.#source.file, line: 1, column: 1 };
    return [
      ...listed,
      {
        severity: "error",
        code: "too-many-problems",
        position,
        path: "",
        message: `only the first ${maxProblems} problems are listed`,
      },
    ];
  }
}
