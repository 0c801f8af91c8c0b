import { compareLines, diffLines, splitLines } from "./line-diff.ts";
import { mask } from "./mask-inline.ts";
import { maskLines } from "./mask-lines.ts";

export { diffLines } from "./line-diff.ts";

const changedMask = "(masked, changed)";

/**
 * A text for people with its secrets replaced by `(masked)`: values of keys that sound secret (YAML, JSON, environment,
 * command line), private keys, `chpasswd` lists, password hashes, tokens known by their look, credentials in URLs, SQL
 * and PowerShell passwords. Lines stay lines. Errs on the side of masking too much; what is encoded (base64) is not seen.
 */
export function maskSecrets(text: string): string {
  return joinLike(text, maskLines(splitLines(text)));
}

/**
 * Both sides of a comparison masked. A line that differs only in its secret reads `(masked, changed)` afterwards, so
 * that two different texts never look equal.
 */
export function maskPair(before: string, after: string): { readonly before: string; readonly after: string } {
  const old = maskedLines(before);
  const now = maskedLines(after);
  const edits = compareLines(
    old.map((line) => line.raw),
    now.map((line) => line.raw),
  );
  const removed = new Set<string>();
  const added = new Set<number>();
  let oldIndex = 0;
  let nowIndex = 0;
  for (const edit of edits) {
    if (edit.kind === "removed") removed.add(old[oldIndex]?.masked ?? "");
    if (edit.kind === "added") added.add(nowIndex);
    if (edit.kind !== "added") oldIndex += 1;
    if (edit.kind !== "removed") nowIndex += 1;
  }
  const marked = now.map((line, index) =>
    added.has(index) && removed.has(line.masked) ? line.masked.replaceAll(mask, changedMask) : line.masked,
  );
  return {
    before: joinLike(
      before,
      old.map((line) => line.masked),
    ),
    after: joinLike(after, marked),
  };
}

/** What people see of a changed guest text: a line difference with masked secrets, "" when nothing changed. */
export function maskedDifference(before: string, after: string): string {
  const pair = maskPair(before, after);
  return diffLines(pair.before, pair.after);
}

function maskedLines(text: string): readonly { readonly raw: string; readonly masked: string }[] {
  const raw = splitLines(text);
  const masked = maskLines(raw);
  return raw.map((line, index) => ({ raw: line, masked: masked[index] ?? mask }));
}

function joinLike(text: string, lines: readonly string[]): string {
  return lines.join("\n") + (/[\r\n]$/.test(text) ? "\n" : "");
}
