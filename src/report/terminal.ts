import { formatProblem } from "../manifest/problem.ts";
import { formatBytes } from "../manifest/quantity.ts";
import type { Change, Operation, Plan } from "../plan/plan.ts";
import { plural, visible } from "./format.ts";
import { groupBy } from "./group.ts";
import { keptFor } from "./quarantine.ts";
import { describeStages } from "./rollout-text.ts";
import { describeSnapshots } from "./snapshots.ts";
import { countOperations, describeCounts, hasErrors, listNotices, noticeSubject, reboots } from "./summary.ts";
import { displayWidth } from "./table.ts";

export interface PlanTextOptions {
  readonly colour: boolean;
  /** Columns of the terminal; longer values are cut with an ellipsis. No cut when left out. */
  readonly width?: number;
}

type Paint = (style: keyof typeof styles, text: string) => string;

const styles = { bold: "1", dim: "2", red: "31", green: "32", yellow: "33", magenta: "35", cyan: "36" } as const;

const looks = {
  create: { symbol: "  +", style: "green", verb: "will be created" },
  update: { symbol: "  ~", style: "yellow", verb: "will be updated" },
  replace: { symbol: "-/+", style: "red", verb: "will be replaced, its disks are made anew" },
  delete: { symbol: "  -", style: "red", verb: "will be deleted, with its disks" },
  start: { symbol: "  ▶", style: "cyan", verb: "will be started" },
  stop: { symbol: "  ■", style: "magenta", verb: "will be shut down" },
  quarantine: { symbol: "  -", style: "yellow", verb: "will be shut down and put in quarantine, kept" },
  restore: { symbol: "  +", style: "green", verb: "will come back from quarantine, with its disks" },
} as const;

/** A plan to read in a terminal, by cluster and application, ending with one line of counts. */
export function renderPlanText(plan: Plan, options: PlanTextOptions): string {
  const paint: Paint = (style, text) => (options.colour ? `\u001B[${styles[style]}m${text}\u001B[0m` : text);
  const cut = (line: string): string => cutToWidth(line, options.width);
  const sections = [
    ...operationSections(plan, paint, cut),
    noticeSection(plan, paint),
    listSection(
      "Cannot be changed:",
      plan.conflicts.map(({ virdomain, cluster, message }) => `${virdomain} on ${cluster}: ${message}`),
      (text) => paint("red", text),
    ),
    listSection(
      "Room may be short:",
      plan.capacity.map(({ cluster, message }) => `${cluster}: ${message}`),
      (text) => paint("yellow", text),
    ),
    listSection(
      "Held, planned when they come back:",
      plan.held.map(({ cluster, reason }) => `${cluster}: ${reason}`),
      (text) => paint("yellow", text),
    ),
    listSection(
      "Problems:",
      plan.problems.map((problem) => `${problem.severity}: ${formatProblem(problem)}`),
      (text) => paint("red", text),
    ),
    deletionSection(plan, paint),
    describeStages(plan, visible).join("\n"),
    describeSnapshots(plan).join("\n"),
    paint("bold", lastLine(plan)),
  ];
  return sections.filter((section) => section !== "").join("\n\n");
}

function lastLine(plan: Plan): string {
  const counts = countOperations(plan.operations);
  if (plan.operations.length > 0) return `Plan: ${describeCounts(counts, true)}.`;
  if (hasErrors(plan)) return "No changes can be planned for applications with problems.";
  if (plan.conflicts.length > 0) return "No changes besides what cannot be changed.";
  if (plan.held.length > 0) return `No changes besides what waits for ${plural(plan.held.length, "cluster")}.`;
  return plan.offline ? "No changes." : "No changes. Live state is as desired.";
}

function operationSections(plan: Plan, paint: Paint, cut: (line: string) => string): readonly string[] {
  const sections: string[] = [];
  for (const [cluster, onCluster] of groupBy(plan.operations, (operation) => operation.cluster)) {
    const lines = [paint("bold", visible(cluster))];
    for (const [application, own] of groupBy(onCluster, (operation) => operation.application)) {
      lines.push(
        `  ${paint("bold", visible(application))}`,
        ...own.flatMap((operation) => operationLines(operation, paint, cut)),
      );
    }
    sections.push(lines.join("\n"));
  }
  return sections;
}

function operationLines(operation: Operation, paint: Paint, cut: (line: string) => string): readonly string[] {
  const { symbol, style } = looks[operation.kind];
  const verb = operation.kind === "replace" ? replaceVerb(operation) : looks[operation.kind].verb;
  const adopt = operation.adopt ? paint("magenta", " (taken over: it was not managed before)") : "";
  const reboot = reboots(operation) ? ", with a reboot" : "";
  const kept = operation.quarantine === undefined ? "" : ` ${keptFor(operation)}`;
  const pathWidth = Math.max(0, ...operation.changes.map((change) => displayWidth(visible(change.path))));
  return [
    `${paint(style, symbol)} ${paint("bold", visible(operation.virdomain))} ${verb}${kept}${reboot}${adopt}`,
    ...operation.changes.flatMap((change) => changeLines(change, pathWidth, paint, cut)),
    ...diskLines(operation, paint),
  ];
}

function replaceVerb({ quarantine, successor }: Operation): string {
  const how = successor === undefined ? looks.replace.verb : "will be replaced by the VM it was before, with its disks";
  return quarantine === undefined ? how : `${how}; the old one goes into quarantine, kept`;
}

function changeLines(
  change: Change,
  pathWidth: number,
  paint: Paint,
  cut: (line: string) => string,
): readonly string[] {
  const path = visible(change.path);
  const origin = change.origin === "drift" ? ["drift"] : [];
  const lost = change.lostBytes === undefined ? "" : ` of ${formatBytes(change.lostBytes)}`;
  const cost = change.disruption === "live" ? [] : [`${change.disruption}${lost}`];
  const remarks = [...cost, ...origin].join(", ");
  const remark = remarks === "" ? "" : paint(change.disruption === "live" ? "dim" : "yellow", `  # ${remarks}`);
  const text = [change.from, change.to].find((value) => value?.includes("\n"));
  if (text !== undefined) {
    return [
      `        ${path}:${remark}`,
      ...(change.to ?? text).split("\n").map((line) => cut(`          ${visible(line)}`)),
    ];
  }
  const blanks = " ".repeat(Math.max(0, pathWidth - displayWidth(path)));
  return [`${cut(`        ${path}: ${blanks}${values(change)}`)}${remark}`];
}

function values({ from, to }: Change): string {
  if (from === undefined) return shownValue(to);
  return `${shownValue(from)} -> ${shownValue(to)}`;
}

function shownValue(value: string | undefined): string {
  return value === undefined ? "(none)" : value === "" ? '""' : visible(value);
}

function diskLines(operation: Operation, paint: Paint): readonly string[] {
  const going = operation.disks.map((disk) => {
    const line = diskLine(disk);
    if (operation.kind === "create" || operation.kind === "restore") return line;
    if (operation.quarantine !== undefined) return `${line}${paint("yellow", "  # lost when the time is over")}`;
    return `${line}${paint("red", "  # data-loss")}`;
  });
  const coming = operation.successor?.disks.map((disk) => `${diskLine(disk)}${paint("green", "  # comes back")}`) ?? [];
  return [...going, ...coming];
}

function diskLine({ name, capacityBytes }: Operation["disks"][number]): string {
  const size = capacityBytes === undefined ? "as large as its image" : formatBytes(capacityBytes);
  return `        disk ${visible(name)}: ${size}`;
}

function noticeSection(plan: Plan, paint: Paint): string {
  const notices = listNotices(plan).flatMap((notice) => [
    `${noticeSubject(notice, (name) => name)} on ${notice.cluster}: ${notice.message}`,
    ...(notice.detail === undefined ? [] : notice.detail.split("\n").map((line) => `    ${line}`)),
  ]);
  return listSection("Good to know:", notices, (text) => paint("cyan", text));
}

function deletionSection({ deletions }: Plan, paint: Paint): string {
  if (deletions.losing.length === 0 || (deletions.allowed && !deletions.approved)) return "";
  if (deletions.approved)
    return paint("yellow", `The loss of data on ${plural(deletions.losing.length, "VM")} is approved.`);
  const reason =
    deletions.reason ?? `${plural(deletions.losing.length, "VM")} would lose data, the budget is ${deletions.budget}`;
  return paint(
    "red",
    `Nothing will be deleted: ${visible(reason)}.\nTo approve, commit with the trailer  Kraken-Approve: ${deletions.approvalId}`,
  );
}

function listSection(title: string, items: readonly string[], paint: (text: string) => string): string {
  return items.length === 0 ? "" : [paint(title), ...items.map((item) => `  ${visible(item)}`)].join("\n");
}

function cutToWidth(line: string, width: number | undefined): string {
  if (width === undefined || displayWidth(line) <= width) return line;
  let used = 0;
  let result = "";
  for (const character of line) {
    used += displayWidth(character);
    if (used > width - 1) break;
    result += character;
  }
  return `${result}…`;
}
