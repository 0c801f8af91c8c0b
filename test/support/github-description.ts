import { readFileSync } from "node:fs";
import { Ajv, type ValidateFunction } from "ajv";
import type { RestExchange } from "../../src/simulator/forge/options.ts";

/** GitHub's OpenAPI description of the operations we use, as a judge of requests and answers. */
export interface GithubDescription {
  check(exchange: RestExchange): void;
  /** What was not as described, each once. */
  violations(): readonly string[];
  /** Operations that were checked, e.g. `repos/create-commit-status`. */
  operations(): ReadonlySet<string>;
}

type Schema = Readonly<Record<string, unknown>>;

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly required?: boolean;
  readonly schema: Schema;
}

interface Content {
  readonly content?: { readonly "application/json"?: { readonly schema: Schema } };
}

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly (Parameter | { readonly $ref: string })[];
  readonly requestBody?: Content;
  readonly responses: Readonly<Record<string, Content>>;
}

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly parameters: Readonly<Record<string, Parameter>>; readonly schemas: Schema };
}

const fixture = new URL("../fixtures/github-openapi.json", import.meta.url);
/** The client whose requests are judged; tests themselves may ask as they like. */
const client = "kraken-gitops";

export function openGithubDescription(): GithubDescription {
  const description = withNulls(JSON.parse(readFileSync(fixture, "utf8"))) as Description;
  const ajv = new Ajv({ strict: false, allErrors: true, coerceTypes: false });
  for (const name of ["uri", "date-time"] as const) ajv.addFormat(name, (text: string) => formats[name](text));
  for (const name of ["int64", "timestamp", "email", "uri-template", "repo.nwo"]) ajv.addFormat(name, true);
  ajv.addSchema({ $id: "github", components: description.components });
  const compiled = new Map<Schema, ValidateFunction>();
  const found = new Set<string>();
  const seen = new Set<string>();

  function judge(what: string, schema: Schema, value: unknown): void {
    const known = compiled.get(schema);
    const validate = known ?? ajv.compile(absolute(schema) as Schema);
    compiled.set(schema, validate);
    if (validate(value)) return;
    for (const error of (validate.errors ?? []).slice(0, 20)) {
      const extra = error.keyword === "enum" ? ` ${JSON.stringify(error.params["allowedValues"])}` : "";
      found.add(`${what}${error.instancePath.replaceAll(/\/\d+/g, "/N")} ${error.message}${extra}`);
    }
  }

  function judgeQuery(operation: Operation, exchange: RestExchange): void {
    const parameters = (operation.parameters ?? []).map((one) =>
      "$ref" in one ? description.components.parameters[one.$ref.split("/").at(-1) ?? ""] : one,
    );
    for (const [name, text] of exchange.query) {
      const parameter = parameters.find((one) => one?.in === "query" && one.name === name);
      const what = `${operation.operationId} query ${name}`;
      if (parameter === undefined) found.add(`${what} is not known`);
      else judge(what, parameter.schema, parameter.schema["type"] === "integer" ? Number(text) : text);
    }
  }

  function judgeBody(operation: Operation, body: unknown): void {
    const schema = operation.requestBody?.content?.["application/json"]?.schema;
    const what = `${operation.operationId} request`;
    if (schema !== undefined) judge(what, schema, body);
    const known = (schema?.["properties"] ?? {}) as Schema;
    for (const name of Object.keys(body as object))
      if (known[name] === undefined) found.add(`${what} knows no ${name}`);
  }

  return {
    check(exchange) {
      const operation = operationOf(description, exchange);
      const asked = exchange.userAgent === client;
      if (operation === undefined) {
        if (asked) found.add(`${exchange.method} ${exchange.path} is not in the description`);
        return;
      }
      if (exchange.status >= 300) return;
      if (asked) {
        seen.add(operation.operationId);
        judgeQuery(operation, exchange);
        judgeBody(operation, exchange.body);
      }
      const response = operation.responses[`${exchange.status}`];
      const schema = response?.content?.["application/json"]?.schema;
      if (response === undefined) found.add(`${operation.operationId} answers no ${exchange.status}`);
      else if (schema !== undefined) judge(`${operation.operationId} answer`, schema, JSON.parse(exchange.answer));
    },
    violations: () => [...found].sort(),
    operations: () => seen,
  };
}

const formats = {
  /** Empty where nothing was given, as GitHub answers it in deployment statuses. */
  uri: (text: string): boolean => text === "" || URL.canParse(text),
  "date-time": (text: string): boolean => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/.test(text),
};

/** The operation with the fewest placeholders whose path fits. */
function operationOf({ paths }: Description, { method, path }: RestExchange): Operation | undefined {
  const fits = Object.entries(paths)
    .filter(([template]) => new RegExp(`^${template.replaceAll(/\{\w+\}/g, "[^/]+")}$`).test(path))
    .sort(([a], [b]) => a.split("{").length - b.split("{").length);
  return fits.map(([, operations]) => operations[method.toLowerCase()]).find((one) => one !== undefined);
}

/** OpenAPI 3.0 says `nullable`, JSON schema says `null`. */
function withNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withNulls);
  if (typeof value !== "object" || value === null) return value;
  const { nullable, ...rest } = Object.fromEntries(
    Object.entries(value).map(([key, member]) => [key, withNulls(member)]),
  );
  return nullable === true ? { anyOf: [rest, { type: "null" }] } : rest;
}

function absolute(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(absolute);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, member]) =>
      key === "$ref" && typeof member === "string" ? [key, `github${member}`] : [key, absolute(member)],
    ),
  );
}
