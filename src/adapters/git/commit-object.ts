import type { Commit } from "../../ports/git-source.ts";

/**
 * Reads a commit object as git stores it: header lines, a blank line, the message. Bytes that are not valid in the
 * declared encoding become U+FFFD; a commit is never refused for its text.
 */
export function parseCommit(revision: string, bytes: Uint8Array): Commit {
  const raw = Buffer.from(bytes);
  const end = raw.indexOf("\n\n");
  const head = (end < 0 ? raw : raw.subarray(0, end)).toString("latin1");
  const encoding = /^encoding (.+)$/m.exec(head)?.[1] ?? "utf-8";
  const text = decode(raw, encoding);
  const message = end < 0 ? "" : text.slice(text.indexOf("\n\n") + 2).trimEnd();
  const headers = end < 0 ? text : text.slice(0, text.indexOf("\n\n"));
  return {
    revision,
    parents: [...head.matchAll(/^parent ([0-9a-f]+)$/gm)].map((match) => match[1] ?? ""),
    author: person(/^author (.*)$/m.exec(headers)?.[1] ?? ""),
    committedAtMs: seconds(/^committer .*?(-?\d+) [+-]\d+$/m.exec(head)?.[1]) * 1_000,
    subject: (message.trimStart().split("\n", 1)[0] ?? "").trim(),
    message,
  };
}

function decode(bytes: Uint8Array, encoding: string): string {
  try {
    return new TextDecoder(encoding).decode(bytes);
  } catch {
    return new TextDecoder("utf-8").decode(bytes); // an encoding nobody knows
  }
}

/** The author's name; the address only where there is no name. */
function person(line: string): string {
  const [, name, address] = /^(.*?)\s*<([^>]*)>/.exec(line) ?? [];
  return name === undefined || name === "" ? (address ?? line) : name;
}

function seconds(text: string | undefined): number {
  const value = Number(text ?? 0);
  return Number.isSafeInteger(value * 1_000) ? value : 0;
}
