import { invalid } from "./api-error.ts";
import type { Call } from "./router.ts";

/** Reads members of a request body; the wrong type is the 422 GitHub gives. `null` counts as left out. */

export function optionalText(call: Call, resource: string, field: string): string | undefined {
  const value = call.body[field];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "string") throw invalid({ resource, field, code: "invalid" });
  return value;
}

export function requiredText(call: Call, resource: string, field: string): string {
  const value = optionalText(call, resource, field);
  if (value === undefined || value.trim() === "") throw invalid({ resource, field, code: "missing_field" });
  return value;
}

export function optionalFlag(call: Call, resource: string, field: string): boolean | undefined {
  const value = call.body[field];
  if (value === undefined || value === null) return undefined;
  if (typeof value !== "boolean") throw invalid({ resource, field, code: "invalid" });
  return value;
}

/** A member that must be one of a closed set; undefined when left out. */
export function optionalChoice<Choice extends string>(
  value: string | undefined,
  choices: readonly Choice[],
  resource: string,
  field: string,
): Choice | undefined {
  if (value === undefined) return undefined;
  const choice = choices.find((one) => one === value);
  if (choice === undefined) throw invalid({ resource, field, code: "invalid" });
  return choice;
}

/** A positive number in a path; anything else is a thing that does not exist. */
export function pathNumber(value: string): number {
  return /^\d{1,15}$/.test(value) ? Number(value) : 0;
}
