/**
 * The lines of a comment that its author says in their own words, and that begin at the left edge: nothing that is
 * quoted, folded away, hidden or shown as code. Where Markdown leaves room for doubt the rest of the comment is left out,
 * because a command that is overlooked is repeated and one that was only quoted is not taken back.
 */
export function spokenLines(body: string): readonly string[] {
  const spoken: string[] = [];
  const reader = createReader();
  for (const line of body.replaceAll("\t", "    ").split(/\r\n|\n|\r/)) {
    const reading = reader.read(line);
    if (reading === "lost") break;
    if (reading === "spoken") spoken.push(line);
  }
  return spoken;
}

/** `lost`: what is code and what is not can no longer be told. */
type Reading = "spoken" | "silent" | "lost";

interface Fence {
  readonly character: string;
  readonly length: number;
  /** Column of what is inside; above 0 in lists, perhaps. */
  readonly column: number;
  /** The closing line's deepest column. */
  readonly closesUntil: number;
}

const openingFence = /^( {0,3}(?:(?:[-*+]|\d{1,9}[.)]) {1,4})*)(`{3,}(?=[^`]*$)|~{3,})/;
const closingFence = /^( *)(`{3,}|~{3,}) *$/;
const quote = /^ {0,3}(?:(?:[-*+]|\d{1,9}[.)]) {1,4})*>/;
/** Elements whose content is quoted, folded, code or not shown. */
const quotingTag = /<(\/?)(details|blockquote|pre|code|samp|script|style|textarea|template|title|svg|math)\b/gi;

function createReader(): { read(line: string): Reading } {
  let fence: Fence | undefined;
  let inComment = false;
  let quoting = 0;
  /** A paragraph goes on until a blank line, in a block quote even on lines without `>`. */
  let afterQuote = false;
  /** Length of the back-tick run that opened a code span in an earlier line of the paragraph. */
  let openSpan = 0;

  function readInFence(line: string, open: Fence): Reading {
    const column = line.length - line.trimStart().length;
    if (line.trim() === "") return "silent";
    if (column < open.column) return "lost";
    const [, , run = ""] = closingFence.exec(line) ?? [];
    if (run.length >= open.length && run[0] === open.character && column <= open.closesUntil) fence = undefined;
    return "silent";
  }

  function readInComment(line: string): Reading {
    const end = line.indexOf("-->");
    if (end === -1) return "silent";
    inComment = false;
    return opensComment(line.slice(end + 3)) ? "lost" : "silent";
  }

  function readTags(line: string): void {
    const code = line.includes("`");
    for (const [, slash] of line.matchAll(quotingTag)) {
      if (slash !== "/") quoting += 1;
      else if (!code) quoting = Math.max(0, quoting - 1);
    }
  }

  function readText(line: string): Reading {
    const silent = afterQuote || quoting > 0 || openSpan > 0 || line.startsWith(" ");
    openSpan = spanAfter(line, openSpan);
    readTags(line);
    return silent ? "silent" : "spoken";
  }

  return {
    read(line) {
      if (fence !== undefined) return readInFence(line, fence);
      if (inComment) return readInComment(line);
      if (line.trim() === "") {
        afterQuote = false;
        openSpan = 0;
        return "silent";
      }
      const opening = openingFence.exec(line);
      if (opening !== null) {
        const [, before = "", run = ""] = opening;
        const marked = before.trim() !== "";
        fence = {
          character: run[0] ?? "`",
          length: run.length,
          column: before.length,
          closesUntil: marked ? before.length + 3 : 3,
        };
        afterQuote = false;
        openSpan = 0;
        return "silent";
      }
      if (quote.test(line)) {
        afterQuote = true;
        openSpan = 0;
        return "silent";
      }
      if (line.startsWith("<!--")) {
        inComment = true;
        openSpan = 0;
        return readInComment(line.slice(4));
      }
      if (opensComment(line)) return "lost";
      return readText(line);
    },
  };
}

/** A comment begins and does not end on the line. */
function opensComment(line: string): boolean {
  return line.lastIndexOf("<!--") > line.lastIndexOf("-->");
}

function spanAfter(line: string, before: number): number {
  let open = before;
  for (const { 0: run } of line.matchAll(/(?<!\\)`+/g)) {
    if (open === 0) open = run.length;
    else if (open === run.length) open = 0;
  }
  return open;
}
