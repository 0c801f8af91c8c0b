import { readFile } from "node:fs/promises";
import path from "node:path";
import { type Document, LineCounter, type Node, type Pair, isMap, isNode, isScalar, parseDocument } from "yaml";
import { messageOf } from "../lib/errors.ts";
import { checkShape } from "./check-shape.ts";
import type { Config } from "./config.ts";
import { type ConfigPath, type ConfigProblem, type Finding, pathText } from "./config-problem.ts";
import type { RawConfig } from "./raw.ts";
import { resolveConfig } from "./resolve.ts";
import { type Environment, ResolveContext } from "./resolve-context.ts";

export { type ConfigProblem, formatConfigProblem } from "./config-problem.ts";

export type LoadedConfig =
  | { readonly config: Config; readonly warnings: readonly ConfigProblem[] }
  | { readonly problems: readonly ConfigProblem[] };

/**
 * Reads a configuration file: defaults, then the file, then KRAKEN_GITOPS_REDIS_URL, KRAKEN_GITOPS_DATA_DIR and
 * KRAKEN_GITOPS_LOG_LEVEL. Every problem is answered at once, with its place. Secrets are not read here.
 */
export async function loadConfig(file: string, env: Environment): Promise<LoadedConfig> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    return { problems: [{ file, line: 1, column: 1, path: "", message: `cannot be read: ${messageOf(error)}` }] };
  }
  return parseConfig(text, file, env);
}

/** The same for a text; `file` gives places and the folder that relative paths start from. */
export function parseConfig(text: string, file: string, env: Environment): LoadedConfig {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const place = (finding: Finding): ConfigProblem => toProblem(finding, file, document, lines);
  if (document.errors.length > 0) {
    return { problems: document.errors.map((error) => problemAt(error.pos[0], error.message.split("\n")[0] ?? "")) };
  }
  const value = withOverrides(document.toJS({ maxAliasCount: 100 }) ?? {}, env);
  const shape = checkShape(value);
  if (shape.length > 0) return { problems: shape.map(place) };
  const context = new ResolveContext(path.dirname(path.resolve(file)), env);
  const config = resolveConfig(value as RawConfig, context);
  if (context.problems.length > 0) return { problems: context.problems.map(place) };
  return { config, warnings: context.warnings.map(place) };

  function problemAt(offset: number, message: string): ConfigProblem {
    const { line, col } = lines.linePos(offset);
    return { file, line, column: col, path: "", message };
  }
}

function withOverrides(value: unknown, env: Environment): unknown {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value;
  const raw = value as Readonly<Record<string, unknown>>;
  const { KRAKEN_GITOPS_REDIS_URL: url, KRAKEN_GITOPS_DATA_DIR: dataDir, KRAKEN_GITOPS_LOG_LEVEL: level } = env;
  return {
    ...raw,
    ...(url === undefined || url === "" ? {} : { redis: { ...objectOf(raw["redis"]), url } }),
    // Relative to where the command runs, unlike a path in the file.
    ...(dataDir === undefined || dataDir === "" ? {} : { dataDir: path.resolve(dataDir) }),
    ...(level === undefined || level === "" ? {} : { log: { ...objectOf(raw["log"]), level } }),
  };
}

function objectOf(value: unknown): object {
  return typeof value === "object" && value !== null ? value : {};
}

function toProblem(finding: Finding, file: string, document: Document, lines: LineCounter): ConfigProblem {
  const { line, col } = lines.linePos(offsetOf(document, finding.path));
  return { file, line, column: col, path: pathText(finding.path), message: finding.message };
}

/** Where the last key of a path stands (the value for a list entry); of the nearest enclosing value when there is none. */
function offsetOf(document: Document, at: ConfigPath): number {
  for (let length = at.length; length > 0; length -= 1) {
    const parent = document.getIn(at.slice(0, length - 1), true);
    const step = at[length - 1];
    const found = isMap(parent) ? keyOf(parent.items, step) : document.getIn(at.slice(0, length), true);
    if (isNode(found) && found.range) return found.range[0];
  }
  return document.contents?.range?.[0] ?? 0;
}

function keyOf(pairs: readonly Pair[], step: string | number | undefined): Node | undefined {
  const key = pairs.find((pair) => isScalar(pair.key) && String(pair.key.value) === String(step))?.key;
  return isNode(key) ? key : undefined;
}
