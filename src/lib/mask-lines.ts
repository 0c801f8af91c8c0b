import { closingQuote, mask, maskLine } from "./mask-inline.ts";
import { isSensitiveName } from "./sensitive-name.ts";

/** Several lines that are secret together. */
type Region =
  | { readonly kind: "private-key" }
  | { readonly kind: "quoted"; readonly quote: string }
  | { readonly kind: "next-line" }
  | { readonly kind: "xml" }
  | { readonly kind: "here-document"; readonly end: string }
  /** Everything indented deeper than `indent`; `keys`: nested keys stay readable. */
  | { readonly kind: "yaml-value"; readonly indent: number; readonly keys: boolean }
  | { readonly kind: "chpasswd"; readonly indent: number };

interface Step {
  readonly text: string;
  readonly region: Region | undefined;
}

const keyBegins = /-----BEGIN [A-Z ]{0,40}PRIVATE KEY[A-Z ]{0,20}-----/;
const keyEnds = /-----END [A-Z ]{0,40}PRIVATE KEY/;
const yamlKey = /^(\s*(?:- +)*)(["']?)([\w.@ -]{1,80})\2\s*:(?:\s+(.*))?$/;
const xmlOpens = /<([\w:]{0,60}(?:password|passwd|secret)\w{0,60})(?:\s[^>]{0,300})?>(?![^]*<\/\1)/i;

/** Masks the secrets of a text line by line: as many lines come out as went in. */
export function maskLines(lines: readonly string[]): readonly string[] {
  const masked: string[] = [];
  let region: Region | undefined;
  for (const line of lines) {
    const step: Step = (region === undefined ? undefined : insideRegion(line, region)) ?? outside(line);
    masked.push(step.text);
    region = step.region;
  }
  return masked;
}

/** A line inside a region, or undefined when the region ended before it. */
function insideRegion(line: string, region: Region): Step | undefined {
  switch (region.kind) {
    case "private-key":
      return insideKey(line, region);
    case "quoted":
      return insideQuotes(line, region);
    case "next-line":
      return { text: `${indentOf(line)}${mask}`, region: /\\\s*$/.test(line) ? region : undefined };
    case "xml":
      return insideXml(line, region);
    case "here-document":
      if (line.trim() === region.end) return { text: line, region: undefined };
      return { text: maskAfterColon(line), region };
    case "yaml-value":
      return insideYamlValue(line, region);
    case "chpasswd":
      return insideChpasswd(line, region);
    default:
      return region satisfies never;
  }
}

function insideKey(line: string, region: Region): Step {
  const end = keyEnds.exec(line);
  if (end === null) return { text: line.trim() === "" ? line : `${indentOf(line)}${mask}`, region };
  const before = line.slice(0, end.index).trim() === "" ? indentOf(line) : `${indentOf(line)}${mask}`;
  return { text: before + line.slice(end.index), region: undefined };
}

function insideQuotes(line: string, region: Region & { readonly kind: "quoted" }): Step {
  const end = closingQuote(line, 0, region.quote);
  if (end === undefined) return { text: line.trim() === "" ? line : `${indentOf(line)}${mask}`, region };
  return { text: `${indentOf(line)}${mask}${maskLine(line.slice(end)).text}`, region: undefined };
}

function insideXml(line: string, region: Region): Step {
  const text = /[<>]/.test(line)
    ? line.replaceAll(/>[^<>]{1,2000}</g, `>${mask}<`).replace(/^(\s*)[^\s<][^<]*/, `$1${mask}`)
    : maskWhole(line);
  return { text, region: /<\/[\w:]*(?:password|passwd|secret)/i.test(line) ? undefined : region };
}

function insideYamlValue(line: string, region: Region & { readonly kind: "yaml-value" }): Step | undefined {
  if (line.trim() === "") return { text: line, region };
  const indent = indentOf(line).length;
  const sibling = indent === region.indent && region.keys && /^\s*- /.test(line);
  if (indent <= region.indent && !sibling) return undefined;
  const key = region.keys ? yamlKey.exec(line) : null;
  if (key === null) return { text: maskWhole(line), region };
  const empty = key[4] === undefined || /^(?:[|>][+-]?\d?)?$/.test(key[4]);
  return { text: empty ? line : `${line.slice(0, line.indexOf(":"))}: ${mask}`, region };
}

const chpasswdKeys = new Set(["list", "expire", "users", "name", "type"]);

/** cloud-init's `chpasswd`: `user:password` lines, a list of them, or maps with a `password`. */
function insideChpasswd(line: string, region: Region & { readonly kind: "chpasswd" }): Step | undefined {
  if (line.trim() === "") return { text: line, region };
  if (indentOf(line).length <= region.indent) return undefined;
  const key = /^\s*(?:- +)?["']?([\w.@-]{1,80})["']?:/.exec(line);
  if (/^\s*(?:- +)?\{/.test(line)) return { text: maskLine(line).text, region };
  if (key !== null && chpasswdKeys.has(key[1] ?? "") && /:(?:\s|$)/.test(line.slice(key[0].length - 1))) {
    const value = line.slice(key[0].length);
    return {
      text: key[0] + (/\S:\S/.test(value) && !/password/i.test(value) ? maskPairs(value) : maskLine(value).text),
      region,
    };
  }
  return { text: maskAfterColon(line), region };
}

function outside(line: string): Step {
  const begin = keyBegins.exec(line);
  if (begin !== null && !keyEnds.test(line)) {
    const head = begin.index + begin[0].length;
    const tail = line.slice(head).trim() === "" ? "" : mask;
    return { text: line.slice(0, head) + tail, region: { kind: "private-key" } };
  }
  const masked = maskLine(isChpasswdPipe(line) ? maskPairs(line) : line);
  return { text: masked.text, region: regionAfter(line, masked) };
}

function regionAfter(line: string, masked: ReturnType<typeof maskLine>): Region | undefined {
  if (masked.openQuote !== undefined) return { kind: "quoted", quote: masked.openQuote };
  if (masked.nextLine) return { kind: "next-line" };
  const heredoc = /\bchpasswd\b.*<<-?\s*["']?(\w+)/.exec(line)?.[1];
  if (heredoc !== undefined) return { kind: "here-document", end: heredoc };
  if (xmlOpens.test(line)) return { kind: "xml" };
  const key = yamlKey.exec(line);
  if (key === null) return undefined;
  const name = (key[3] ?? "").trim();
  const value = (key[4] ?? "").replace(/(?:^|\s)#.*$/, "").trim();
  const indent = (key[1] ?? "").length;
  if (name === "chpasswd" && value === "") return { kind: "chpasswd", indent };
  if (!isSensitiveName(name)) return undefined;
  if (/^(?:[!&]\S+\s*)*$/.test(value)) return { kind: "yaml-value", indent, keys: true };
  const block = /^(?:[!&]\S+\s+)*[|>][+-]?\d?[+-]?$/.test(value);
  return block || masked.continues ? { kind: "yaml-value", indent, keys: false } : undefined;
}

function isChpasswdPipe(line: string): boolean {
  return /\|\s*(?:sudo\s+)?(?:\S*\/)?chpasswd\b|<<<.*|chpasswd\s*<<</.test(line) && /\bchpasswd\b/.test(line);
}

/** `root:secret` -> `root:(masked)`, to the end of the line. */
function maskAfterColon(line: string): string {
  const pair = /^(\s*(?:- +)?["']?[^\s:"']{1,80}["']?:)(.*)$/.exec(line);
  return pair === null ? maskWhole(line) : `${pair[1]}${mask}`;
}

/** Every `user:secret` of a line, quoted or not. */
function maskPairs(text: string): string {
  return text
    .replaceAll(/(["'])([^\s:"']{1,80}):(?:(?!\1).){1,1000}\1/g, `$1$2:${mask}$1`)
    .replaceAll(/(?<![\w.-])([\w.-]{1,80}):(?!\(masked\))([^\s,"'\]|]{1,1000})/g, `$1:${mask}`);
}

function maskWhole(line: string): string {
  return `${/^\s*(?:- +)?/.exec(line)?.[0] ?? ""}${mask}`;
}

function indentOf(line: string): string {
  return /^\s*/.exec(line)?.[0] ?? "";
}
