import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { applicationSchema } from "./application-schema.ts";
import { clusterGroupSchema, deploymentSchema } from "./fleet-schemas.ts";
import type { JsonSchema } from "./json-schema.ts";
import { findNearest, nearestHint } from "./nearest.ts";
import type { ProblemCode } from "./problem-codes.ts";
import { strictApplicationSchema } from "./strict-schema.ts";
import type { Path } from "./yaml-tree.ts";

const schemas = {
  Application: applicationSchema,
  ClusterGroup: clusterGroupSchema,
  Deployment: deploymentSchema,
  "strict Application": strictApplicationSchema,
} as const satisfies Record<string, JsonSchema>;

export type SchemaName = keyof typeof schemas;

/** A finding of a schema, in words; `key` is true when it is about a key rather than its value. */
export interface SchemaFinding {
  readonly code: ProblemCode;
  readonly path: Path;
  readonly key: boolean;
  readonly message: string;
  readonly hint: string | undefined;
}

// Compiling takes some 30 ms: done on first use, kept for the life of the process. Holds no other state.
const compiled = new Map<SchemaName, ValidateFunction>();

function validator(name: SchemaName): ValidateFunction {
  const known = compiled.get(name);
  if (known !== undefined) return known;
  const validate = new Ajv({ allErrors: true, verbose: true, strict: false }).compile(schemas[name]);
  compiled.set(name, validate);
  return validate;
}

/** Everything in which a value differs from a schema. */
export function checkSchema(name: SchemaName, value: unknown): readonly SchemaFinding[] {
  const validate = validator(name);
  if (validate(value)) return [];
  const strict = name.startsWith("strict");
  const errors = validate.errors ?? [];
  const misspelt = misspeltKeys(errors);
  return errors.flatMap((error) => {
    if (error.keyword === "required" && misspelt.has(placeOf(error, error.params["missingProperty"]))) return [];
    const finding = toFinding(error, pathOf(error.instancePath, value));
    return finding === undefined ? [] : [strict ? strictFinding(finding) : finding];
  });
}

/** Known keys of which a misspelt form stands in their place: one mistake, and the unknown key says it better. */
function misspeltKeys(errors: readonly ErrorObject[]): ReadonlySet<string> {
  const unknown = errors.filter((error) => error.keyword === "additionalProperties");
  return new Set(
    unknown.flatMap((error) => {
      const known = Object.keys((error.parentSchema as { readonly properties?: object } | undefined)?.properties ?? {});
      const meant = findNearest(show(error.params["additionalProperty"]), known);
      return meant === undefined ? [] : [placeOf(error, meant)];
    }),
  );
}

function placeOf(error: ErrorObject, key: unknown): string {
  return `${error.instancePath}/${show(key)}`;
}

function pathOf(pointer: string, root: unknown): Path {
  let parent = root;
  return pointer
    .split("/")
    .slice(1)
    .map((raw) => {
      const key = raw.replaceAll("~1", "/").replaceAll("~0", "~");
      const step = Array.isArray(parent) ? Number(key) : key;
      parent = (parent as Record<string | number, unknown>)[step];
      return step;
    });
}

type Finding = Omit<SchemaFinding, "path" | "key"> & { readonly path?: Path; readonly key?: boolean };

function toFinding(error: ErrorObject, path: Path): SchemaFinding | undefined {
  const found = describe(error, path);
  return found === undefined ? undefined : { key: false, path, ...found };
}

function describe(error: ErrorObject, path: Path): Finding | undefined {
  const parameters = error.params as Readonly<Record<string, unknown>>;
  const schema = (error.parentSchema ?? {}) as Readonly<Record<string, unknown>>;
  switch (error.keyword) {
    case "additionalProperties":
      return unknownKey(show(parameters["additionalProperty"]), schema, path);
    case "required":
      return {
        code: "missing-key",
        message: `"${show(parameters["missingProperty"])}" is missing`,
        hint: requiredHint(schema, show(parameters["missingProperty"])),
      };
    case "type":
      return {
        code: "wrong-type",
        message: `must be ${wantedType(parameters["type"])}, is ${kindOf(error.data)}`,
        hint: typeHint(error.data, schema),
      };
    case "enum":
    case "const":
      return unknownValue(
        error.data,
        (parameters["allowedValues"] ?? [parameters["allowedValue"]]) as readonly unknown[],
        path,
      );
    case "propertyNames":
      return {
        code: "invalid-name",
        path: [...path, show(parameters["propertyName"])],
        key: true,
        message: `"${clip(show(parameters["propertyName"]))}" cannot be used as a name here`,
        hint: undefined,
      };
    case "minimum":
    case "maximum":
      return {
        code: "out-of-range",
        message: `${show(error.data)} is ${error.keyword === "minimum" ? "below" : "above"} ${show(parameters["limit"])}`,
        hint: rangeHint(schema),
      };
    case "minItems":
      return { code: "missing-key", message: "the list is empty", hint: "name at least one" };
    default:
      return error.propertyName === undefined ? badFormat(error, schema) : undefined;
  }
}

function unknownKey(key: string, schema: Readonly<Record<string, unknown>>, path: Path): Finding {
  const known = Object.keys(schema["properties"] ?? {});
  return {
    code: "unknown-key",
    path: [...path, key],
    key: true,
    message: `unknown key "${clip(key)}"`,
    hint: nearestHint(key, known, "known keys"),
  };
}

function unknownValue(data: unknown, allowed: readonly unknown[], path: Path): Finding {
  const words = [...new Set(allowed.map(show))];
  const code = path.length === 1 && path[0] === "version" ? "unknown-version" : "unknown-value";
  return {
    code,
    message: `"${clip(show(data))}" is none of ${words.join(", ")}`,
    hint: typeof data === "object" ? undefined : nearestHint(show(data), words, "allowed"),
  };
}

function requiredHint(schema: Readonly<Record<string, unknown>>, key: string): string | undefined {
  const properties = (schema["properties"] ?? {}) as Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  const example =
    (properties[key]?.["examples"] as readonly unknown[] | undefined)?.[0] ??
    (properties[key]?.["enum"] as readonly unknown[] | undefined)?.[0];
  return example === undefined ? undefined : `add ${key}: ${show(example)}`;
}

function badFormat(error: ErrorObject, schema: Readonly<Record<string, unknown>>): Finding {
  const example = (schema["examples"] as readonly unknown[] | undefined)?.[0];
  const hint = example === undefined ? undefined : `for example ${show(example)}`;
  const length = { minLength: "is empty", maxLength: `is longer than ${show(error.params["limit"])} characters` }[
    error.keyword
  ];
  return { code: "bad-format", message: length ?? `"${clip(show(error.data))}" does not have the right form`, hint };
}

function rangeHint(schema: Readonly<Record<string, unknown>>): string {
  const { minimum, maximum } = schema;
  return maximum === undefined ? `at least ${show(minimum)}` : `${show(minimum)} to ${show(maximum)}`;
}

const kindNames: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  integer: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "a mapping",
  null: "empty",
};

function wantedType(type: unknown): string {
  const kinds = [type]
    .flat()
    .map(String)
    .filter((kind) => kind !== "null");
  return kinds.map((kind) => kindNames[kind] ?? kind).join(" or ");
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return "empty";
  if (Array.isArray(value)) return "a list";
  return kindNames[typeof value] ?? typeof value;
}

function typeHint(data: unknown, schema: Readonly<Record<string, unknown>>): string | undefined {
  const wantsText = [schema["type"]].flat().includes("string");
  if (wantsText && (typeof data === "number" || typeof data === "boolean")) return `put it in quotes: "${show(data)}"`;
  if ([schema["type"]].flat().includes("array") && typeof data === "string")
    return "write a list: one entry per line, with - before it";
  return undefined;
}

const strictCodes: Readonly<Partial<Record<ProblemCode, ProblemCode>>> = {
  "unknown-key": "strict-unknown-key",
  "missing-key": "strict-missing-key",
  "wrong-type": "strict-type",
  "unknown-value": "strict-value",
  "unknown-version": "strict-value",
  "out-of-range": "strict-range",
};

function strictFinding(finding: SchemaFinding): SchemaFinding {
  return {
    ...finding,
    code: strictCodes[finding.code] ?? "strict-format",
    message: `published schema: ${finding.message}`,
  };
}

function show(value: unknown): string {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing");
}

function clip(text: string): string {
  return text.length <= 60 ? text : `${text.slice(0, 59)}…`;
}
