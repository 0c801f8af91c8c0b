import { existsSync, readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));

export interface Page {
  /** Path from the root of the repository. */
  readonly file: string;
  readonly text: string;
}

export function readPage(file: string): Page {
  return { file, text: readFileSync(path.join(root, file), "utf8") };
}

/** Everything written for people: README, CHANGELOG, CONTRIBUTING and docs/. */
export function readPages(): readonly Page[] {
  const docs = readdirSync(path.join(root, "docs"), { recursive: true, encoding: "utf8" });
  const pages = docs.filter((name) => name.endsWith(".md")).map((name) => `docs/${name}`);
  return ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", ...pages.sort()].map(readPage);
}

export function exists(file: string): boolean {
  return existsSync(path.join(root, file));
}

export interface CodeBlock {
  readonly language: string;
  readonly text: string;
}

const fence = /^(```+)([\w-]*)[^\n]*\n(.*?)^\1$/gms;

export function codeBlocks(text: string): readonly CodeBlock[] {
  return [...text.matchAll(fence)].map(([, , language = "", body = ""]) => ({ language, text: body }));
}

/** The text without fenced code. */
export function prose(text: string): string {
  return text.replaceAll(fence, "");
}

/** What stands between single back-ticks outside of fenced code. */
export function inlineCode(text: string): readonly string[] {
  return [...prose(text).matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);
}

/** Titles of all headings, fenced code left out. */
export function headings(text: string): readonly string[] {
  return [...prose(text).matchAll(/^#{1,6} (.+)$/gm)].map(([, title = ""]) => title);
}

/** The part under a heading, up to the next heading of its level or a higher one. Throws when there is none. */
export function section(page: Page, title: string): string {
  const lines = page.text.split("\n");
  const start = lines.findIndex((line) => /^#{1,6} /.test(line) && line.replace(/^#+ /, "") === title);
  if (start === -1) throw new Error(`${page.file} has no heading "${title}"`);
  const level = /^#+/.exec(lines[start] ?? "")?.[0].length ?? 1;
  const rest = lines.slice(start + 1);
  let fenced = false;
  const end = rest.findIndex((line) => {
    if (line.startsWith("```")) fenced = !fenced;
    return !fenced && (/^(#+) /.exec(line)?.[1]?.length ?? 7) <= level;
  });
  return rest.slice(0, end === -1 ? undefined : end).join("\n");
}

/** Rows of the tables in a text, cells trimmed, without heads. */
export function tableRows(text: string): readonly (readonly string[])[] {
  const lines = text.split("\n");
  return lines.flatMap((line, index) => {
    if (!line.startsWith("|") || isRule(line) || isRule(lines[index + 1] ?? "")) return [];
    return [
      line
        .replace(/^\||\|$/g, "")
        .split(/(?<!\\)\|/)
        .map((cell) => cell.trim()),
    ];
  });
}

function isRule(line: string): boolean {
  return /^\|[\s:|-]+\|$/.test(line);
}

/** The name GitHub gives a heading in addresses. */
export function anchorOf(title: string): string {
  return title
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\p{M} _-]/gu, "")
    .replaceAll(" ", "-");
}
