import type { TemplateText, Templated } from "./document.ts";
import { nearestHint } from "./nearest.ts";
import type { ProblemCode } from "./problem-codes.ts";
import type { Position, Problem } from "./problem.ts";
import { type QuantityProblem, parseBytes, parseDuration } from "./quantity.ts";
import { type SourceText, holdsControlCharacter } from "./source-text.ts";
import { holdsTemplate } from "./template.ts";
import type { Path, YamlDocument } from "./yaml-tree.ts";

export interface Report {
  readonly code: ProblemCode;
  readonly path: Path;
  readonly message: string;
  readonly hint?: string | undefined;
  readonly severity?: "error" | "warning";
  /** True: the place is the key, not its value. */
  readonly key?: boolean;
}

/** One document while it is being read: collects its problems and turns paths into places. */
export class DocumentContext {
  readonly source: SourceText;
  readonly document: YamlDocument;
  readonly application: string | undefined;
  readonly problems: Problem[] = [];
  readonly #maxProblems: number;

  constructor(source: SourceText, document: YamlDocument, application: string | undefined, maxProblems: number) {
    this.source = source;
    this.document = document;
    this.application = application;
    this.#maxProblems = maxProblems;
  }

  positionOf(path: Path): Position {
    return this.source.positionAt(this.document.offsetOf(path));
  }

  /** True when more problems would not be listed: finding out more about them is then wasted time. */
  get full(): boolean {
    return this.problems.length > this.#maxProblems;
  }

  report(report: Report): void {
    if (this.full) return;
    const { code, path, message, hint, severity = "error", key = false } = report;
    const offset = key ? this.document.offsetOfKey(path) : this.document.offsetOf(path);
    this.problems.push({
      severity,
      code,
      position: this.source.positionAt(offset),
      path: formatPath(path),
      message,
      ...(hint === undefined ? {} : { hint }),
      ...(this.application === undefined ? {} : { application: this.application }),
    });
  }

  get broken(): boolean {
    return this.problems.some(({ severity }) => severity === "error");
  }

  /** Text as it is, or with its place when variables are to be filled in later. */
  templated(path: Path, text: string): Templated<string> {
    return holdsTemplate(text) ? this.templateText(path, text) : text;
  }

  templateText(path: Path, template: string): TemplateText {
    return { template, position: this.positionOf(path), path: formatPath(path) };
  }

  /** A name of 1 to 63 characters without control characters; `""` (and a problem) when it is none. */
  name(path: Path, value: unknown, options: { readonly template?: boolean; readonly forbidden?: string } = {}): string {
    const text = asText(value)?.trim();
    if (text === undefined) return "";
    if (holdsTemplate(text) && options.template !== true) {
      this.report({
        code: "invalid-template",
        path,
        message: "a template variable cannot stand here",
        hint: "variables belong in resources: VM names, tags, descriptions, sizes",
      });
      return text;
    }
    const wrong = nameFault(text, options.forbidden ?? "");
    if (wrong !== undefined)
      this.report({ code: "invalid-name", path, message: wrong, hint: `1 to ${maxNameLength} visible characters` });
    return text;
  }

  bytes(path: Path, value: unknown): Templated<number> | undefined {
    if (typeof value === "string" && holdsTemplate(value)) return this.templateText(path, value);
    if (typeof value !== "string" && typeof value !== "number") return undefined;
    return this.#quantity(path, parseBytes(value), "invalid-quantity");
  }

  duration(path: Path, value: unknown): number | undefined {
    if (typeof value !== "string" && typeof value !== "number") return undefined;
    return this.#quantity(path, parseDuration(value), "invalid-duration");
  }

  #quantity(path: Path, parsed: number | QuantityProblem, code: ProblemCode): number | undefined {
    if (typeof parsed === "number") return parsed;
    this.report({ code, path, message: parsed.message, hint: parsed.hint });
    return undefined;
  }

  /** A whole number in its limits, or a template for one. */
  wholeNumber(path: Path, value: unknown, minimum: number, maximum: number): Templated<number> | undefined {
    if (typeof value === "number") return value;
    if (typeof value !== "string") return undefined;
    if (holdsTemplate(value)) return this.templateText(path, value);
    const found = parseWholeNumber(value, minimum, maximum);
    if (typeof found === "number") return found;
    this.report({ code: "invalid-number", path, ...found });
    return undefined;
  }

  /** Reports every name that was there before, at its second place, naming the first. */
  unique(kind: string, entries: Iterable<{ readonly name: string; readonly path: Path }>): void {
    const first = new Map<string, Path>();
    for (const { name, path } of entries) {
      if (name === "") continue;
      const before = first.get(name);
      if (before === undefined) first.set(name, path);
      else if (!this.full)
        this.report({
          code: "duplicate-name",
          path,
          message: `a second ${kind} is named "${name}"`,
          hint: `the first is on line ${this.positionOf(before).line}`,
        });
    }
  }

  unknownReference(code: ProblemCode, path: Path, what: string, name: string, known: Iterable<string>): void {
    if (this.full) return;
    this.report({
      code,
      path,
      message: `no ${what} is named "${name}"`,
      hint: nearestHint(name, known, `known ${what}s`),
    });
  }
}

export const maxNameLength = 63;

/** What is wrong with a name, or undefined. */
export function nameFault(name: string, forbidden = ""): string | undefined {
  if (name === "") return "the name is empty";
  const length = Array.from(name).length;
  if (length > maxNameLength && !holdsTemplate(name)) return `the name has ${length} characters`;
  if (holdsControlCharacter(name)) return "the name holds a control character or line break";
  const found = Array.from(forbidden).find((character) => name.includes(character));
  return found === undefined ? undefined : `the name holds "${found}"`;
}

/** What is wrong with a tag, or undefined. HyperCore keeps tags as one comma-separated text, and `kg-` tags are our own marks. */
export function tagFault(tag: string): { readonly message: string; readonly hint: string } | undefined {
  if (tag === "") return { message: "the tag is empty", hint: "remove it" };
  if (tag.includes(","))
    return {
      message: `the tag "${tag.slice(0, 60)}" holds a comma`,
      hint: "clusters join tags by commas: write two tags",
    };
  if (tag.toLowerCase().startsWith("kg-"))
    return { message: `the tag "${tag.slice(0, 60)}" begins with kg-`, hint: "kg- is reserved for ownership marks" };
  if (holdsControlCharacter(tag))
    return { message: "the tag holds a control character or line break", hint: "use visible characters" };
  return undefined;
}

export function parseWholeNumber(
  text: string,
  minimum: number,
  maximum: number,
): number | { readonly message: string; readonly hint: string } {
  const value = /^\d{1,9}$/.test(text.trim()) ? Number(text) : Number.NaN;
  if (value >= minimum && value <= maximum) return value;
  return {
    message: `"${text.slice(0, 40)}" is no whole number from ${minimum} to ${maximum}`,
    hint: "write digits only",
  };
}

/** `spec.resources[0].spec.memory` */
export function formatPath(path: Path): string {
  return path.map((step, index) => (typeof step === "number" ? `[${step}]` : index === 0 ? step : `.${step}`)).join("");
}

export function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

export function asList(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function asText(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

/** The value when it is one of the words, otherwise the fallback (the schema has reported it already). */
export function asWord<Word extends string>(value: unknown, words: readonly Word[], fallback: Word): Word {
  return words.find((word) => word === value) ?? fallback;
}
