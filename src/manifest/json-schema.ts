/** A JSON Schema (draft-07) as plain data: the parser compiles it, and editors read it from config/. */
export type JsonSchema = { readonly [keyword: string]: unknown };

export const draft = "http://json-schema.org/draft-07/schema#";

/** Names of applications, deployments, groups, assets and devices: any text of 1 to 63 characters, checked further by the parser. */
export function nameSchema(description: string, examples: readonly string[] = []): JsonSchema {
  return { type: "string", minLength: 1, maxLength: 200, description, ...(examples.length === 0 ? {} : { examples }) };
}

export function textSchema(description: string, examples: readonly string[] = []): JsonSchema {
  return { type: ["string", "null"], description, ...(examples.length === 0 ? {} : { examples }) };
}

export function wordSchema(words: readonly string[], description: string): JsonSchema {
  return { type: "string", enum: words, description };
}

/** A list that may be left empty (`tags:` with nothing behind it). */
export function listSchema(items: JsonSchema, description: string): JsonSchema {
  return { type: ["array", "null"], items, description };
}

/** A list that must name something. */
export function filledListSchema(items: JsonSchema, description: string): JsonSchema {
  return { type: "array", minItems: 1, items, description };
}

/** A mapping with exactly these keys. */
export function objectSchema(
  properties: Readonly<Record<string, JsonSchema>>,
  required: readonly string[],
  description: string,
): JsonSchema {
  return { type: "object", required, additionalProperties: false, properties, description };
}

/** A mapping with keys of people's own choosing. */
export function mapSchema(values: JsonSchema, keyPattern: string, description: string): JsonSchema {
  return {
    type: ["object", "null"],
    propertyNames: { pattern: keyPattern },
    additionalProperties: values,
    description,
  };
}

export const identifierPattern = "^(?!__proto__$)[A-Za-z_][A-Za-z0-9_-]*$";
export const anyKeyPattern = "^(?!__proto__$)[^\\n]+$";

/** The whole document: type, version, metadata, spec. */
export function envelopeSchema(type: string, metadata: JsonSchema, spec: JsonSchema, description: string): JsonSchema {
  return {
    $schema: draft,
    title: type,
    ...objectSchema(
      {
        type: { type: "string", const: type, description: "The document's type." },
        version: {
          enum: ["1.0.0", "1.0", "1", 1],
          description: 'Version of the format: "1.0.0".',
          examples: ["1.0.0"],
        },
        metadata,
        spec,
      },
      ["type", "version", "metadata", "spec"],
      description,
    ),
  };
}
