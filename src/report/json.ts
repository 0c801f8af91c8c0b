import type { Plan } from "../plan/plan.ts";
import { countOperations } from "./summary.ts";

/**
 * A plan for scripts: the plan itself with its counts, as `config/plan.schema.json` describes it. Fields are only ever
 * added within a schema version. Members that are undefined are left out, as JSON does.
 */
export function planToJson(plan: Plan): object {
  const json: object = { ...plan, summary: countOperations(plan.operations), changes: plan.operations.length > 0 };
  return structuredClone(json);
}
