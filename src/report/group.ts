import { contentHash } from "../lib/canonical-json.ts";
import type { Operation } from "../plan/plan.ts";

/** Operations that say the same on several clusters. */
export interface OperationGroup {
  /** One of them, with the cluster's name replaced by `{{ clusterName }}` where there are several. */
  readonly operation: Operation;
  readonly clusters: readonly string[];
}

/** Clusters on which an application's operations are the same. */
export interface ClusterClass {
  readonly clusters: readonly string[];
  readonly operations: readonly Operation[];
}

const placeholder = "{{ clusterName }}";

/** Groups the same operation on the same resource over clusters; order of first appearance. */
export function groupOperations(operations: readonly Operation[]): readonly OperationGroup[] {
  const groups = new Map<string, { operations: Operation[]; neutral: Operation }>();
  for (const operation of operations) {
    const neutral = withoutCluster(operation);
    const key = contentHash(comparable(neutral));
    const group = groups.get(key);
    if (group === undefined) groups.set(key, { operations: [operation], neutral });
    else group.operations.push(operation);
  }
  return [...groups.values()].map((group) => ({
    operation: pickShown(group.operations, group.neutral),
    clusters: [...new Set(group.operations.map((operation) => operation.cluster))],
  }));
}

/** Groups clusters by what happens on them, the largest group first. */
export function classifyClusters(operations: readonly Operation[]): readonly ClusterClass[] {
  const byCluster = groupBy(operations, (operation) => operation.cluster);
  const classes = new Map<string, { clusters: string[]; operations: readonly Operation[]; neutral: Operation[] }>();
  for (const [cluster, own] of byCluster) {
    const neutral = own.map(withoutCluster);
    const key = contentHash(neutral.map((operation) => contentHash(comparable(operation))).sort());
    const known = classes.get(key);
    if (known === undefined) classes.set(key, { clusters: [cluster], operations: own, neutral });
    else known.clusters.push(cluster);
  }
  return [...classes.values()]
    .map(({ clusters, operations: own, neutral }) => ({
      clusters,
      operations: clusters.length === 1 ? own : neutral,
    }))
    .sort((a, b) => b.clusters.length - a.clusters.length);
}

function pickShown(operations: readonly Operation[], neutral: Operation): Operation {
  const [first] = operations;
  return operations.length === 1 && first !== undefined ? first : neutral;
}

/** What two operations must share to be the same thing on two clusters. */
function comparable(operation: Operation): unknown {
  const { kind, application, identity, virdomain, changes, notices, disks, adopt, quarantine, restores } = operation;
  const from = (restores ?? operation.successor?.note)?.revision.slice(0, 7);
  return { kind, application, identity, virdomain, changes, notices, disks, adopt, quarantine, from };
}

function withoutCluster(operation: Operation): Operation {
  const pattern = new RegExp(`(?<![A-Za-z0-9])${escapeRegExp(operation.cluster)}(?![A-Za-z0-9])`, "g");
  const neutral = (text: string): string => (operation.cluster === "" ? text : text.replaceAll(pattern, placeholder));
  const optional = (text: string | undefined): string | undefined => (text === undefined ? undefined : neutral(text));
  return {
    ...operation,
    virdomain: neutral(operation.virdomain),
    changes: operation.changes.map((change) => ({ ...change, from: optional(change.from), to: optional(change.to) })),
    notices: operation.notices.map((notice) => ({ ...notice, message: neutral(notice.message) })),
  };
}

function escapeRegExp(text: string): string {
  return text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, String.raw`\$&`);
}

/** Members by key, in order of first appearance. */
export function groupBy<T>(members: readonly T[], keyOf: (member: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const member of members) {
    const group = groups.get(keyOf(member));
    if (group === undefined) groups.set(keyOf(member), [member]);
    else group.push(member);
  }
  return groups;
}
