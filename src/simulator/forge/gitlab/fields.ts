import type { Call } from "../router.ts";
import { badParameter } from "./error.ts";

/** Reads parameters of a call: members of the body, and of the query as GitLab takes both. `null` counts as left out. */

export function optionalText(call: Call, name: string): string | undefined {
  const value = call.body[name] ?? call.query.get(name);
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return `${value}`;
  throw badParameter(`${name} is invalid`);
}

export function requiredText(call: Call, name: string): string {
  const value = optionalText(call, name);
  if (value === undefined) throw badParameter(`${name} is missing`);
  if (value.trim() === "") throw badParameter(`${name} is empty`);
  return value;
}

export function optionalFlag(call: Call, name: string): boolean | undefined {
  const value = optionalText(call, name);
  if (value === undefined) return undefined;
  if (value !== "true" && value !== "false") throw badParameter(`${name} is invalid`);
  return value === "true";
}

export function optionalChoice<Choice extends string>(
  call: Call,
  name: string,
  choices: readonly Choice[],
): Choice | undefined {
  const value = optionalText(call, name);
  if (value === undefined) return undefined;
  const choice = choices.find((one) => one === value);
  if (choice === undefined) throw badParameter(`${name} does not have a valid value`);
  return choice;
}
