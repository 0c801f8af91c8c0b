import type { Operation, Plan, TargetSummary } from "../plan/plan.ts";
import { emptySection, fitItems, type Section } from "./cut.ts";
import { htmlCode } from "./escape.ts";
import { plural } from "./format.ts";
import { groupBy } from "./group.ts";
import { htmlClusterList } from "./names.ts";

const maxColumns = 8;
const symbols = [
  ["create", "+"],
  ["update", "~"],
  ["replace", "±"],
  ["delete", "−"],
  ["quarantine", "◌"],
  ["restore", "↩"],
  ["start", "▶"],
  ["stop", "■"],
] as const;

/** Application x cluster, clusters with the same column put together, in at most `budget` characters. */
export function renderMatrix(plan: Plan, budget: number): Section {
  const cells = cellTexts(plan);
  const applications = [...new Set([...cells.values()].map((cell) => cell.application))];
  const clusters = [...new Set([...cells.values()].map((cell) => cell.cluster))];
  if (applications.length === 0 || applications.length * clusters.length === 1) return emptySection;
  const cellOf = (application: string, cluster: string): string => cells.get(key(cluster, application))?.text ?? "";
  const columns = [
    ...groupBy(clusters, (cluster) => applications.map((name) => cellOf(name, cluster)).join("\n")).values(),
  ];
  const shape =
    columns.length <= maxColumns
      ? {
          head: ["Application", ...columns.map(htmlClusterList)],
          rows: applications.map((name) => [htmlCode(name), ...columns.map((column) => cellOf(name, column[0] ?? ""))]),
        }
      : turned(applications, columns, cellOf);
  return renderTable(shape.head, shape.rows, budget);
}

type CellOf = (application: string, cluster: string) => string;
interface Shape {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** Clusters as rows, for fleets whose clusters differ a lot. */
function turned(applications: readonly string[], columns: readonly (readonly string[])[], cellOf: CellOf): Shape {
  const named = applications.slice(0, maxColumns);
  const rest = applications.length - named.length;
  return {
    head: ["Cluster", ...named.map(htmlCode), ...(rest === 0 ? [] : [`${rest} more`])],
    rows: columns.map((column) => [
      htmlClusterList(column),
      ...named.map((name) => cellOf(name, column[0] ?? "")),
      ...(rest === 0 ? [] : ["…"]),
    ]),
  };
}

function renderTable(head: readonly string[], rows: readonly (readonly string[])[], budget: number): Section {
  const top = [tableRow(head), `|${head.map((_, index) => (index === 0 ? " --- " : " :-: ")).join("|")}|`];
  const lines = rows.map(tableRow);
  const fitted = fitItems(lines, budget - top.join("\n").length - 200, (line) => line.length + 1);
  const rest =
    fitted.omitted === 0 ? [] : [tableRow([`… and ${fitted.omitted} more rows`, ...head.slice(1).map(() => "")])];
  const used = (sign: string): boolean => rows.some((row) => row.some((cell) => cell.includes(sign)));
  const seldom = `${used("◌") ? ", ◌ quarantine" : ""}${used("↩") ? ", ↩ bring back" : ""}`;
  const legend = `<sub>+ create, ~ update, ± replace, − delete${seldom}, ▶ start, ■ stop, ✓ as desired</sub>`;
  return { text: `${[...top, ...fitted.shown, ...rest].join("\n")}\n\n${legend}`, omitted: fitted.omitted };
}

function tableRow(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

interface Cell {
  readonly cluster: string;
  readonly application: string;
  readonly text: string;
}

function cellTexts(plan: Plan): ReadonlyMap<string, Cell> {
  const operations = groupBy(plan.operations, (operation) => key(operation.cluster, operation.application));
  const targets = new Map<string, { cluster: string; application: string; targets: TargetSummary[] }>();
  for (const { cluster, application } of [...plan.targets, ...plan.operations]) {
    targets.set(key(cluster, application), { cluster, application, targets: [] });
  }
  for (const target of plan.targets) targets.get(key(target.cluster, target.application))?.targets.push(target);
  const held = new Set(plan.held.map(({ cluster }) => cluster));
  const cells = new Map<string, Cell>();
  for (const [id, entry] of targets) {
    const unchanged = entry.targets.reduce((sum, target) => sum + target.unchanged, 0);
    const text = held.has(entry.cluster) ? "held" : cellText(operations.get(id) ?? [], unchanged);
    cells.set(id, { cluster: entry.cluster, application: entry.application, text });
  }
  for (const cluster of held) {
    if (![...cells.values()].some((cell) => cell.cluster === cluster)) {
      for (const application of new Set([...cells.values()].map((cell) => cell.application))) {
        cells.set(key(cluster, application), { cluster, application, text: "held" });
      }
    }
  }
  return cells;
}

function cellText(operations: readonly Operation[], unchanged: number): string {
  const parts = symbols
    .map(([kind, symbol]) => ({ symbol, count: operations.filter((operation) => operation.kind === kind).length }))
    .filter((part) => part.count > 0)
    .map((part) => `${part.symbol}${part.count}`);
  return [...parts, ...(unchanged === 0 ? [] : [`✓${unchanged}`])].join(" ") || "–";
}

function key(cluster: string, application: string): string {
  return `${cluster}\n${application}`;
}

/** `3 applications on 100 clusters`, for the verdict. */
export function describeExtent(plan: Plan): string {
  const applications = new Set(plan.operations.map((operation) => operation.application)).size;
  const clusters = new Set(plan.operations.map((operation) => operation.cluster)).size;
  return `${plural(applications, "application")} on ${plural(clusters, "cluster")}`;
}
