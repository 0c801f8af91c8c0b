import { formatBytes } from "../manifest/quantity.ts";
import { formatTime, relativeTime, shortRevision } from "./format.ts";
import { renderStatusTable } from "./table.ts";

/** What a line needs; the app's list fits. */
export interface QuarantineLine {
  readonly cluster: string;
  readonly virdomain: string;
  readonly name: string;
  readonly identity: string;
  readonly power: string;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly revision: string;
  readonly bytes: number;
}

/** VMs in quarantine as a table. One that runs is not deleted while it does, and one that has its name is on its way. */
export function renderQuarantine(lines: readonly QuarantineLine[], nowMs: number): string {
  if (lines.length === 0) return "Nothing is in quarantine.";
  return renderStatusTable(
    [
      { title: "CLUSTER" },
      { title: "VM" },
      { title: "OF" },
      { title: "SINCE" },
      { title: "KEPT UNTIL" },
      { title: "COMMIT" },
      { title: "DISKS", align: "right" },
      { title: "STATE" },
    ],
    lines.map(({ cluster, virdomain, name, identity, power, sinceMs, untilMs, revision, bytes }) => [
      cluster,
      name,
      identity,
      formatTime(sinceMs),
      `${formatTime(untilMs)} (${relativeTime(untilMs, nowMs)})`,
      shortRevision(revision),
      formatBytes(bytes),
      virdomain === name ? "on its way" : power,
    ]),
  );
}
