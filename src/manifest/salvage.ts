/** What could be read of a document that cannot be used. */
export interface BrokenDocument {
  /** The type as written, or undefined when there was none to read. */
  readonly type: string | undefined;
  readonly name: string | undefined;
  /** For a Deployment: the applications it names; undefined when they could not be read. */
  readonly applications: readonly string[] | undefined;
}

/**
 * Names from a text whose YAML is broken, line by line and without understanding it: enough to know whose manifests
 * these are, so that nothing of theirs is changed or deleted.
 */
export function salvageDocuments(text: string): readonly BrokenDocument[] {
  const chunks: string[][] = [[]];
  for (const line of text.split("\n")) {
    // A line no person wrote tells nothing, and patterns are run on every line.
    if (line.length > 2000) continue;
    if (/^---(\s|$)/.test(line)) chunks.push([]);
    else if (!/^\s*(#|$)/.test(line)) chunks.at(-1)?.push(line);
  }
  return chunks.filter((lines) => lines.length > 0).map(salvageChunk);
}

function salvageChunk(lines: readonly string[]): BrokenDocument {
  const type = lines.map((line) => /^type:\s*(.*)$/.exec(line)?.[1]).find((found) => found !== undefined);
  return {
    type: type === undefined ? undefined : plainText(type),
    name: memberOf(lines, "metadata", "name"),
    applications: listOf(lines, "applications"),
  };
}

/** `name: x` below `metadata:`, or inside `metadata: { name: x }`. */
function memberOf(lines: readonly string[], parent: string, key: string): string | undefined {
  const start = lines.findIndex((line) => line.startsWith(`${parent}:`));
  if (start < 0) return undefined;
  const inline = new RegExp(`[{,]\\s*${key}:\\s*("[^"]*"|'[^']*'|[^,}]+)`).exec(lines[start] ?? "")?.[1];
  if (inline !== undefined) return plainText(inline);
  const wanted = new RegExp(`^\\s+${key}:\\s*(.+)$`);
  for (const line of lines.slice(start + 1)) {
    if (!/^\s/.test(line)) return undefined;
    const found = wanted.exec(line)?.[1];
    if (found !== undefined) return plainText(found);
  }
  return undefined;
}

function listOf(lines: readonly string[], key: string): readonly string[] | undefined {
  const wanted = new RegExp(`^\\s+${key}:`);
  const start = lines.findIndex((line) => wanted.test(line));
  if (start < 0) return undefined;
  const inline = /\[(.*)\]/.exec(lines[start] ?? "")?.[1];
  if (inline !== undefined) return inline.split(",").flatMap((item) => plainText(item) ?? []);
  const items: string[] = [];
  for (const line of lines.slice(start + 1)) {
    const item = /^\s*-\s+(.+)$/.exec(line)?.[1];
    if (item === undefined) break;
    items.push(...[plainText(item) ?? []].flat());
  }
  return items.length === 0 ? undefined : items;
}

function plainText(raw: string): string | undefined {
  const quoted = /^\s*(?:"([^"]*)"|'([^']*)')/.exec(raw);
  const text = (quoted === null ? raw.replace(/\s#.*$/, "") : (quoted[1] ?? quoted[2] ?? "")).trim();
  return text === "" || text.length > 200 ? undefined : text;
}
