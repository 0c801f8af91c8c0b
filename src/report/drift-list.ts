import { formatTime, plural, relativeTime } from "./format.ts";
import { renderStatusTable } from "./table.ts";

/** What a line needs; the app's list fits. */
export interface DriftLines {
  readonly drifted: readonly {
    readonly cluster: string;
    readonly virdomain: string;
    readonly application: string;
    readonly id: string | undefined;
    readonly policy: "correct" | "report";
    readonly fields: readonly {
      readonly path: string;
      readonly git: string | undefined;
      readonly live: string | undefined;
    }[];
    readonly corrections: number;
    readonly gaveUpAtMs: number | undefined;
  }[];
  readonly unmanaged: readonly {
    readonly cluster: string;
    readonly virdomain: string;
    readonly power: string;
    readonly why: string;
  }[];
  readonly quarantined: readonly {
    readonly cluster: string;
    readonly name: string;
    readonly identity: string;
    readonly untilMs: number;
  }[];
  readonly syncing: readonly string[];
}

/** How clusters differ from what was applied to them, what nobody manages there, and what is in quarantine. */
export function renderDrift(list: DriftLines, nowMs: number): string {
  const parts = [
    ...list.syncing.map((name) => `${name} is being synced: what that is about to change is left out.`),
    list.drifted.length === 0 ? "No drift." : renderDrifted(list.drifted, nowMs),
    ...(list.unmanaged.length === 0 ? [] : [renderUnmanaged(list.unmanaged)]),
    ...(list.quarantined.length === 0 ? [] : [renderQuarantined(list.quarantined, nowMs)]),
  ];
  return parts.join("\n\n");
}

function renderDrifted(drifted: DriftLines["drifted"], nowMs: number): string {
  const rows = drifted.flatMap((drift) => {
    const { cluster, virdomain, application } = drift;
    const state = describeState(drift, nowMs);
    if (drift.id === undefined) return [[cluster, virdomain, application, "the VM", "there", "gone", state]];
    return drift.fields.map(({ path, git, live }, index) => [
      ...(index === 0 ? [cluster, virdomain, application] : ["", "", ""]),
      path,
      git ?? "none",
      live ?? "none",
      index === 0 ? state : "",
    ]);
  });
  const titles = ["CLUSTER", "VM", "APPLICATION", "FIELD", "GIT", "LIVE", "STATE"];
  return renderStatusTable(
    titles.map((title) => ({ title })),
    rows,
  );
}

/** A VM that is gone is made again under any policy. */
function describeState({ id, policy, corrections, gaveUpAtMs }: DriftLines["drifted"][number], nowMs: number): string {
  if (gaveUpAtMs !== undefined)
    return `given up ${relativeTime(gaveUpAtMs, nowMs)}, after ${plural(corrections, "correction")}`;
  if (policy === "report" && id !== undefined) return "left as it is by policy";
  return corrections === 0 ? "to be put right" : `put right ${plural(corrections, "time")} so far`;
}

function renderUnmanaged(unmanaged: DriftLines["unmanaged"]): string {
  const table = renderStatusTable(
    ["CLUSTER", "VM", "STATE", "WHY"].map((title) => ({ title })),
    unmanaged.map(({ cluster, virdomain, power, why }) => [cluster, virdomain, power, why]),
  );
  return `Not managed, and never touched:\n${table}`;
}

function renderQuarantined(quarantined: DriftLines["quarantined"], nowMs: number): string {
  const table = renderStatusTable(
    ["CLUSTER", "VM", "OF", "KEPT UNTIL"].map((title) => ({ title })),
    quarantined.map(({ cluster, name, identity, untilMs }) => [
      cluster,
      name,
      identity,
      `${formatTime(untilMs)} (${relativeTime(untilMs, nowMs)})`,
    ]),
  );
  return `In quarantine:\n${table}`;
}
