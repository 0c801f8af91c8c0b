import type { MemberRule, Shape } from "./body.ts";
import type { Contract } from "./contract.ts";

/** The version string says nothing about the cluster: 9.6.27 and 9.7.4 both answer this one. */
const documentVersion = "1.3.2";

const paths: Readonly<Record<string, Readonly<Record<string, keyof Contract | "">>>> = {
  "/VirDomain": { get: "", post: "virDomainCreate" },
  "/VirDomain/{uuid}": { get: "", patch: "virDomainPatch", delete: "" },
  "/VirDomain/{uuid}/clone": { post: "virDomainClone" },
  "/VirDomain/action": { post: "action" },
  "/VirDomainBlockDevice": { get: "", post: "diskCreate" },
  "/VirDomainBlockDevice/{uuid}": { get: "", patch: "diskPatch", delete: "" },
  "/VirDomainBlockDevice/{uuid}/clone": { post: "diskClone" },
  "/VirDomainNetDevice": { get: "", post: "nicCreate" },
  "/VirDomainNetDevice/{uuid}": { get: "", patch: "nicPatch", delete: "" },
  "/VirDomainSnapshot": { get: "", post: "snapshotCreate" },
  "/VirDomainSnapshot/{uuid}": { get: "", delete: "" },
  "/VirtualDisk": { get: "" },
  "/VirtualDisk/{uuid}": { get: "", delete: "" },
  "/VirtualDisk/upload": { put: "" },
  "/VirtualDisk/{uuid}/attach": { post: "attach" },
  "/ISO": { get: "", post: "isoCreate" },
  "/ISO/{uuid}": { get: "", patch: "isoPatch", delete: "" },
  "/ISO/{uuid}/data": { put: "" },
  "/Node": { get: "" },
  "/Cluster": { get: "" },
  "/Condition": { get: "" },
  "/TaskTag/{tag}": { get: "" },
  "/ping": { get: "" },
  "/login": { post: "login" },
  "/logout": { post: "" },
};

/** The document a cluster serves about itself, made from the very tables that check bodies. */
export function openApiDocument(contract: Contract): string {
  const described = Object.entries(paths).map(([path, methods]) => [path, describe(methods, contract)] as const);
  return JSON.stringify({
    openapi: "3.0.0",
    info: { title: "HyperCore REST API (simulated)", version: documentVersion },
    servers: [{ url: "/rest/v1" }],
    paths: Object.fromEntries(described),
  });
}

function describe(methods: Readonly<Record<string, keyof Contract | "">>, contract: Contract): object {
  const described = Object.entries(methods).map(([method, shape]) => [
    method,
    {
      ...(shape === ""
        ? {}
        : { requestBody: { content: { "application/json": { schema: schemaOf(contract[shape]) } } } }),
      responses: { "200": { description: "OK" } },
    },
  ]);
  return Object.fromEntries(described) as object;
}

function schemaOf(shape: Shape): object {
  const properties = Object.entries(shape.members).map(([member, rule]) => [member, ruleSchema(rule)] as const);
  return {
    type: "object",
    properties: Object.fromEntries(properties),
    additionalProperties: shape.open === true,
    ...(shape.required === undefined ? {} : { required: shape.required }),
  };
}

function ruleSchema(rule: MemberRule): object {
  switch (rule.kind) {
    case "object":
      return schemaOf(rule.shape);
    case "list":
      return { type: "array", items: schemaOf(rule.of) };
    case "strings":
      return { type: "array", items: { type: "string" } };
    case "map":
      return { type: "object" };
    case "boolean":
      return { type: "boolean" };
    case "string":
      return { type: "string", ...(rule.oneOf === undefined ? {} : { enum: rule.oneOf }) };
    case "integer":
      return {
        type: "integer",
        ...(rule.min === undefined ? {} : { minimum: rule.min }),
        ...(rule.max === undefined ? {} : { maximum: rule.max }),
        ...(rule.oneOf === undefined ? {} : { enum: rule.oneOf }),
      };
    default:
      return rule satisfies never;
  }
}
