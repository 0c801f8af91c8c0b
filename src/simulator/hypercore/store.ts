import { type Change, Journal, readJournal } from "./journal.ts";

/** A journal is read as one string, which must stay far below the engine's limit of 512 MiB. */
const compactAfterBytes = 128 * 2 ** 20;

/** A named map of plain objects that remembers each one's JSON text, so that long lists are answered by joining strings. */
export class Table<T extends object> {
  readonly name: string;
  readonly #values = new Map<string, T>();
  readonly #texts = new Map<string, string>();
  readonly #record: (change: Change) => void;

  constructor(name: string, record: (change: Change) => void) {
    this.name = name;
    this.#record = record;
  }

  get size(): number {
    return this.#values.size;
  }

  get(id: string): T | undefined {
    return this.#values.get(id);
  }

  has(id: string): boolean {
    return this.#values.has(id);
  }

  /** In order of creation. */
  values(): IterableIterator<T> {
    return this.#values.values();
  }

  entries(): IterableIterator<[string, T]> {
    return this.#values.entries();
  }

  put(id: string, value: T): void {
    const json = JSON.stringify(value);
    this.#values.set(id, value);
    this.#texts.set(id, json);
    this.#record({ table: this.name, id, json });
  }

  delete(id: string): void {
    if (!this.#values.delete(id)) return;
    this.#texts.delete(id);
    this.#record({ table: this.name, id, json: null });
  }

  /** A JSON array of everything. */
  listJson(): string {
    return `[${[...this.#texts.values()].join(",")}]`;
  }

  /** A JSON array of one, or of none: how HyperCore answers for a single object. */
  oneJson(id: string): string {
    return `[${this.#texts.get(id) ?? ""}]`;
  }

  /** Takes a value from the journal, which therefore need not be recorded again. */
  restore(id: string, value: T | null): void {
    if (value === null) {
      this.#values.delete(id);
      this.#texts.delete(id);
      return;
    }
    this.#values.set(id, value);
    this.#texts.set(id, JSON.stringify(value));
  }

  *changes(): Iterable<Change> {
    for (const [id, json] of this.#texts) yield { table: this.name, id, json };
  }
}

/** The tables of one cluster and their journal. Changes are collected and written by `flush`, before any answer leaves. */
export class Store {
  readonly #tables = new Map<string, Table<object>>();
  readonly #pending: Change[] = [];
  #journal: Journal | undefined;

  table<T extends object>(name: string): Table<T> {
    const table = new Table<T>(name, (change) => this.#pending.push(change));
    this.#tables.set(name, table);
    return table;
  }

  /** Replays the file into the tables and opens it, compacted. Without a file everything lives in memory. */
  open(file: string | undefined): void {
    if (file === undefined) return;
    for (const [name, id, value] of readJournal(file)) this.#tables.get(name)?.restore(id, value as object | null);
    this.#journal = Journal.open(file);
    this.#journal.compact(this.#everything());
  }

  /** One line for everything changed since the last flush: all of it survives a kill, or none of it. */
  flush(): void {
    if (this.#pending.length === 0) return;
    this.#journal?.append(this.#pending);
    this.#pending.length = 0;
    if (this.#journal !== undefined && this.#journal.grownBytes > compactAfterBytes) {
      this.#journal.compact(this.#everything());
    }
  }

  close(): void {
    this.flush();
    this.#journal?.close();
    this.#journal = undefined;
  }

  *#everything(): Iterable<Change> {
    for (const table of this.#tables.values()) yield* table.changes();
  }
}
