import { closeSync, existsSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from "node:fs";

/** One changed object: table, id, and its JSON text (`null` when it was deleted). */
export interface Change {
  readonly table: string;
  readonly id: string;
  readonly json: string | null;
}

/**
 * An append-only file with one line per transaction. A line is handed to the kernel before the caller is answered, which
 * is what surviving SIGKILL takes; surviving a power cut would take fsync, and a double has no such duty.
 */
export class Journal {
  readonly #file: string;
  #descriptor: number;
  #grownBytes = 0;

  private constructor(file: string, descriptor: number) {
    this.#file = file;
    this.#descriptor = descriptor;
  }

  /** Opens for appending; the file is made when it is missing. */
  static open(file: string): Journal {
    return new Journal(file, openSync(file, "a", 0o600));
  }

  /** Bytes appended since the file was last compacted. */
  get grownBytes(): number {
    return this.#grownBytes;
  }

  append(changes: readonly Change[]): void {
    const bytes = Buffer.from(`${encode(changes)}\n`);
    this.#grownBytes += bytes.length;
    let written = 0;
    while (written < bytes.length) written += writeSync(this.#descriptor, bytes, written);
  }

  /** Replaces the file by one that holds only what is true now. A kill leaves either the old file or the new one. */
  compact(everything: Iterable<Change>): void {
    const lines: string[] = [];
    for (const change of everything) lines.push(encode([change]));
    const next = `${this.#file}.next`;
    writeFileSync(next, lines.map((line) => `${line}\n`).join(""), { mode: 0o600 });
    closeSync(this.#descriptor);
    renameSync(next, this.#file);
    this.#descriptor = openSync(this.#file, "a", 0o600);
    this.#grownBytes = 0;
  }

  close(): void {
    closeSync(this.#descriptor);
  }
}

/** Every change the file holds, oldest first. A torn last line belongs to a call that was never answered: dropped. */
export function readJournal(file: string): readonly (readonly [table: string, id: string, value: unknown])[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, "utf8").split("\n");
  const complete = lines.slice(0, -1).filter((line) => line !== "");
  return complete.flatMap((line) => JSON.parse(line) as [string, string, unknown][]);
}

function encode(changes: readonly Change[]): string {
  const entries = changes.map(
    ({ table, id, json }) => `[${JSON.stringify(table)},${JSON.stringify(id)},${json ?? "null"}]`,
  );
  return `[${entries.join(",")}]`;
}
