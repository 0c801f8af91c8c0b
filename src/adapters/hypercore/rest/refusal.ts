import type { RawReply } from "./node-connection.ts";
import { parseJsonText } from "./json.ts";
import { members, text } from "./wire.ts";

const longestText = 300;

/** The status and the cluster's own words, which come as `{"error"}`, as plain text, or as HTML that says nothing. */
export function explainRefusal(reply: RawReply): string {
  const words = wordsOf(reply.body);
  return words === "" ? `status ${reply.status}` : `status ${reply.status}: ${words}`;
}

function wordsOf(body: string): string {
  const parsed = parseJsonText(body);
  if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed))
    return shorten(text(members(parsed, "error").error));
  const plain = body.trimStart();
  return plain.startsWith("<") ? "" : shorten(plain);
}

function shorten(words: string): string {
  const line = words.split("\n", 1)[0]?.trim() ?? "";
  return line.length > longestText ? `${line.slice(0, longestText)}...` : line;
}

/** Whether a failure's words speak of a lack of storage or memory, which only a person or a smaller wish can mend. */
export function isFull(words: string): boolean {
  return /no space|not enough|insufficient|out of (disk )?(space|storage|memory)|(storage|disk|tier|cluster)\b.{0,20}\bfull|exceeds? (the )?(available|free)|memory\b.{0,60}\b(free|available)/i.test(
    words,
  );
}

/** Fills `%@` place-holders in order, as HyperCore ships its texts. */
export function fillText(template: string, parameters: readonly string[]): string {
  let next = 0;
  return template.replaceAll("%@", () => parameters[next++] ?? "%@");
}
