import type { GivenApproval } from "../plan/given-approval.ts";
import { formatDuration, joinNames, plural, relativeTime, shortRevision } from "./format.ts";
import { renderStatusTable } from "./table.ts";

/** What a line of history needs; the state store's entries fit. */
export interface HistoryLine {
  readonly revision: string;
  readonly author: string;
  readonly subject: string;
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly verdict: { readonly state: string; readonly description: string };
  readonly returnsTo: string | undefined;
  readonly approval?: GivenApproval;
  readonly applications: readonly string[];
  readonly operations: readonly {
    readonly cluster: string;
    readonly virdomain: string;
    readonly outcome: string;
    readonly snapshot?: string;
  }[];
  readonly notStarted?: readonly string[];
}

const maxSubject = 48;
const maxSnapshots = 20;

/** The syncs of a repository as a table, in the order given; below it who approved losses, and the snapshots they took. */
export function renderHistory(entries: readonly HistoryLine[], nowMs: number): string {
  if (entries.length === 0) return "No syncs yet.";
  return [renderSyncs(entries, nowMs), ...renderApprovals(entries, nowMs), ...renderSnapshots(entries)].join("\n\n");
}

function renderSyncs(entries: readonly HistoryLine[], nowMs: number): string {
  return renderStatusTable(
    [
      { title: "COMMIT" },
      { title: "WHEN" },
      { title: "RESULT" },
      { title: "TOOK", align: "right" },
      { title: "OPERATIONS", align: "right" },
      { title: "APPLICATIONS" },
      { title: "AUTHOR" },
      { title: "SUBJECT" },
    ],
    entries.map((entry) => [
      shortRevision(entry.revision),
      relativeTime(entry.finishedAtMs, nowMs),
      entry.verdict.state,
      formatDuration(entry.finishedAtMs - entry.startedAtMs),
      describeOutcomes(entry),
      joinNames(entry.applications, 3) || "-",
      entry.author,
      `${entry.subject.length > maxSubject ? `${entry.subject.slice(0, maxSubject - 1)}…` : entry.subject}${entry.returnsTo === undefined ? "" : ` (returns to ${shortRevision(entry.returnsTo)})`}`,
    ]),
  );
}

/** `9`, `9 (1 failed)`, `9 (1 failed, 7 clusters not started)`. */
function describeOutcomes({ operations, notStarted = [] }: HistoryLine): string {
  const failed = operations.filter(({ outcome }) => outcome === "failed").length;
  const remarks = [
    ...(failed === 0 ? [] : [plural(failed, "failed", "failed")]),
    ...(notStarted.length === 0 ? [] : [`${plural(notStarted.length, "cluster")} not started`]),
  ];
  return remarks.length === 0 ? String(operations.length) : `${operations.length} (${remarks.join(", ")})`;
}

function renderApprovals(entries: readonly HistoryLine[], nowMs: number): readonly string[] {
  const rows = entries.flatMap(({ revision, approval }) =>
    approval === undefined
      ? []
      : [[shortRevision(revision), approval.by, approval.place, relativeTime(approval.atMs, nowMs)]],
  );
  if (rows.length === 0) return [];
  return [
    renderStatusTable([{ title: "COMMIT" }, { title: "LOSSES APPROVED BY" }, { title: "IN" }, { title: "WHEN" }], rows),
  ];
}

function renderSnapshots(entries: readonly HistoryLine[]): readonly string[] {
  const rows = entries.flatMap((entry) =>
    entry.operations.flatMap(({ virdomain, cluster, snapshot }) =>
      snapshot === undefined ? [] : [[shortRevision(entry.revision), `${virdomain} on ${cluster}`, snapshot]],
    ),
  );
  if (rows.length === 0) return [];
  const table = renderStatusTable(
    [{ title: "COMMIT" }, { title: "SNAPSHOT TAKEN BEFORE, OF" }, { title: "ID" }],
    rows.slice(0, maxSnapshots),
  );
  const rest = rows.length - maxSnapshots;
  return [rest > 0 ? `${table}\n… and ${rest} more, see --json` : table];
}
