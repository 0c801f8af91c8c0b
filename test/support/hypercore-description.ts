import { readFileSync } from "node:fs";
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { parse } from "yaml";

type Json = Readonly<Record<string, unknown>>;

const file = new URL("../contract/hypercore.openapi.yaml", import.meta.url);

/** One call as the description has it, with what its path leaves open. */
export interface DescribedCall {
  /** `PATCH /rest/v1/VirDomain/{uuid}`. */
  readonly name: string;
  readonly operation: Json;
  readonly pathParams: Readonly<Record<string, string>>;
}

interface Entry {
  readonly method: string;
  readonly template: string;
  readonly pattern: RegExp;
  readonly names: readonly string[];
  readonly operation: Json;
}

/** The OpenAPI description of REST v1 as it holds for clusters of one version. */
export class HypercoreDescription {
  readonly #document: Json;
  readonly #entries: readonly Entry[];
  readonly #ajv = new Ajv({ allErrors: true, strictTypes: false, strictRequired: false });
  readonly #compiled = new WeakMap<object, ValidateFunction>();

  constructor(version: string) {
    this.#document = asOf(parse(readFileSync(file, "utf8"), { merge: true, maxAliasCount: -1 }), version) as Json;
    this.#ajv.addVocabulary(["components", "x-since", "x-fact", "x-stricter"]);
    this.#ajv.addFormat("binary", true);
    this.#entries = Object.entries(this.#document["paths"] as Json)
      .flatMap(([path, item]) => entriesOf(path, item as Json, this.#document))
      // A path without open parts is meant by itself, even where an open one fits.
      .sort((a, b) => a.names.length - b.names.length);
  }

  /** Names of all calls described. */
  get calls(): readonly string[] {
    return this.#entries.map(({ method, template }) => `${method} ${template}`);
  }

  /** Every schema of every request and answer. */
  schemas(): readonly unknown[] {
    return this.#entries.flatMap(({ operation }) => {
      const parameters = ((operation["parameters"] ?? []) as unknown[]).map((each) => this.resolve(each)?.["schema"]);
      const responses = Object.values(operation["responses"] as Json);
      const contents = [operation["requestBody"], ...responses].map((each) => this.resolve(each)?.["content"] ?? {});
      return [
        ...parameters,
        ...contents.flatMap((content) => Object.values(content)).map((media: Json) => media["schema"]),
      ];
    });
  }

  find(method: string, path: string): DescribedCall | undefined {
    const plain = path.replace(/\/$/, "");
    for (const entry of this.#entries) {
      const match = entry.method === method ? entry.pattern.exec(plain) : null;
      if (match === null) continue;
      const pathParams = Object.fromEntries(entry.names.map((name, index) => [name, match[index + 1] ?? ""]));
      return { name: `${method} ${entry.template}`, operation: entry.operation, pathParams };
    }
    return undefined;
  }

  /** What a `$ref` stands for; anything else stands for itself. */
  resolve(value: unknown): Json | undefined {
    const target = value as Json | undefined;
    const pointer = target?.["$ref"];
    if (typeof pointer !== "string") return target;
    const parts = pointer.split("/").slice(1);
    return parts.reduce<unknown>((node, part) => (node as Json)[part], this.#document) as Json;
  }

  /** True where a call asks for credentials. */
  isSecured(operation: Json): boolean {
    return ((operation["security"] ?? this.#document["security"]) as readonly unknown[]).length > 0;
  }

  /** What is wrong with a value, in words; a value in a text (a query, a header) is read as what the schema wants. */
  problems(schema: unknown, value: unknown): readonly string[] {
    const described = schema as Json;
    const read =
      this.resolve(described)?.["type"] === "integer" && typeof value === "string" ? toInteger(value) : value;
    const validate = this.#compile(described);
    return validate(read) ? [] : (validate.errors ?? []).map(inWords);
  }

  #compile(schema: Json): ValidateFunction {
    const known = this.#compiled.get(schema);
    if (known !== undefined) return known;
    // The references of a schema are looked up from the root of what is compiled.
    const validate = this.#ajv.compile({ allOf: [schema], components: this.#document["components"] });
    this.#compiled.set(schema, validate);
    return validate;
  }
}

function entriesOf(path: string, item: Json, document: Json): Entry[] {
  const [server] = (item["servers"] ?? document["servers"]) as readonly { readonly url: string }[];
  const template = `${server?.url ?? ""}${path}`;
  const names = [...template.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name);
  const pattern = new RegExp(`^${template.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "([^/]+)")}$`);
  const methods = Object.entries(item).filter(([key]) => /^(get|put|post|patch|delete)$/.test(key));
  return methods.map(([method, operation]) => ({
    method: method.toUpperCase(),
    template,
    pattern,
    names,
    operation: operation as Json,
  }));
}

/** A copy without what came later than `version`, and with our extensions of the language spelt as JSON Schema has them. */
function asOf(value: unknown, version: string): unknown {
  if (Array.isArray(value)) return value.map((item: unknown) => asOf(item, version));
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, member]) => !isLater(member, version));
  return Object.fromEntries(
    entries.map(([key, member]) => [key === "x-propertyNames" ? "propertyNames" : key, asOf(member, version)]),
  );
}

function isLater(value: unknown, version: string): boolean {
  const since = typeof value === "object" && value !== null ? (value as Json)["x-since"] : undefined;
  if (typeof since !== "string") return false;
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [sinceMajor = 0, sinceMinor = 0] = since.split(".").map(Number);
  return major < sinceMajor || (major === sinceMajor && minor < sinceMinor);
}

function toInteger(text: string): unknown {
  return /^\d+$/.test(text) ? Number(text) : text;
}

function inWords({ instancePath, message, params, keyword }: ErrorObject): string {
  const where = instancePath === "" ? "" : `${instancePath} `;
  if (keyword === "additionalProperties") return `${where}"${String(params["additionalProperty"])}" is not allowed`;
  if (keyword === "enum") return `${where}must be one of ${(params["allowedValues"] as unknown[]).join(", ")}`;
  return `${where}${message ?? keyword}`;
}
