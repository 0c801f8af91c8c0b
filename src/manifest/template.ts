/** What rendering a text gives: the finished text, or the variables nobody defined (in order, each once). */
export type Rendered = { readonly text: string } | { readonly undefinedVariables: readonly string[] };

/** Ours: `{{ name }}`, and the escapes `{{ "{{" }}` and `{{ "}}" }}`, with or without spaces. Everything else in braces is not. */
const placeholder = /\{\{[ \t]*(?:"(\{\{|\}\})"|([A-Za-z_][A-Za-z0-9_-]*))[ \t]*\}\}/g;
const foreignExpression = /\{\{(.*?)(?:\}\}|$)/gs;

/** True when the text holds anything rendering could change or refuse. */
export function holdsTemplate(text: string): boolean {
  return text.includes("{{");
}

/**
 * Fills in `{{ name }}` in one pass: what a variable's value holds is not looked at again.
 * Guest text belongs to the guest: a variable we do not know, an expression (`{{ ds.region }}`) or `${ }` stays as it
 * is. Elsewhere anything in double braces that is not a known variable is reported.
 */
export function renderTemplate(
  text: string,
  variables: Readonly<Record<string, string>>,
  options: { readonly guestText: boolean },
): Rendered {
  if (!holdsTemplate(text)) return { text };
  const undefinedVariables = new Set<string>();
  let rendered = "";
  let end = 0;
  for (const match of text.matchAll(placeholder)) {
    const [whole, brace, name = ""] = match;
    const between = text.slice(end, match.index);
    collectForeign(between, undefinedVariables);
    end = match.index + whole.length;
    const value = brace ?? (Object.hasOwn(variables, name) ? variables[name] : undefined);
    if (value === undefined) undefinedVariables.add(name);
    rendered += between + (value ?? whole);
  }
  const rest = text.slice(end);
  collectForeign(rest, undefinedVariables);
  if (undefinedVariables.size > 0 && !options.guestText) return { undefinedVariables: [...undefinedVariables] };
  return { text: rendered + rest };
}

function collectForeign(text: string, found: Set<string>): void {
  for (const [, expression = ""] of text.matchAll(foreignExpression)) found.add(expression.trim().slice(0, 60));
}

/** Names of the variables a text asks for, in order, each once. */
export function templateVariables(text: string): readonly string[] {
  if (!holdsTemplate(text)) return [];
  const names = new Set<string>();
  for (const [, , name] of text.matchAll(placeholder)) if (name !== undefined) names.add(name);
  return [...names];
}

/** The same text with every `{{ name }}` spelt one way, so that spaces inside the braces make no difference. */
export function canonicalTemplate(text: string): string {
  return holdsTemplate(text)
    ? text.replace(
        placeholder,
        (_whole, brace?: string, name?: string) => `{{ ${brace === undefined ? name : `"${brace}"`} }}`,
      )
    : text;
}

/** A text that renders to exactly the given one. */
export function escapeTemplate(text: string): string {
  return text.replaceAll("{{", '{{ "{{" }}');
}
