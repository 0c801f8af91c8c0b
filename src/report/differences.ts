import { formatBytes } from "../manifest/quantity.ts";
import { type Change, disruptionOrder, type Operation } from "../plan/plan.ts";
import { emptySection, fitItems, type Section } from "./cut.ts";
import { details, fence, htmlCode } from "./escape.ts";
import { plural } from "./format.ts";
import { type ClusterClass, classifyClusters, groupBy } from "./group.ts";
import { clusterList, htmlClusterList } from "./names.ts";
import { keptFor } from "./quarantine.ts";
import { countOperations, describeCounts, isOnlyDrift, reboots } from "./summary.ts";

const maxTextLines = 60;

/** What a revision changes, field by field: one folded section per application, clusters that are alike together. */
export function renderDifferences(operations: readonly Operation[], budget: number): Section {
  const wanted = operations.filter((operation) => !isOnlyDrift(operation)).map((operation) => only(operation, "git"));
  return renderFolded(wanted, budget, (own) => describeCounts(countOperations(own)));
}

/** What was different before and will be taken back. */
export function renderDrift(operations: readonly Operation[], budget: number): Section {
  const drifted = operations.map((operation) => only(operation, "drift")).filter(({ changes }) => changes.length > 0);
  return renderFolded(drifted, budget, (own) => `drift on ${plural(own.length, "VM")}`);
}

function only(operation: Operation, origin: Change["origin"]): Operation {
  return { ...operation, changes: operation.changes.filter((change) => change.origin === origin) };
}

function renderFolded(
  operations: readonly Operation[],
  budget: number,
  describe: (own: readonly Operation[]) => string,
): Section {
  if (operations.length === 0) return emptySection;
  let left = budget;
  let omitted = 0;
  const sections: string[] = [];
  for (const [application, own] of groupBy(operations, (operation) => operation.application)) {
    const classes = classifyClusters(own);
    const summary = `${htmlCode(application)}: ${describe(own)} ${describeClasses(classes)}`;
    const body = renderClasses(classes, left - summary.length - 60);
    omitted += body.omitted;
    if (body.text === "") continue;
    const section = details(summary, body.text);
    sections.push(section);
    left -= section.length + 2;
  }
  return { text: sections.join("\n\n"), omitted };
}

function describeClasses(classes: readonly ClusterClass[]): string {
  const [largest] = classes;
  const clusters = classes.reduce((sum, group) => sum + group.clusters.length, 0);
  if (largest === undefined) return "";
  if (classes.length === 1)
    return `on ${htmlClusterList(largest.clusters)}${clusters > 1 ? ", identical on each" : ""}`;
  const identical =
    largest.clusters.length === 1 ? "all different" : `${largest.clusters.length} of ${clusters} clusters identical`;
  return `on ${plural(clusters, "cluster")}, ${identical}`;
}

function renderClasses(classes: readonly ClusterClass[], budget: number): Section {
  let left = budget;
  let omitted = 0;
  const parts: string[] = [];
  for (const group of classes) {
    const head = classes.length === 1 ? "" : `On ${clusterList(group.clusters)}:\n\n`;
    const entries = [...group.operations].sort(compareHarm).map(operationLines);
    const fitted = fitItems(entries, left - head.length - 80, linesSize);
    omitted += fitted.omitted * group.clusters.length;
    if (fitted.shown.length === 0) continue;
    const rest = fitted.omitted === 0 ? [] : [`# … and ${plural(fitted.omitted, "more VM", "more VMs")}`];
    const part = head + fence("diff", [...fitted.shown.flat(), ...rest]);
    parts.push(part);
    left -= part.length + 2;
  }
  return { text: parts.join("\n\n"), omitted };
}

/** Room for the lines themselves, their newlines, and what making characters visible may add. */
function linesSize(lines: readonly string[]): number {
  return fence("diff", lines).length;
}

function compareHarm(a: Operation, b: Operation): number {
  return disruptionOrder.indexOf(b.disruption) - disruptionOrder.indexOf(a.disruption);
}

const costs: Partial<Record<Operation["kind"], (operation: Operation) => string>> = {
  replace: (operation) =>
    `${operation.successor === undefined ? ", disks made anew" : ", by the VM it was before"}${operation.quarantine === undefined ? "" : `, the old VM kept ${keptFor(operation)}`}`,
  quarantine: (operation) => `, kept ${keptFor(operation)}`,
  restore: () => " from quarantine, with its disks",
};

/** One operation in `diff` colours: what comes, what goes, what changes. */
function operationLines(operation: Operation): readonly string[] {
  const symbol = {
    create: "+",
    update: "!",
    replace: "!",
    delete: "-",
    start: "!",
    stop: "!",
    quarantine: "-",
    restore: "+",
  }[operation.kind];
  const cost = reboots(operation) ? ", reboot" : (costs[operation.kind]?.(operation) ?? "");
  const adopt = operation.adopt ? ", adopts an existing VM" : "";
  const disks = operation.kind === "update" ? [] : operation.disks;
  return [
    `${symbol} ${operation.virdomain} (${operation.kind}${cost}${adopt})`,
    ...operation.changes.flatMap(changeLines),
    ...disks.map((disk) => diskLine(operation.kind === "create" || operation.kind === "restore" ? "+" : "-", disk)),
    ...(operation.successor?.disks ?? []).map((disk) => diskLine("+", disk)),
  ];
}

function diskLine(sign: "+" | "-", { name, capacityBytes }: Operation["disks"][number]): string {
  return `${sign}     disk ${name}: ${capacityBytes === undefined ? "as large as its image" : formatBytes(capacityBytes)}`;
}

function changeLines(change: Change): readonly string[] {
  const symbol = change.from === undefined ? "+" : change.to === undefined ? "-" : "!";
  const lost = change.lostBytes === undefined ? "" : ` of ${formatBytes(change.lostBytes)}`;
  const cost = change.disruption === "live" ? "" : `  # ${change.disruption}${lost}`;
  const text = [change.from, change.to].find((value) => value?.includes("\n"));
  if (text !== undefined) return [`${symbol}     ${change.path}:${cost}`, ...textLines(change)];
  const values = [change.from, change.to]
    .filter((value) => value !== undefined)
    .map((value) => (value === "" ? '""' : value));
  return [`${symbol}     ${change.path}: ${values.join(" → ")}${cost}`];
}

/** A text of several lines: a ready line difference keeps its signs, anything else is what goes and what comes. */
function textLines(change: Change): readonly string[] {
  const lines =
    change.from === undefined || change.to === undefined || change.to.startsWith("@@")
      ? (change.to ?? change.from ?? "").split("\n")
      : [...change.from.split("\n").map((line) => `-${line}`), ...change.to.split("\n").map((line) => `+${line}`)];
  const shown = lines.slice(0, maxTextLines).map((line) => {
    const sign = /^[-+]/.exec(line)?.[0];
    return sign === undefined ? `#         ${line}` : `${sign}         ${line.slice(1)}`;
  });
  return lines.length > maxTextLines ? [...shown, `#         … and ${lines.length - maxTextLines} more lines`] : shown;
}
