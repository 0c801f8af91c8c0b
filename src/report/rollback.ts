import type { Plan } from "../plan/plan.ts";
import { code, details, sentence } from "./escape.ts";
import { formatTime, plural, relativeTime, shortRevision } from "./format.ts";
import { fitBullets, type Section } from "./cut.ts";
import { groupBy, groupOperations } from "./group.ts";
import { clusterList, diskList } from "./names.ts";
import { listNotices } from "./summary.ts";

/** An earlier synced revision with the very same manifests. */
export interface ReturnsTo {
  readonly revision: string;
  readonly syncedAtMs: number;
}

/**
 * What going back means for every VM: what is the same VM as ever with its data, what comes back empty, and what no
 * revert can undo.
 */
export function renderRollback(plan: Plan, returnsTo: ReturnsTo, nowMs: number, budget: number): Section {
  const head = `↩️ **Returns to ${code(shortRevision(returnsTo.revision))}**, synced ${relativeTime(returnsTo.syncedAtMs, nowMs)} (${formatTime(returnsTo.syncedAtMs)}).`;
  const empty = comesBackEmpty(plan);
  const stuck = cannotGoBack(plan);
  const restored = comesBackWhole(plan);
  const kept = plan.operations.filter(({ kind }) => kind === "update" || kind === "start" || kind === "stop").length;
  const summary = [
    kept === 0 ? "" : `${plural(kept, "VM")} ${kept === 1 ? "goes" : "go"} back with the data`,
    restored.count === 0
      ? ""
      : `${plural(restored.count, "VM")} ${restored.count === 1 ? "comes" : "come"} back from quarantine with ${restored.count === 1 ? "its" : "their"} disks`,
    empty.count === 0 ? "" : `${plural(empty.count, "VM")} ${empty.count === 1 ? "comes" : "come"} back with new disks`,
    stuck.count === 0 ? "" : `${plural(stuck.count, "thing")} cannot go back`,
  ].filter((part) => part !== "");
  if (summary.length === 0) return { text: head, omitted: 0 };
  const text = `${head} ${summary.join(", ")}.`;
  const items = [...restored.items, ...empty.items, ...stuck.items];
  if (items.length === 0) return { text, omitted: 0 };
  const list = fitBullets(items, Math.max(120, budget - text.length - 120));
  return {
    text: `${text}\n\n${details(`What comes back with ${restored.count === 0 ? "" : "its disks, what with "}new disks, what cannot go back`, list.text)}`,
    omitted: list.omitted,
  };
}

interface Listed {
  readonly count: number;
  readonly items: readonly string[];
}

function comesBackWhole(plan: Plan): Listed {
  const operations = plan.operations.filter(({ kind, successor }) => kind === "restore" || successor !== undefined);
  const items = groupOperations(operations).map(
    ({ operation, clusters }) =>
      `${code(operation.virdomain)} on ${clusterList(clusters)} comes back as the same VM with its disks: ${diskList((operation.successor ?? operation).disks)}`,
  );
  return { count: operations.length, items };
}

function comesBackEmpty(plan: Plan): Listed {
  const operations = plan.operations.filter(
    ({ kind, successor }) => kind === "create" || (kind === "replace" && successor === undefined),
  );
  const items = groupOperations(operations).map(
    ({ operation, clusters }) =>
      `${code(operation.virdomain)} on ${clusterList(clusters)} comes back as a new VM with new disks: ${diskList(operation.disks)}`,
  );
  return { count: operations.length, items };
}

function cannotGoBack(plan: Plan): Listed {
  const notices = listNotices(plan).filter(
    ({ code: kind }) => kind === "disk-not-shrunk" || kind === "cloud-init-unchanged-guest",
  );
  const groups = groupBy(notices, ({ virdomain, message }) => `${virdomain}\n${message}`);
  const items = [...groups.values()].map((group) => {
    const clusters = clusterList(group.map(({ cluster }) => cluster));
    return `${code(group[0]?.virdomain ?? "")} on ${clusters} stays: ${sentence(group[0]?.message ?? "")}`;
  });
  return { count: notices.length, items };
}
