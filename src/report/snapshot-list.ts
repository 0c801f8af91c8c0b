import { formatTime, relativeTime, shortRevision } from "./format.ts";
import { renderStatusTable } from "./table.ts";

/** What a line needs; the app's list fits. */
export interface SnapshotLine {
  readonly id: string;
  readonly label: string;
  readonly takenAtMs: number;
  readonly expiresAtMs: number | undefined;
  readonly member: { readonly name: string };
}

/** Snapshots of a VM as a table, the newest first. */
export function renderSnapshots(name: string, lines: readonly SnapshotLine[], nowMs: number): string {
  if (lines.length === 0) return `No snapshots of ${name}.`;
  return renderStatusTable(
    [
      { title: "ID" },
      { title: "TAKEN" },
      { title: "BEFORE" },
      { title: "COMMIT" },
      { title: "KEPT UNTIL" },
      { title: "OF" },
    ],
    lines.map(({ id, label, takenAtMs, expiresAtMs, member }) => {
      const { commit, occasion } = readLabel(label);
      return [
        id,
        `${formatTime(takenAtMs)} (${relativeTime(takenAtMs, nowMs)})`,
        occasion,
        commit === undefined ? "-" : shortRevision(commit),
        expiresAtMs === undefined ? "removed" : formatTime(expiresAtMs),
        member.name,
      ];
    }),
  );
}

/** Labels are `<commit> before <occasion> <token>`. */
export function readLabel(label: string): { readonly commit: string | undefined; readonly occasion: string } {
  const match = /^([0-9a-f]{7,40}) before ([a-z-]+) \S+$/.exec(label);
  return { commit: match?.[1], occasion: match?.[2] ?? label };
}
