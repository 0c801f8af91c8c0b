import { fitBullets, fitItems } from "./cut.ts";
import { code, details, htmlText, sentence } from "./escape.ts";
import { formatDuration, formatTime, plural, shortRevision } from "./format.ts";
import { groupBy } from "./group.ts";
import { htmlClusterList } from "./names.ts";

/** What became of a merged pull request on the clusters, as far as it is known. */
export interface DeployLogInput {
  /** First line of the comment, by which it is found again; see `planMarker`. */
  readonly marker: string;
  readonly instance: string;
  readonly repository: string;
  readonly branch: string;
  /** The commit that brought the pull request to the branch, and the one whose sync carries it out (often the same). */
  readonly merged: string;
  readonly revision: string;
  /** `undefined` while it is under way. */
  readonly verdict:
    | { readonly state: "success" | "failure" | "error"; readonly description: string; readonly finishedAtMs: number }
    | undefined;
  readonly startedAtMs: number;
  readonly clusters: readonly DeployedCluster[];
  readonly operations: readonly DeployedOperation[];
  readonly version: string;
  /** Longest text the forge takes, in UTF-16 units. */
  readonly limitChars: number;
}

export interface DeployedCluster {
  readonly cluster: string;
  readonly state: "waiting" | "syncing" | "held" | "synced" | "failed" | "not-started";
  readonly done: number;
  readonly total: number;
  readonly detail: string;
}

export interface DeployedOperation {
  readonly kind: string;
  readonly cluster: string;
  readonly virdomain: string;
  readonly outcome: string;
  readonly message?: string;
  /** Id of the snapshot it began with. */
  readonly snapshot?: string;
}

const signs = { success: "✅", failure: "❌", error: "❌" } as const;
const states = {
  waiting: "… waiting",
  syncing: "▶ syncing",
  held: "⏸ held",
  synced: "✅ synced",
  failed: "❌ failed",
  "not-started": "⏹ not started",
} as const;

/**
 * The comment of a pull request after its merge: verdict, result of each cluster (equal ones together), operations.
 * Says the same as long as nothing changed, so that it is written only when there is news. Ends without a newline.
 */
export function renderDeployLog(input: DeployLogInput): string {
  const head = [input.marker, renderHeadline(input), renderMerge(input)].join("\n\n");
  const foot = renderFooter(input);
  const room = input.limitChars - head.length - foot.length - 400;
  const clusters = renderClusters(input.clusters, room * 0.5);
  const operations = renderOperations(input.operations, room - clusters.length);
  return [head, clusters, operations, foot].filter((part) => part !== "").join("\n\n");
}

function renderHeadline({ verdict, clusters }: DeployLogInput): string {
  if (verdict !== undefined) return `### ${signs[verdict.state]} ${sentence(verdict.description)}`;
  const done = clusters.reduce((sum, cluster) => sum + cluster.done, 0);
  const total = clusters.reduce((sum, cluster) => sum + cluster.total, 0);
  return `### 🚚 Deploying: ${done} of ${plural(total, "operation")} done`;
}

function renderMerge({ branch, merged, revision }: DeployLogInput): string {
  const landed = `Merged into ${code(branch)} as ${code(shortRevision(merged))}`;
  return merged === revision
    ? `${landed}.`
    : `${landed}, and carried out together with what came after it, up to ${code(shortRevision(revision))}.`;
}

function renderClusters(clusters: readonly DeployedCluster[], room: number): string {
  if (clusters.length === 0) return "";
  const groups = groupBy(clusters, ({ state, done, total, detail }) => JSON.stringify([state, done, total, detail]));
  const rows = [...groups.values()].flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const amount = first.total === 0 ? "" : `${first.done} of ${first.total}${group.length > 1 ? " each" : ""}`;
    const names = htmlClusterList(group.map(({ cluster }) => cluster));
    return [`| ${names} | ${states[first.state]} | ${amount} | ${htmlText(first.detail)} |`];
  });
  const fitted = fitItems(rows, room, (row) => row.length + 1);
  const rest = fitted.omitted === 0 ? [] : [`| … and ${fitted.omitted} more rows | | | |`];
  return ["| Cluster | Result | Operations | |", "| --- | --- | --- | --- |", ...fitted.shown, ...rest].join("\n");
}

/** Failures first, they are what people look for. */
function renderOperations(operations: readonly DeployedOperation[], room: number): string {
  if (operations.length === 0) return "";
  const sorted = [...operations.filter(isTrouble), ...operations.filter((operation) => !isTrouble(operation))];
  const list = fitBullets(sorted.map(renderOperation), room - 200);
  return details(plural(operations.length, "operation"), list.text);
}

function isTrouble({ outcome }: DeployedOperation): boolean {
  return outcome !== "done";
}

function renderOperation({ kind, cluster, virdomain, outcome, message, snapshot }: DeployedOperation): string {
  const why = message === undefined ? "" : `: ${sentence(message)}`;
  const before = snapshot === undefined ? "" : `, snapshot ${code(snapshot)} taken before`;
  return `${kind} ${code(virdomain)} on ${code(cluster)}: ${outcome}${why}${before}`;
}

function renderFooter({ verdict, startedAtMs, version, instance, repository, revision }: DeployLogInput): string {
  const facts = [
    `revision ${code(shortRevision(revision))}`,
    `began ${formatTime(startedAtMs)}`,
    ...(verdict === undefined ? [] : [`took ${formatDuration(verdict.finishedAtMs - startedAtMs)}`]),
    `kraken-gitops ${sentence(version)}${instance === "kraken-gitops" ? "" : ` (${code(instance)})`}`,
    `repository ${code(repository)}`,
    `history: ${code(`kraken-gitops history ${repository}`)}`,
  ];
  return `---\n<sub>${facts.join(" · ")}</sub>`;
}
