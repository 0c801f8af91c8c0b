import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  truncateSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";

/**
 * An append-only file of JSON lines. A row is in the kernel's hands before `append` returns, so a process that answers
 * after `append` loses nothing to SIGKILL. It does not protect from a power cut: rows are not synced one by one.
 */
export class Journal<Row> {
  readonly #path: string;
  /** Undefined once closed: the number may by then belong to another file. */
  #descriptor: number | undefined;
  #appended = 0;

  private constructor(path: string) {
    this.#path = path;
    this.#descriptor = openSync(path, "a");
  }

  /** Opens or creates a journal and reads what is in it. A torn last line (killed in mid-write) is cut off. */
  static open<Row>(path: string): { readonly journal: Journal<Row>; readonly rows: readonly Row[] } {
    mkdirSync(dirname(path), { recursive: true });
    const rows = existsSync(path) ? readRows<Row>(path) : [];
    return { journal: new Journal<Row>(path), rows };
  }

  /** Rows appended since the journal was opened or last compacted: the owner's hint for when to compact. */
  get appended(): number {
    return this.#appended;
  }

  append(row: Row): void {
    if (this.#descriptor === undefined) throw new Error("the journal is closed");
    writeAll(this.#descriptor, `${JSON.stringify(row)}\n`);
    this.#appended += 1;
  }

  /** Replaces everything written so far by these rows, in one rename. */
  compact(rows: Iterable<Row>): void {
    const fresh = `${this.#path}.new`;
    const descriptor = openSync(fresh, "w");
    try {
      for (const row of rows) writeAll(descriptor, `${JSON.stringify(row)}\n`);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(fresh, this.#path);
    this.close();
    this.#descriptor = openSync(this.#path, "a");
    this.#appended = 0;
  }

  close(): void {
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

function readRows<Row>(path: string): Row[] {
  const bytes = readFileSync(path);
  const end = bytes.lastIndexOf(0x0a) + 1;
  if (end < bytes.length) truncateSync(path, end);
  const lines = bytes.subarray(0, end).toString("utf8").split("\n").slice(0, -1);
  return lines.map((line) => JSON.parse(line) as Row);
}

/** A write may be cut short by a signal; a row is only written when all of it is. */
function writeAll(descriptor: number, text: string): void {
  const bytes = Buffer.from(text, "utf8");
  let written = 0;
  while (written < bytes.length) written += writeSync(descriptor, bytes, written);
}
