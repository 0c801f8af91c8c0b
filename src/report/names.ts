import { formatBytes } from "../manifest/quantity.ts";
import type { Operation } from "../plan/plan.ts";
import { code, htmlCode } from "./escape.ts";
import { joinNames, plural } from "./format.ts";

/** `store-7` as code, or `97 clusters (store-1, store-2, store-3 and 94 more)`. */
export function clusterList(clusters: readonly string[]): string {
  if (clusters.length <= 3) return joinNames(clusters.map(code));
  return `${clusters.length} clusters (${joinNames(clusters.map(code))})`;
}

/** The same for summaries and table cells. */
export function htmlClusterList(clusters: readonly string[]): string {
  if (clusters.length <= 3) return joinNames(clusters.map(htmlCode));
  return `${plural(clusters.length, "cluster")} (${joinNames(clusters.map(htmlCode))})`;
}

/** `root 40 GB, data 100 GB`, as code and plain words. */
export function diskList(disks: Operation["disks"]): string {
  if (disks.length === 0) return "no disks";
  return joinNames(
    disks.map(
      (disk) => `${code(disk.name)}${disk.capacityBytes === undefined ? "" : ` ${formatBytes(disk.capacityBytes)}`}`,
    ),
    6,
  );
}
