import type { ManifestDocument } from "./document.ts";
import { nearestHint } from "./nearest.ts";
import type { ParsedFile } from "./parse.ts";
import type { ProblemCode } from "./problem-codes.ts";
import type { Position, Problem } from "./problem.ts";

/** The names a repository knows, those of broken documents included. */
interface KnownNames {
  readonly applications: ReadonlySet<string>;
  readonly clusterGroups: ReadonlySet<string>;
}

/**
 * What can only be seen over the whole repository: names used twice, names nobody has. Linear in the number of
 * documents. Names of documents that are broken count as known: their own problems say enough.
 */
export function crossCheck(files: Iterable<ParsedFile>): readonly Problem[] {
  const all = [...files];
  const documents = all.flatMap((file) => file.documents);
  const known: KnownNames = {
    applications: new Set(all.flatMap(({ applicationNames }) => applicationNames)),
    clusterGroups: new Set(all.flatMap((file) => groupNames(file))),
  };
  const unknown = documents.flatMap((document) => findUnknownNames(document, known));
  return [...findDuplicates(documents), ...unknown.map((found, index) => nameProblem(found, index < hintedProblems))];
}

function groupNames(file: ParsedFile): readonly string[] {
  const whole = file.documents.flatMap((document) => (document.type === "ClusterGroup" ? [document.name] : []));
  const broken = file.brokenDocuments.flatMap(({ type, name }) =>
    type === "ClusterGroup" && name !== undefined ? [name] : [],
  );
  return [...whole, ...broken];
}

const kinds = { Application: "application", ClusterGroup: "cluster group", Deployment: "deployment" } as const;

function findDuplicates(documents: readonly ManifestDocument[]): readonly Problem[] {
  type Names = Map<string, ManifestDocument>;
  const first: Record<ManifestDocument["type"], Names> = {
    Application: new Map(),
    ClusterGroup: new Map(),
    Deployment: new Map(),
  };
  const problems: Problem[] = [];
  for (const document of documents) {
    const known = first[document.type];
    const other = known.get(document.name);
    if (other === undefined) known.set(document.name, document);
    // Both places get a problem: in a pull request only one of the two files may be part of the change.
    else problems.push(duplicate(document, other), duplicate(other, document));
  }
  return problems;
}

function duplicate(document: ManifestDocument, other: ManifestDocument): Problem {
  const message = `the ${kinds[document.type]} "${document.name}" is defined at ${place(other.position)} too`;
  return problem(document, "duplicate-name", "metadata.name", message, "rename one of them, or remove it");
}

function place({ file, line }: Position): string {
  return `${file}:${line}`;
}

interface UnknownName {
  readonly document: ManifestDocument;
  readonly code: ProblemCode;
  readonly path: string;
  readonly what: string;
  readonly name: string;
  readonly known: ReadonlySet<string>;
}

/** Looking for the nearest name goes through all names: done for as many problems as anybody reads. */
const hintedProblems = 50;

function findUnknownNames(document: ManifestDocument, known: KnownNames): readonly UnknownName[] {
  if (document.type === "ClusterGroup") return [];
  const parent = document.type === "Deployment" ? "spec" : "metadata";
  const groups = { code: "unknown-cluster-group", what: "cluster group", known: known.clusterGroups } as const;
  const applications = { code: "unknown-application", what: "application", known: known.applications } as const;
  const named = document.type === "Deployment" ? document.applications : [];
  return [
    ...named.map((name, index) => ({ document, name, path: `spec.applications[${index}]`, ...applications })),
    ...document.clusterGroups.map((name, index) => ({
      document,
      name,
      path: `${parent}.clusterGroups[${index}]`,
      ...groups,
    })),
  ].filter((reference) => !reference.known.has(reference.name));
}

function nameProblem({ document, code, path, what, name, known }: UnknownName, hinted: boolean): Problem {
  const hint = hinted ? nearestHint(name, known, `known ${what}s`) : undefined;
  return problem(document, code, path, `no ${what} is named "${name}"`, hint);
}

function problem(
  document: ManifestDocument,
  code: ProblemCode,
  path: string,
  message: string,
  hint: string | undefined,
): Problem {
  const base: Problem = { severity: "error", code, position: document.position, path, message };
  return {
    ...base,
    ...(hint === undefined ? {} : { hint }),
    ...(document.type === "Application" ? { application: document.name } : {}),
  };
}
