import type { DesiredState } from "../../../src/fleet/desired-state.ts";
import type { StateStore } from "../../../src/ports/state-store.ts";
import type { SyncRecord } from "../../../src/sync/sync-record.ts";

/** Writes down, through the store's own calls, that a revision was synced in full. */
export async function pretendApplied(store: StateStore, desired: DesiredState, revision: string): Promise<void> {
  const record: SyncRecord = {
    schemaVersion: 1,
    id: `fleet-${revision.slice(0, 12)}-before`,
    repository: "fleet",
    branch: "main",
    revision,
    treeId: undefined,
    baseRevision: undefined,
    planId: "before",
    commits: [revision],
    author: "Ada",
    subject: "Before",
    startedAtMs: 0,
    returnsTo: undefined,
    problems: [],
    clusters: [],
    targets: {},
    enforced: [],
    predecessors: [],
    deletions: {
      allowed: true,
      reason: undefined,
      cause: undefined,
      losses: [],
      approvalId: "",
      budget: 0,
      losing: [],
    },
  };
  const verdict = { state: "success", description: "Synced", operations: 0, failed: 0, clusters: 0 } as const;
  await store.createSync(record, [], []);
  await store.finishSync(
    record.id,
    verdict,
    new Map([...desired.targets].map(([key, { hash }]) => [key, { hash, revision, atMs: 1 }])),
    {
      syncId: record.id,
      repository: record.repository,
      revision,
      treeId: undefined,
      author: record.author,
      subject: record.subject,
      startedAtMs: 0,
      finishedAtMs: 1,
      verdict,
      commits: record.commits,
      returnsTo: undefined,
      applications: [],
      operations: [],
    },
    [],
  );
}
