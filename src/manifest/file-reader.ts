import { CloudInitChecker } from "./check-cloud-init.ts";
import { type SchemaName, checkSchema } from "./check-schema.ts";
import type { ManifestDocument } from "./document.ts";
import { DocumentContext, asList, asRecord, asText } from "./document-context.ts";
import { nearestHint } from "./nearest.ts";
import { parseApplication } from "./parse-application.ts";
import { parseClusterGroup, parseDeployment } from "./parse-fleet-documents.ts";
import {
  type Limits,
  type ParseOptions,
  type ParsedFile,
  fileProblem,
  mayBeApplication,
  namesOf,
} from "./parsed-file.ts";
import type { Problem } from "./problem.ts";
import { type BrokenDocument, salvageDocuments } from "./salvage.ts";
import type { SourceText } from "./source-text.ts";
import type { YamlDocument } from "./yaml-tree.ts";

const documentTypes = ["Application", "ClusterGroup", "Deployment"] as const;
type DocumentType = (typeof documentTypes)[number];

/** Collects what the documents of one file say. */
export class FileReader {
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
