import { Journal } from "../common/journal.ts";
import type { GitlabDeploymentRecord, JobRecord, PipelineRecord } from "./gitlab/records.ts";
import type {
  CommentEditRecord,
  CommentRecord,
  DeploymentRecord,
  DeploymentStatusRecord,
  HookRecord,
  PullRecord,
  ReactionRecord,
  RepositoryRecord,
  StatusRecord,
} from "./records.ts";

type Line =
  | { readonly table: string; readonly row: { readonly id: number } }
  | { readonly table: string; readonly removed: number };

/** Rows to append before the journal is rewritten; small enough that a restart stays quick. */
const COMPACT_AFTER = 20_000;

/** One table of the store. Rows are immutable; ids are never given twice, not even after a removal and a restart. */
export class Table<Row extends { readonly id: number }> {
  readonly #name: string;
  readonly #groupOf: (row: Row) => string;
  readonly #write: (line: Line) => void;
  readonly #rows = new Map<number, Row>();
  readonly #groups = new Map<string, Set<number>>();
  #lastId = 0;

  constructor(name: string, write: (line: Line) => void, groupOf: (row: Row) => string) {
    this.#name = name;
    this.#write = write;
    this.#groupOf = groupOf;
  }

  insert(row: Omit<Row, "id">): Row {
    const full = { ...row, id: this.#lastId + 1 } as Row;
    return this.replace(full);
  }

  replace(row: Row): Row {
    this.#write({ table: this.#name, row });
    this.#load(row);
    return row;
  }

  remove(id: number): void {
    this.#write({ table: this.#name, removed: id });
    this.#unload(id);
  }

  get(id: number): Row | undefined {
    return this.#rows.get(id);
  }

  /** Rows in order of their ids. */
  all(): Row[] {
    return [...this.#rows.values()].sort((a, b) => a.id - b.id);
  }

  /** Rows of one group in order of their ids. */
  group(key: string): Row[] {
    const ids = [...(this.#groups.get(key) ?? [])].sort((a, b) => a - b);
    return ids.flatMap((id) => this.#rows.get(id) ?? []);
  }

  /** Takes in one line of the journal. */
  read(line: Line): void {
    if ("removed" in line) this.#unload(line.removed);
    else this.#load(line.row as Row);
  }

  #load(row: Row): void {
    const key = this.#groupOf(row);
    this.#unload(row.id);
    this.#rows.set(row.id, row);
    const members = this.#groups.get(key) ?? new Set();
    this.#groups.set(key, members.add(row.id));
  }

  #unload(id: number): void {
    const earlier = this.#rows.get(id);
    if (earlier) this.#groups.get(this.#groupOf(earlier))?.delete(id);
    this.#rows.delete(id);
    this.#lastId = Math.max(this.#lastId, id);
  }

  /** The shortest journal with the same content; the tombstone keeps the last id taken. */
  *lines(): Iterable<Line> {
    for (const row of this.all()) yield { table: this.#name, row };
    if (this.#lastId > 0 && !this.#rows.has(this.#lastId)) yield { table: this.#name, removed: this.#lastId };
  }
}

/** Everything the forge knows beyond git itself. A write is in the journal before the call returns. */
export class Store {
  readonly #tables = new Map<string, { read(line: Line): void; lines(): Iterable<Line> }>();
  readonly #journal: Journal<Line>;
  readonly repositories = this.#table<RepositoryRecord>("repositories", () => "");
  readonly pulls = this.#table<PullRecord>("pulls", (row) => `${row.repository}`);
  readonly comments = this.#table<CommentRecord>("comments", (row) => `${row.repository}#${row.number}`);
  readonly commentEdits = this.#table<CommentEditRecord>("commentEdits", (row) => `${row.comment}`);
  readonly reactions = this.#table<ReactionRecord>("reactions", (row) => `${row.comment}`);
  readonly statuses = this.#table<StatusRecord>("statuses", (row) => row.sha);
  readonly pipelines = this.#table<PipelineRecord>("pipelines", (row) => row.sha);
  readonly jobs = this.#table<JobRecord>("jobs", (row) => row.sha);
  readonly gitlabDeployments = this.#table<GitlabDeploymentRecord>("gitlabDeployments", (row) => `${row.repository}`);
  readonly deployments = this.#table<DeploymentRecord>("deployments", (row) => `${row.repository}`);
  readonly deploymentStatuses = this.#table<DeploymentStatusRecord>("deploymentStatuses", (row) => `${row.deployment}`);
  readonly hooks = this.#table<HookRecord>("hooks", (row) => `${row.repository}`);

  constructor(path: string) {
    const { journal, rows } = Journal.open<Line>(path);
    this.#journal = journal;
    for (const line of rows) this.#tables.get(line.table)?.read(line);
  }

  close(): void {
    this.#journal.close();
  }

  #table<Row extends { readonly id: number }>(name: string, groupOf: (row: Row) => string): Table<Row> {
    const table = new Table<Row>(name, (line) => this.#append(line), groupOf);
    this.#tables.set(name, table);
    return table;
  }

  #append(line: Line): void {
    if (this.#journal.appended >= COMPACT_AFTER) this.#journal.compact(this.#lines());
    this.#journal.append(line);
  }

  *#lines(): Iterable<Line> {
    for (const table of this.#tables.values()) yield* table.lines();
  }
}
