import { readFileSync } from "node:fs";
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { nearestHint } from "../manifest/nearest.ts";
import type { ConfigPath, Finding } from "./config-problem.ts";

/** The schema people point their editors at is the one that decides. */
export const schemaUrl = new URL("../../config/config.schema.json", import.meta.url);

// Compiling takes a while: done on first use, kept for the life of the process. Holds no other state.
let compiled: ValidateFunction | undefined;

/** Everything in which a value differs from the schema. */
export function checkShape(value: unknown): readonly Finding[] {
  compiled ??= new Ajv({ allErrors: true, verbose: true, strict: false }).compile(
    JSON.parse(readFileSync(schemaUrl, "utf8")) as object,
  );
  return compiled(value) ? [] : (compiled.errors ?? []).map(toFinding);
}

function toFinding(error: ErrorObject): Finding {
  const path = pathOf(error.instancePath);
  const params = error.params as Readonly<Record<string, unknown>>;
  switch (error.keyword) {
    case "additionalProperties": {
      const key = String(params["additionalProperty"]);
      const schema = error.parentSchema as { readonly properties?: object } | undefined;
      const hint = nearestHint(key, Object.keys(schema?.properties ?? {}));
      return { path: [...path, key], message: `unknown key${hint === undefined ? "" : ` (${hint})`}` };
    }
    case "required":
      return { path, message: `${String(params["missingProperty"])} is missing` };
    case "enum":
      return { path, message: `must be one of ${(params["allowedValues"] as readonly string[]).join(", ")}` };
    case "type":
      return { path, message: `must be ${article(String(params["type"]))}` };
    case "pattern":
      return { path, message: patternHelp(path) };
    default:
      return { path, message: error.message ?? "is not allowed" };
  }
}

function article(type: string): string {
  const words: Readonly<Record<string, string>> = {
    object: "a mapping",
    array: "a list",
    string: "text (put it in quotes)",
    integer: "a whole number",
    boolean: "true or false",
    "string,integer": "a size such as 50 GiB",
  };
  return words[type] ?? type;
}

function patternHelp(path: ConfigPath): string {
  const key = path.at(-1);
  if (key === "poll") return "must be a duration, e.g. 15s or 2m";
  if (key === "fingerprint") return "must be a SHA-256 fingerprint: 64 hex digits, with or without colons";
  if (key === "instance") return "must be up to 40 lower-case letters, digits, dots, dashes or underscores";
  if (typeof key === "string" && key.endsWith("Env")) return "must be the name of an environment variable";
  return "must be letters, digits, dots, dashes and underscores, beginning and ending with a letter or digit";
}

function pathOf(pointer: string): ConfigPath {
  return pointer
    .split("/")
    .slice(1)
    .map((raw) => raw.replaceAll("~1", "/").replaceAll("~0", "~"))
    .map((step) => (/^\d+$/.test(step) ? Number(step) : step));
}
