import { stat } from "node:fs/promises";
import { dirname, basename } from "node:path";
import { readFolder } from "../app/compose.ts";
import { isManifest } from "../app/planning/manifests.ts";
import { defaultLimits, type ParsedFile } from "../manifest/parse.ts";
import { compareProblems, formatProblem, type Problem } from "../manifest/problem.ts";
import { WatcherError } from "../lib/errors.ts";
import { type ExitCode, exitCodes } from "./exit-codes.ts";
import { desiredOf, type FolderOptions, imaginaryFleet, parseFolder } from "./folder-manifests.ts";
import { count, print, printJson } from "./output.ts";
import type { GlobalOptions } from "./settings.ts";

export interface ValidateOptions extends GlobalOptions {
  readonly strict?: boolean;
  readonly allowHttp?: boolean;
}

/** Every problem of every file, at once. Needs no configuration and reaches nothing. */
export async function validateCommand(paths: readonly string[], options: ValidateOptions): Promise<ExitCode> {
  const parse: FolderOptions = { strict: options.strict === true, allowHttp: options.allowHttp === true };
  const files: ParsedFile[] = [];
  for (const path of paths.length === 0 ? ["."] : paths) files.push(...(await parsePath(path, parse)));
  const problems = findProblems(files, parse);
  const errors = problems.filter((problem) => problem.severity === "error").length;
  const applications = files.flatMap((file) => file.documents).filter((document) => document.type === "Application");
  const virdomains = applications.reduce((sum, application) => sum + application.resources.length, 0);
  if (options.json === true)
    printJson({ schemaVersion: 1, files: files.length, applications: applications.length, virdomains, problems });
  else {
    for (const problem of problems)
      print(`${problem.severity === "error" ? "error" : "warning"}: ${formatProblem(problem)}`);
    const counts = `${count(files.length, "file")}, ${count(applications.length, "application")}, ${count(virdomains, "VM")}`;
    if (files.length === 0)
      print(`No manifests: there is no .yaml or .yml file in ${paths.join(", ") || "this folder"}.`);
    else print(errors === 0 ? `Valid: ${counts}.` : `Not valid: ${count(errors, "error")} in ${counts}.`);
  }
  return errors === 0 ? exitCodes.ok : exitCodes.error;
}

async function parsePath(path: string, options: FolderOptions): Promise<ParsedFile[]> {
  const found = await stat(path).catch((error: unknown) => {
    throw new WatcherError("usage", `there is no file or folder ${path}`, { cause: error });
  });
  if (found.isDirectory())
    return parseFolder(await readFolder(path, isManifest, defaultLimits.maxFileBytes), path, options);
  const files = await readFolder(
    dirname(path),
    (candidate) => candidate === basename(path),
    defaultLimits.maxFileBytes,
  );
  return parseFolder(files, dirname(path), options);
}

/** Problems of the files by themselves and of their sum. What only a configuration can settle is a warning here. */
function findProblems(files: readonly ParsedFile[], options: FolderOptions): Problem[] {
  const known = new Map<string, Problem>();
  const rendered = desiredOf(files, imaginaryFleet(options.allowHttp)).problems.filter(
    (problem) => !needsConfiguration.has(problem.code),
  );
  for (const problem of [...files.flatMap((file) => file.problems), ...rendered]) {
    const mild: Problem = problem.code === "undefined-variable" ? { ...problem, severity: "warning" } : problem;
    known.set(formatProblem(mild), mild);
  }
  return [...known.values()].sort(compareProblems);
}

/** Problems that say something about a configuration, which this command does not look at. */
const needsConfiguration: ReadonlySet<string> = new Set([
  "no-cluster",
  "selector-unmatched",
  "not-deployed",
  "network-unmapped",
]);
