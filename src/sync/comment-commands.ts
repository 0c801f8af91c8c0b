import { parseDuration } from "../manifest/quantity.ts";
import { clip } from "../report/format.ts";
import { spokenLines } from "./comment-lines.ts";

/** What somebody asks for in a comment on a pull request. */
export type Command =
  | { readonly kind: "plan" }
  /** `id`: the plan or approval id, where one was named. */
  | { readonly kind: "approve"; readonly id: string | undefined }
  | { readonly kind: "pause"; readonly forMs: number | undefined; readonly reason: string }
  | { readonly kind: "resume" }
  | { readonly kind: "help" }
  /** Not understood. */
  | { readonly kind: "unknown"; readonly text: string };

/** Every comment of ours begins so. */
export const ownMarker = "<!-- kraken-gitops:";

const maxCommands = 10;
const maxTextChars = 200;

/**
 * Commands in a comment, in their order, each once. They stand at the beginning of a line and in the author's own words;
 * nothing counts that is quoted, in code, folded away or hidden, and nothing in comments of our own.
 */
export function readCommands(comment: { readonly body: string; readonly own: boolean }): readonly Command[] {
  if (comment.own || comment.body.trimStart().startsWith(ownMarker)) return [];
  const found = new Map<string, Command>();
  for (const line of spokenLines(comment.body)) {
    const [whole, rest = ""] = /^\/kraken(?: +(.*))?$/i.exec(line.trimEnd()) ?? [];
    if (whole === undefined) continue;
    const command = parseCommand(rest.trim());
    found.set(JSON.stringify(command), command);
    if (found.size === maxCommands) break;
  }
  return [...found.values()];
}

function parseCommand(text: string): Command {
  const [word = "", ...words] = text.split(/ +/);
  switch (word.toLowerCase()) {
    case "":
    case "help":
      return { kind: "help" };
    case "plan":
      return words.length === 0 ? { kind: "plan" } : unknown(text);
    case "resume":
      return words.length === 0 ? { kind: "resume" } : unknown(text);
    case "approve":
      return words.length > 1 ? unknown(text) : { kind: "approve", id: words[0]?.replaceAll("`", "").toLowerCase() };
    case "pause":
      return parsePause(text, words);
    default:
      return unknown(text);
  }
}

/** `for 2h`, `for 1h30m`; a time that cannot be read is better asked for again than taken for a reason. */
function parsePause(text: string, words: readonly string[]): Command {
  const [first = "", time = ""] = words;
  if (first.toLowerCase() !== "for" || !/^\d/.test(time))
    return { kind: "pause", forMs: undefined, reason: clip(words.join(" "), maxTextChars) };
  const forMs = parseDuration(time.toLowerCase());
  if (typeof forMs !== "number" || forMs === 0) return unknown(text);
  return { kind: "pause", forMs, reason: clip(words.slice(2).join(" "), maxTextChars) };
}

function unknown(text: string): Command {
  return { kind: "unknown", text: clip(text, maxTextChars) };
}
