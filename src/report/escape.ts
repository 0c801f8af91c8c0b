import { clip, visible } from "./format.ts";

/**
 * Text from manifests and clusters made harmless in GitHub Flavored Markdown. Nothing that goes through here can open
 * or close a fence, a table cell, a tag or a comment, mention a person, refer to an issue, or change reading direction.
 */

const maxNameChars = 160;

/** A code span for running text and lists: back-ticks inside are outnumbered by those around. */
export function code(text: string): string {
  const shown = clip(visible(text), maxNameChars);
  if (shown.trim() === "") return "`(empty)`";
  const ticks = "`".repeat(longestRun(shown) + 1);
  const pad = /^[` ]|[` ]$/.test(shown) ? " " : "";
  return ticks + pad + shown + pad + ticks;
}

/** Code for table cells and summaries, where back-ticks or pipes would not hold: HTML with everything special as entities. */
export function htmlCode(text: string): string {
  return `<code>${entities(clip(visible(text), maxNameChars))}</code>`;
}

/** Words for table cells and summaries. */
export function htmlText(text: string): string {
  return entities(clip(visible(text), 600));
}

/** A sentence from elsewhere (an error, a hint) as plain words. */
export function sentence(text: string): string {
  return clip(visible(text), 600)
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll(/[\\`*_[\]|~$]/g, String.raw`\$&`)
    .replaceAll(/([@#]|!(?=\d)|:\/\/|www\.|GH-)(?=[\p{L}\p{N}_])/giu, "$1\u200B");
}

/** A fenced block whose fence is longer than any run of back-ticks inside. Lines keep their order; nothing else gets out. */
export function fence(language: string, lines: readonly string[]): string {
  const body = lines.map((line) => clip(visible(line), 400));
  const ticks = "`".repeat(Math.max(3, Math.max(0, ...body.map(longestRun)) + 1));
  return [ticks + language, ...body, ticks].join("\n");
}

/** A folded section. `summary` is HTML already escaped, `body` Markdown. */
export function details(summary: string, body: string): string {
  return `<details><summary>${summary}</summary>\n\n${body}\n\n</details>`;
}

/** A link, or just its text when the address is none that a browser should open. */
export function link(label: string, url: string | undefined): string {
  if (url === undefined || !/^https?:\/\//i.test(url)) return label;
  const safe = visible(url).replaceAll(
    /[\s<>()[\]\\"`|]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
  return `[${label}](${safe})`;
}

function entities(text: string): string {
  return text
    .replaceAll(/[^\p{L}\p{N}\s.,;\-/?⏎⟨⟩…→]/gu, (character) => `&#${character.codePointAt(0)};`)
    .replaceAll(/www\./gi, (match) => `${match.slice(0, 3)}&#46;`);
}

function longestRun(text: string): number {
  return Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));
}
