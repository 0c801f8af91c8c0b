import { formatBytes } from "../manifest/quantity.ts";
import type { GivenApproval } from "../plan/given-approval.ts";
import type { Change, Operation, Plan } from "../plan/plan.ts";
import { emptySection, fitBullets, type Section } from "./cut.ts";
import { code, details, htmlText, sentence } from "./escape.ts";
import { formatTime, plural, shortRevision } from "./format.ts";
import { groupBy, groupOperations } from "./group.ts";
import { clusterList, diskList } from "./names.ts";
import { keptFor, keptUntil } from "./quarantine.ts";
import { changesOf, listNotices, noticeSubject, reboots } from "./summary.ts";

/** Something a reviewer must see before merging. `items` are Markdown, one line each. */
interface Alarm {
  readonly level: "CAUTION" | "WARNING" | "IMPORTANT" | "NOTE";
  readonly title: string;
  readonly items: readonly string[];
}

/** Bullets shown before the rest of an alarm is folded. */
const openItems = 8;

/** The alarms of a plan, worst first, in at most `budget` characters. `nowMs` is when the plan would be carried out. */
export function renderAlarms(plan: Plan, budget: number, nowMs: number, words: ApprovalWords = {}): Section {
  let left = budget;
  let omitted = 0;
  const texts: string[] = [];
  for (const alarm of listAlarms(plan, nowMs, words)) {
    const section = renderAlarm(alarm, left);
    texts.push(section.text);
    omitted += section.omitted;
    left -= section.text.length + 2;
  }
  return texts.length === 0 ? emptySection : { text: texts.join("\n\n"), omitted };
}

/** Whether a plan holds anything that deserves a warning sign. */
export function hasAlarms(plan: Plan): boolean {
  return listAlarms(plan, 0).some((alarm) => alarm.level === "CAUTION" || alarm.level === "WARNING");
}

function listAlarms(plan: Plan, nowMs: number, words: ApprovalWords = {}): readonly Alarm[] {
  return [
    ...deletionRules(plan, nowMs, words),
    ...deletes(plan),
    ...replacements(plan),
    ...dataLoss(plan),
    ...keptReplacements(plan, nowMs),
    ...quarantines(plan, nowMs),
    ...conflicts(plan),
    ...capacityAlarm(plan),
    ...rebootAlarm(plan),
    ...driftAlarm(plan),
    ...returns(plan),
    ...noticeAlarm(plan),
  ];
}

/** Who approved the losses of this plan; or those of an earlier one, which no longer holds. */
export interface ApprovalWords {
  readonly approval?: GivenApproval | undefined;
  readonly lapsedApproval?: GivenApproval | undefined;
}

function deletionRules(
  { deletions, operations, offline }: Plan,
  nowMs: number,
  { approval, lapsedApproval }: ApprovalWords,
): readonly Alarm[] {
  if (deletions.losing.length === 0) return [];
  const losing = plural(deletions.losing.length, "VM");
  if (deletions.approved) {
    const items = [...approvedBy(approval), ...staying(operations, nowMs)];
    return [{ level: "IMPORTANT", title: `The loss of data on ${losing} is approved`, items }];
  }
  const lapsed = noLongerHolds(lapsedApproval);
  if (deletions.allowed)
    return lapsed.length === 0 ? [] : [{ level: "NOTE", title: "An earlier approval no longer holds", items: lapsed }];
  const reason = deletions.reason ?? `${losing} would lose data, the budget is ${deletions.budget}`;
  return [
    {
      level: "CAUTION",
      title: "Nothing will be deleted without an approval",
      items: [
        sentence(reason),
        ...lapsed,
        ...staying(operations, nowMs),
        offline
          ? `What exactly would be lost is known once this is planned with the clusters: somebody with write access comments ${code("/kraken plan")}`
          : `To approve exactly these losses, somebody with write access comments ${code(`/kraken approve ${deletions.approvalId}`)}, or the message of the merge commit gets the trailer ${code(`Kraken-Approve: ${deletions.approvalId}`)}`,
      ],
    },
  ];
}

function approvedBy(approval: GivenApproval | undefined): readonly string[] {
  return approval === undefined ? [] : [`By ${code(approval.by)} on ${formatTime(approval.atMs)}${planOf(approval)}`];
}

function noLongerHolds(approval: GivenApproval | undefined): readonly string[] {
  if (approval === undefined) return [];
  const when = `on ${formatTime(approval.atMs)}`;
  return [
    `The approval${planOf(approval)} by ${code(approval.by)} ${when} no longer holds: what would be lost is not what it was then`,
  ];
}

function planOf({ planId }: GivenApproval): string {
  return planId === undefined ? "" : ` of plan ${code(planId.slice(0, 12))}`;
}

/** What counts as lost stays for a while when it goes into quarantine. */
function staying(operations: readonly Operation[], nowMs: number): readonly string[] {
  const kept = operations.filter(({ quarantine }) => quarantine !== undefined);
  const [first] = kept.map((operation) => keptUntil(operation, nowMs)).sort();
  if (first === undefined) return [];
  const subject = kept.length === 1 ? "1 of them goes" : `${kept.length} of them go`;
  return [
    `${subject} into quarantine: the data stays until ${first} at least, and a revert before then brings it back`,
  ];
}

function quarantines(plan: Plan, nowMs: number): readonly Alarm[] {
  const operations = plan.operations.filter((operation) => operation.kind === "quarantine");
  const items = groupItems(
    operations,
    (operation) =>
      `disks ${diskList(operation.disks)}, kept ${keptFor(operation)}${operation.quarantine?.untilMs === undefined ? ` (until ${keptUntil(operation, nowMs)} if it were done now)` : ""}`,
  );
  const pronoun = operations.length === 1 ? "its" : "their";
  const title = `${plural(operations.length, "VM")} will go into quarantine: shut down and renamed, deleted with everything on ${pronoun} disks when the time is over`;
  return operations.length === 0 ? [] : [{ level: "WARNING", title, items }];
}

function returns(plan: Plan): readonly Alarm[] {
  const operations = plan.operations.filter((operation) => operation.kind === "restore");
  const items = groupItems(
    operations,
    ({ restores, disks, changes }) =>
      `disks ${diskList(disks)}, as they were when commit ${code(shortRevision(restores?.revision ?? ""))} took it away${changes.length === 0 ? "" : `; then ${changes.map(describeChange).join("; ")}`}`,
  );
  const title = `${plural(operations.length, "VM")} will come back from quarantine with ${operations.length === 1 ? "its" : "their"} disks`;
  return operations.length === 0 ? [] : [{ level: "NOTE", title, items }];
}

function deletes(plan: Plan): readonly Alarm[] {
  const operations = plan.operations.filter((operation) => operation.kind === "delete");
  const items = groupItems(operations, (operation) => `disks ${diskList(operation.disks)}`);
  const title = `${plural(operations.length, "VM")} will be deleted, with everything on the disks`;
  return operations.length === 0 ? [] : [{ level: "CAUTION", title, items }];
}

function replacements(plan: Plan): readonly Alarm[] {
  const operations = plan.operations.filter(({ kind, quarantine }) => kind === "replace" && quarantine === undefined);
  const items = groupItems(operations, (operation) => {
    const causes = operation.changes.filter((change) => change.disruption === "rebuild").map(describeChange);
    return `${causes.join("; ")}; disks made anew: ${diskList(operation.disks)}`;
  });
  const title = `${plural(operations.length, "VM")} will be rebuilt: deleted and made anew from ${operations.length === 1 ? "its" : "their"} images`;
  return operations.length === 0 ? [] : [{ level: "CAUTION", title, items }];
}

/** The old VM is kept: nothing is lost before its time is over. */
function keptReplacements(plan: Plan, nowMs: number): readonly Alarm[] {
  const operations = plan.operations.filter(({ kind, quarantine }) => kind === "replace" && quarantine !== undefined);
  const items = groupItems(operations, (operation) => {
    const { changes, disks, successor } = operation;
    const causes = changes.filter((change) => change.disruption === "rebuild").map(describeChange);
    const until = `until ${keptUntil(operation, nowMs)} if it were done now`;
    const made =
      successor === undefined
        ? `disks made anew: ${diskList(disks)}`
        : `the VM it was until commit ${code(shortRevision(successor.note.revision))} comes back with its disks: ${diskList(successor.disks)}`;
    return `${causes.join("; ")}; ${made}; the present ones are kept ${keptFor(operation)} (${until})`;
  });
  const subject = operations.length === 1 ? "the old VM goes" : "the old VMs go";
  const title = `${plural(operations.length, "VM")} will be rebuilt: ${subject} into quarantine with ${operations.length === 1 ? "its" : "their"} disks, deleted when the time is over`;
  return operations.length === 0 ? [] : [{ level: "WARNING", title, items }];
}

function dataLoss(plan: Plan): readonly Alarm[] {
  const operations = plan.operations.filter(
    (operation) =>
      (!["delete", "replace", "quarantine"].includes(operation.kind) || operation.successor !== undefined) &&
      losingChanges(operation).length > 0,
  );
  const items = groupItems(operations, (operation) =>
    losingChanges(operation)
      .map(
        (change) =>
          `${describeChange(change)}${change.lostBytes === undefined ? "" : `, **${formatBytes(change.lostBytes)} lost**`}`,
      )
      .join("; "),
  );
  return operations.length === 0
    ? []
    : [
        {
          level: "CAUTION",
          title: `Data is lost on ${plural(operations.length, "VM")} that stay${operations.length === 1 ? "s" : ""}`,
          items,
        },
      ];
}

function losingChanges(operation: Operation): readonly Change[] {
  return operation.changes.filter((change) => change.disruption === "data-loss");
}

function conflicts(plan: Plan): readonly Alarm[] {
  if (plan.conflicts.length === 0) return [];
  const groups = groupBy(plan.conflicts, ({ code: kind, application, virdomain, message }) =>
    [kind, application, virdomain, message].join("\n"),
  );
  const items = [...groups.values()].map((group) => {
    const [first] = group;
    const name = first?.virdomain ?? "";
    return `${code(name)} on ${clusterList(group.map((conflict) => conflict.cluster))}: ${sentence(first?.message ?? "")}`;
  });
  return [{ level: "WARNING", title: `${plural(plan.conflicts.length, "VM")} cannot be changed`, items }];
}

function capacityAlarm({ capacity }: Plan): readonly Alarm[] {
  if (capacity.length === 0) return [];
  const clusters = new Set(capacity.map(({ cluster }) => cluster));
  const items = [...groupBy(capacity, ({ message }) => message).values()].map(
    (group) => `${clusterList(group.map(({ cluster }) => cluster))}: ${sentence(group[0]?.message ?? "")}`,
  );
  return [{ level: "WARNING", title: `Room may be short on ${plural(clusters.size, "cluster")}`, items }];
}

function rebootAlarm(plan: Plan): readonly Alarm[] {
  const operations = plan.operations.filter(reboots);
  const items = groupItems(operations, (operation) =>
    operation.changes
      .filter((change) => change.disruption === "reboot")
      .map(describeChange)
      .join("; "),
  );
  const title = `${plural(operations.length, "VM")} will be shut down and started again`;
  return operations.length === 0 ? [] : [{ level: "WARNING", title, items }];
}

function driftAlarm(plan: Plan): readonly Alarm[] {
  const operations = plan.operations.filter((operation) => changesOf(operation, "drift").length > 0);
  const items = groupItems(operations, (operation) => changesOf(operation, "drift").map(describeChange).join("; "));
  const title = `Drift on ${plural(operations.length, "VM")} will be overwritten`;
  return operations.length === 0 ? [] : [{ level: "IMPORTANT", title, items }];
}

function noticeAlarm(plan: Plan): readonly Alarm[] {
  const groups = groupBy(listNotices(plan), ({ code: kind, application, virdomain, others, path, message }) =>
    [kind, application, virdomain, others, path, message].join("\n"),
  );
  const items = [...groups.values()].map((group) => {
    const [first] = group;
    const subject = first === undefined ? "" : noticeSubject(first, code);
    return `${subject} on ${clusterList(group.map((notice) => notice.cluster))}: ${sentence(first?.message ?? "")}`;
  });
  return items.length === 0 ? [] : [{ level: "NOTE", title: "Good to know", items }];
}

/** One bullet for each group of equal operations: VM, clusters, what happens. */
function groupItems(operations: readonly Operation[], describe: (operation: Operation) => string): readonly string[] {
  return groupOperations(operations).map(
    ({ operation, clusters }) => `${code(operation.virdomain)} on ${clusterList(clusters)}: ${describe(operation)}`,
  );
}

function describeChange(change: Change): string {
  if ([change.from, change.to].some((value) => value?.includes("\n"))) return `${code(change.path)} changes`;
  if (change.to === undefined) return `${code(change.path)} is removed`;
  if (change.from === undefined) return `${code(change.path)} ${code(change.to)} is added`;
  return `${code(change.path)} ${code(change.from)} → ${code(change.to)}`;
}

function renderAlarm(alarm: Alarm, budget: number): Section {
  const head = [`> [!${alarm.level}]`, `> **${alarm.title}**`];
  const room = Math.max(120, budget - head.join("\n").length);
  const open = fitBullets(alarm.items.slice(0, openItems), room, "> ");
  const text = [...head, ...(open.text === "" ? [] : [open.text])].join("\n");
  const folded = alarm.items.slice(openItems);
  if (folded.length === 0) return { text, omitted: open.omitted };
  const rest = fitBullets(folded, Math.max(120, room - open.text.length - 120));
  const summary = `${folded.length} more: ${htmlText(alarm.title)}`;
  return { text: `${text}\n\n${details(summary, rest.text)}`, omitted: open.omitted + rest.omitted };
}
