import type { ApplicationDocument, ClusterGroupDocument, DeploymentDocument } from "../manifest/document.ts";
import type { Problem } from "../manifest/problem.ts";
import type { Target } from "./desired-state.ts";

/** What a target was made from, and what came of it. Documents are compared by identity: a changed file is parsed anew. */
export interface CachedTarget {
  readonly application: ApplicationDocument;
  readonly deployment: DeploymentDocument | undefined;
  readonly groups: readonly ClusterGroupDocument[];
  /** Everything else that goes in, as one text: the cluster with its id, the repository, options. */
  readonly surroundings: string;
  readonly target: Target;
  readonly problems: readonly Problem[];
}

/** Targets of earlier revisions, so that a changed file costs what it changes. One per repository. */
export interface TargetCache {
  find(key: string, wanted: Omit<CachedTarget, "target" | "problems">): CachedTarget | undefined;
  keep(key: string, entry: CachedTarget): void;
  readonly size: number;
}

/** The tracked branch and a few pull requests can be planned in turn without pushing each other out. */
const versionsPerTarget = 4;

/** An empty cache. Holds at most `maxTargets` targets, forgetting those that were not asked for the longest. */
export function createTargetCache(maxTargets = 200_000): TargetCache {
  const entries = new Map<string, readonly CachedTarget[]>();
  return {
    get size() {
      return entries.size;
    },
    find(key, wanted) {
      return entries.get(key)?.find((entry) => isSame(entry, wanted));
    },
    keep(key, entry) {
      const others = entries.get(key) ?? [];
      entries.delete(key);
      entries.set(key, [entry, ...others].slice(0, versionsPerTarget));
      const oldest = entries.size > maxTargets ? entries.keys().next().value : undefined;
      if (oldest !== undefined) entries.delete(oldest);
    },
  };
}

function isSame(entry: CachedTarget, wanted: Omit<CachedTarget, "target" | "problems">): boolean {
  return (
    entry.application === wanted.application &&
    entry.deployment === wanted.deployment &&
    entry.surroundings === wanted.surroundings &&
    entry.groups.length === wanted.groups.length &&
    entry.groups.every((group, index) => group === wanted.groups[index])
  );
}
