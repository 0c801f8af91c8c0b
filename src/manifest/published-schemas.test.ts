import { readFileSync } from "node:fs";
import { Ajv } from "ajv";
import { describe, expect, it } from "vitest";
import { parseAllDocuments } from "yaml";
import { problemCodes } from "./problem-codes.ts";
import { publishedSchemas } from "./published-schemas.ts";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

describe("the schemas in config/", () => {
  it.each(Object.entries(publishedSchemas))("%s is current (else run bin/write-schemas.js)", (name, schema) => {
    expect(JSON.parse(read(`config/${name}`))).toEqual(JSON.parse(JSON.stringify(schema)));
  });

  it.each([
    "config/examples/three-tier-webapp",
    "config/examples/mixed-os-environment",
    "config/examples/microservices-stack",
    "test/fixtures/manifests/patterns-naming",
    "test/fixtures/manifests/patterns-database",
  ])("accept %s.yaml by themselves", (name) => {
    const validate = new Ajv({ strict: false }).compile(JSON.parse(read("config/manifest.schema.json")) as object);
    for (const document of parseAllDocuments(read(`${name}.yaml`), { merge: true })) {
      if (document.contents === null) continue;
      const value: unknown = document.toJS();
      if (value !== null) expect(validate(value), JSON.stringify(validate.errors)).toBe(true);
    }
  });

  it("describe every key", () => {
    const bare: string[] = [];
    const walk = (path: string, schema: unknown): void => {
      if (typeof schema !== "object" || schema === null) return;
      const { properties, items } = schema as {
        properties?: Record<string, { description?: string; enum?: unknown }>;
        items?: unknown;
      };
      for (const [key, member] of Object.entries(properties ?? {})) {
        if (member.description === undefined) bare.push(`${path}.${key}`);
        walk(`${path}.${key}`, member);
      }
      walk(`${path}[]`, items);
    };
    for (const [name, schema] of Object.entries(publishedSchemas)) walk(name, schema);
    expect(bare).toEqual([]);
  });
});

it("every problem code has a meaning and is kebab-case", () => {
  for (const [code, meaning] of Object.entries(problemCodes)) {
    expect(code).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
    expect(meaning).toMatch(/\.$/);
  }
});
