import { badRequest } from "./refusal.ts";

/** What a member of a body may hold. */
export type MemberRule =
  | { readonly kind: "string"; readonly oneOf?: readonly string[] }
  | { readonly kind: "integer"; readonly min?: number; readonly max?: number; readonly oneOf?: readonly number[] }
  | { readonly kind: "boolean" }
  | { readonly kind: "strings" }
  | { readonly kind: "list"; readonly of: Shape }
  | { readonly kind: "object"; readonly shape: Shape }
  | { readonly kind: "map" };

/** One body of the contract. A closed shape refuses members it does not know; an open one drops them without a word. */
export interface Shape {
  readonly name: string;
  readonly members: Readonly<Record<string, MemberRule>>;
  readonly required?: readonly string[];
  /** Members that GET shows and nobody may send. */
  readonly readOnly?: readonly string[];
  readonly open?: boolean;
}

/**
 * The body with only what the contract knows, or a 400 that names the first offending member.
 * `ignoreReadOnly` drops read-only members instead of refusing them.
 */
export function checkBody(body: unknown, shape: Shape, ignoreReadOnly = false): Record<string, unknown> {
  if (!isRecord(body)) throw badRequest(`${shape.name} must be an object`);
  const kept: Record<string, unknown> = {};
  for (const [member, value] of Object.entries(body)) {
    const rule = Object.hasOwn(shape.members, member) ? shape.members[member] : undefined;
    if (rule !== undefined) kept[member] = checkMember(value, rule, `${shape.name}.${member}`, ignoreReadOnly);
    else if (!isIgnored(member, shape, ignoreReadOnly)) throw badRequest(`"${member}" is not allowed in ${shape.name}`);
  }
  const missing = shape.required?.find((member) => !Object.hasOwn(kept, member));
  if (missing !== undefined) throw badRequest(`"${missing}" is required in ${shape.name}`);
  return kept;
}

function isIgnored(member: string, shape: Shape, ignoreReadOnly: boolean): boolean {
  return shape.open === true || (ignoreReadOnly && shape.readOnly?.includes(member) === true);
}

function checkMember(value: unknown, rule: MemberRule, path: string, ignoreReadOnly: boolean): unknown {
  switch (rule.kind) {
    case "object":
      return checkBody(value, rule.shape, ignoreReadOnly);
    case "list":
      if (!Array.isArray(value)) throw badRequest(`"${path}" must be a list`);
      return value.map((item: unknown) => checkBody(item, rule.of, ignoreReadOnly));
    default:
      if (!fits(value, rule)) throw badRequest(`"${path}" does not hold an allowed value`);
      return value;
  }
}

function fits(value: unknown, rule: Exclude<MemberRule, { kind: "object" | "list" }>): boolean {
  switch (rule.kind) {
    case "string":
      return typeof value === "string" && (rule.oneOf?.includes(value) ?? true);
    case "integer":
      return isInteger(value) && inRange(value, rule);
    case "boolean":
      return typeof value === "boolean";
    case "strings":
      return Array.isArray(value) && value.every((item) => typeof item === "string");
    case "map":
      return isRecord(value);
    default:
      return rule satisfies never;
  }
}

function inRange(value: number, rule: Extract<MemberRule, { kind: "integer" }>): boolean {
  if (rule.oneOf !== undefined) return rule.oneOf.includes(value);
  return value >= (rule.min ?? value) && value <= (rule.max ?? value);
}

function isInteger(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value);
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
