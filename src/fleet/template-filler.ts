import type { TemplateText, Templated } from "../manifest/document.ts";
import { parseWholeNumber } from "../manifest/document-context.ts";
import { nearestHint } from "../manifest/nearest.ts";
import { minimumMemoryBytes } from "../manifest/parse-virdomain.ts";
import type { ProblemCode } from "../manifest/problem-codes.ts";
import type { Position, Problem } from "../manifest/problem.ts";
import { parseBytes } from "../manifest/quantity.ts";
import { renderTemplate } from "../manifest/template.ts";

/** Fills in the variables of one application's texts, and gathers what goes wrong. */
export class TemplateFiller {
  readonly problems: Problem[] = [];
  readonly #application: string;
  /** Values of the copy that is being rendered. */
  variables: Readonly<Record<string, string>> = {};

  constructor(application: string) {
    this.#application = application;
  }

  /** `""` (and a problem) when a variable is not defined. Text of several lines is the guest's, whatever field it is in. */
  text(value: Templated<string>, guestText: boolean): string {
    if (typeof value === "string") return value;
    const rendered = renderTemplate(value.template, this.variables, {
      guestText: guestText || value.template.includes("\n"),
    });
    if ("text" in rendered) return rendered.text;
    for (const name of rendered.undefinedVariables) {
      const hint =
        name === "clusterId"
          ? "the cluster's id is not known yet"
          : (nearestHint(name, Object.keys(this.variables), "defined here") ??
            "give it a value in the Deployment, the ClusterGroup or the cluster");
      this.reportAt("undefined-variable", value, `{{ ${name} }} has no value`, hint);
    }
    return "";
  }

  /** Undefined (and a problem) when it is no such number. */
  wholeNumber(value: Templated<number>, minimum: number, maximum: number): number | undefined {
    if (typeof value === "number") return value;
    const text = this.text(value, false);
    if (text === "") return undefined;
    const parsed = parseWholeNumber(text, minimum, maximum);
    if (typeof parsed === "number") return parsed;
    this.reportAt("invalid-number", value, parsed.message, parsed.hint);
    return undefined;
  }

  bytes(value: Templated<number>): number {
    if (typeof value === "number") return value;
    const text = this.text(value, false);
    const parsed = text === "" ? minimumMemoryBytes : parseBytes(text);
    if (typeof parsed === "number") return parsed;
    this.reportAt("invalid-quantity", value, parsed.message, parsed.hint);
    return minimumMemoryBytes;
  }

  reportAt(code: ProblemCode, place: TemplateText, message: string, hint: string): void {
    this.report(code, place.position, place.path, message, hint);
  }

  report(code: ProblemCode, position: Position, path: string, message: string, hint: string): void {
    this.problems.push({
      severity: "error",
      code,
      position,
      path,
      message,
      hint,
      application: this.#application,
    });
  }
}
