import type { Position } from "./problem.ts";

/** A file's text with the means to turn an offset into a line and column. Line ends are `\n`. */
export interface SourceText {
  readonly file: string;
  readonly text: string;
  positionAt(offset: number): Position;
}

export interface SourceProblem {
  readonly code: "file-too-large" | "file-not-text" | "file-not-utf8";
  readonly message: string;
  readonly hint: string;
  readonly offset: number;
}

/** `source` is always there when the file is small enough: a text that must not be applied is still searched for names. */
export interface DecodedFile {
  readonly source: SourceText | undefined;
  readonly problem: SourceProblem | undefined;
}

/** Text from bytes: size first, then encoding, then content. A byte order mark is dropped, CRLF becomes LF. */
export function decodeFile(file: string, bytes: Uint8Array | string, maxBytes: number): DecodedFile {
  if (bytes.length > maxBytes) {
    const message = `the file has ${bytes.length} bytes; at most ${maxBytes} are read`;
    return {
      source: undefined,
      problem: { code: "file-too-large", message, hint: "split it into several files", offset: 0 },
    };
  }
  if (typeof bytes === "string") return checkText(file, bytes);
  const wide = wideEncoding(bytes);
  if (wide !== undefined) {
    const source = sourceText(file, new TextDecoder(wide).decode(bytes));
    return {
      source,
      problem: {
        code: "file-not-utf8",
        message: `the file is ${wide.toUpperCase()}`,
        hint: "save it as UTF-8",
        offset: 0,
      },
    };
  }
  try {
    return checkText(file, new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch {
    const source = sourceText(file, new TextDecoder("utf-8").decode(bytes));
    const offset = Math.max(0, source.text.indexOf("\uFFFD"));
    return {
      source,
      problem: { code: "file-not-utf8", message: "the file is not valid UTF-8", hint: "save it as UTF-8", offset },
    };
  }
}

/** UTF-16 by its byte order mark, or by the zero bytes ASCII leaves in it. */
function wideEncoding(bytes: Uint8Array): "utf-16le" | "utf-16be" | undefined {
  const [first = -1, second = -1] = bytes;
  if (first === 0xff && second === 0xfe) return "utf-16le";
  if (first === 0xfe && second === 0xff) return "utf-16be";
  if (first > 0 && second === 0 && bytes[3] === 0) return "utf-16le";
  if (first === 0 && second > 0 && bytes[2] === 0) return "utf-16be";
  return undefined;
}

// YAML 1.2 section 5.1: these may not stand in a YAML stream. Built from numbers, as such a pattern cannot be read.
const forbidden = new RegExp(`[${range(0x00, 0x08)}${range(0x0b, 0x0c)}${range(0x0e, 0x1f)}${range(0x7f, 0x7f)}]`);

function range(from: number, to: number): string {
  return `${String.fromCodePoint(from)}-${String.fromCodePoint(to)}`;
}

function checkText(file: string, text: string): DecodedFile {
  const source = sourceText(file, text);
  const offset = source.text.search(forbidden);
  if (offset < 0) return { source, problem: undefined };
  const character = (source.text.codePointAt(offset) ?? 0).toString(16).padStart(4, "0").toUpperCase();
  const message = `the file holds the control character U+${character}`;
  return { source, problem: { code: "file-not-text", message, hint: "is this a binary file?", offset } };
}

/** True when a text holds characters no name or tag may hold. */
export function holdsControlCharacter(text: string): boolean {
  return forbidden.test(text) || /[\t\n\r\u0085\u2028\u2029]/.test(text);
}

function sourceText(file: string, raw: string): SourceText {
  const text = normaliseText(raw);
  let lineStarts: readonly number[] | undefined;
  return {
    file,
    text,
    positionAt(offset) {
      lineStarts ??= findLineStarts(text);
      const line = lastAtOrBefore(lineStarts, offset);
      return { file, line: line + 1, column: offset - (lineStarts[line] ?? 0) + 1 };
    },
  };
}

function normaliseText(raw: string): string {
  const text = raw.startsWith("\uFEFF") ? raw.slice(1) : raw;
  return text.includes("\r") ? text.replaceAll(/\r\n?/g, "\n") : text;
}

function findLineStarts(text: string): readonly number[] {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  return starts;
}

function lastAtOrBefore(sorted: readonly number[], wanted: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((sorted[middle] ?? 0) <= wanted) low = middle;
    else high = middle - 1;
  }
  return low;
}
