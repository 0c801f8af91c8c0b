import { applicationSchema } from "./application-schema.ts";
import { clusterGroupSchema, deploymentSchema, manifestSchema } from "./fleet-schemas.ts";
import type { JsonSchema } from "./json-schema.ts";

/** The files of config/ that people point their editors at: the very schemas the parser uses. */
export const publishedSchemas: Readonly<Record<string, JsonSchema>> = {
  "application.schema.json": applicationSchema,
  "cluster-group.schema.json": clusterGroupSchema,
  "deployment.schema.json": deploymentSchema,
  "manifest.schema.json": manifestSchema,
};
