import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { BeginOperation, HistoryEntry, OutboxEntry, StateStore } from "../../src/ports/state-store.ts";
import type {
  ClusterPass,
  ClusterResult,
  OperationOutcome,
  SyncRecord,
  SyncVerdict,
} from "../../src/sync/sync-record.ts";

const success: SyncVerdict = {
  state: "success",
  description: "Synced: 1 operation",
  operations: 1,
  failed: 0,
  clusters: 1,
};
const failure: SyncVerdict = { ...success, state: "failure", failed: 1 };
const done: OperationOutcome = { kind: "done", atMs: 5, durationMs: 3 };
const stale: OperationOutcome = { kind: "stale", atMs: 6, message: "moved" };
export const emptyPass: ClusterPass = {
  cluster: "lab",
  round: 1,
  operations: [],
  conflicts: [],
  held: undefined,
  failures: [],
  completed: [],
};
const pass = emptyPass;

export function syncRecord(repository: string, overrides: Partial<SyncRecord> = {}): SyncRecord {
  const revision = overrides.revision ?? randomUUID();
  return {
    schemaVersion: 1,
    id: randomUUID(),
    repository,
    branch: "main",
    revision,
    treeId: `tree-of-${revision}`,
    baseRevision: undefined,
    planId: "plan",
    commits: [revision],
    author: "Ada",
    subject: "Add a VM",
    startedAtMs: 1,
    returnsTo: undefined,
    problems: [],
    clusters: ["lab"],
    targets: { "lab/web": "hash" },
    enforced: [],
    predecessors: [],
    deletions: {
      allowed: true,
      reason: undefined,
      cause: undefined,
      losses: [],
      approvalId: "",
      budget: 3,
      losing: [],
    },
    ...overrides,
  };
}

function historyOf(record: SyncRecord, verdict: SyncVerdict, finishedAtMs = 10): HistoryEntry {
  return {
    syncId: record.id,
    repository: record.repository,
    revision: record.revision,
    treeId: record.treeId,
    author: record.author,
    subject: record.subject,
    startedAtMs: record.startedAtMs,
    finishedAtMs,
    verdict,
    commits: record.commits,
    returnsTo: undefined,
    applications: ["web"],
    operations: [],
  };
}

function statusEntry(
  repository: string,
  key: string,
  weight: OutboxEntry["weight"],
  description: string = weight,
): OutboxEntry {
  const status = { context: "kraken-gitops/sync", state: "pending", description, targetUrl: undefined } as const;
  return { repository, key, weight, message: { kind: "status", revision: "abc", status } };
}

async function running(
  store: StateStore,
  repository: string,
  overrides: Partial<SyncRecord> = {},
): Promise<SyncRecord> {
  const record = syncRecord(repository, overrides);
  await store.createSync(record, [pass], []);
  return record;
}

function request(record: SyncRecord, overrides: Partial<BeginOperation> = {}): BeginOperation {
  return {
    syncId: record.id,
    cluster: "lab",
    round: 1,
    operationId: "create-web-1",
    virdomainKey: `${record.repository}/web/web-1`,
    clusterLimit: 100,
    ttlMs: 60_000,
    ...overrides,
  };
}

async function begin(store: StateStore, asked: BeginOperation) {
  const answer = await store.beginOperation(asked);
  if (answer.kind !== "begun") throw new Error(`refused: ${answer.kind}`);
  return answer;
}

/** Asks until the hold of another has ended. */
async function expectBegun(store: StateStore, asked: BeginOperation) {
  let answer = await store.beginOperation(asked);
  await expect
    .poll(async () => {
      if (answer.kind !== "begun") answer = await store.beginOperation(asked);
      return answer.kind;
    })
    .toBe("begun");
  if (answer.kind !== "begun") throw new Error(`refused: ${answer.kind}`);
  return answer;
}

/** What every state store must do. `open` answers a store on lasting data; each check uses a repository of its own. */
export function stateStoreContract(open: () => Promise<StateStore>): void {
  const check = (title: string, body: (store: StateStore, repository: string) => Promise<void>): void => {
    it(title, async () => {
      await using store = await open();
      await body(store, `repo-${randomUUID()}`);
    });
  };
  describe("leases", () => {
    check("one holder at a time, with a token that grows", async (store, repository) => {
      const first = await store.acquireLease(repository, 60_000);
      expect(await store.acquireLease(repository, 60_000)).toBeUndefined();
      expect(await first?.renew()).toBe(true);
      await first?.release();
      const second = await store.acquireLease(repository, 60_000);
      expect(second?.token).toBeGreaterThan(first?.token ?? Number.POSITIVE_INFINITY);
      expect(await first?.renew()).toBe(false);
    });
    check("a lease nobody renews ends by itself, and its late release harms nobody", async (store, repository) => {
      const first = await store.acquireLease(repository, 30);
      await expect.poll(() => store.acquireLease(repository, 60_000)).toBeDefined();
      await first?.release();
      expect(await store.acquireLease(repository, 60_000)).toBeUndefined();
    });
  });

  describe("branches", () => {
    check("an unknown repository has an empty record", async (store, repository) => {
      expect(await store.readBranch(repository)).toEqual({});
      expect(await store.listUnsettledCommits(repository)).toEqual([]);
    });
    check("observed commits await a status, oldest first, each once", async (store, repository) => {
      await store.recordObserved(repository, "b", ["a", "b"]);
      await store.recordObserved(repository, "c", ["b", "c"]);
      expect((await store.readBranch(repository)).observed).toBe("c");
      expect(await store.listUnsettledCommits(repository)).toEqual(["a", "b", "c"]);
    });
  });

  describe("a refused tip", () => {
    check("settles the commits that await a status, each once, and moves nothing else", async (store, repository) => {
      await store.recordObserved(repository, "r3", ["r1", "r2", "r3"]);
      const record = await running(store, repository, { revision: "r1", commits: ["r1"] });
      const history = { ...historyOf(record, failure), revision: "r3", commits: ["r3", "r2"] };
      const finals = new Map(
        ["r3", "r2", "gone"].map((commit) => [
          commit,
          { ...statusEntry(repository, `status/${commit}/sync`, "final") },
        ]),
      );
      const current = { syncId: record.id };
      expect(await store.refuseTip(repository, history, finals, { syncId: undefined })).toBe(0);
      expect(await store.refuseTip(repository, { ...history, revision: "r2" }, finals, current)).toBe(0);
      expect(await store.refuseTip(repository, history, finals, current)).toBe(2);
      expect(await store.refuseTip(repository, history, finals, current)).toBe(0);
      expect(await store.listUnsettledCommits(repository)).toEqual(["r1"]);
      const outbox = await store.listOutbox(repository, 9);
      expect(outbox.map(({ key }) => key)).toEqual(["status/r3/sync", "status/r2/sync"]);
      expect(await store.listHistory(repository, 9)).toMatchObject([{ revision: "r3", verdict: failure }]);
      expect(await store.readBranch(repository)).toMatchObject({
        observed: "r3",
        refused: "r3",
        currentSync: record.id,
        attempted: "r1",
      });
      expect((await store.readSync(record.id))?.state.kind).toBe("running");
    });
  });

  describe("syncs", () => {
    check("a new sync runs and is the branch's current one", async (store, repository) => {
      const record = await running(store, repository);
      expect(await store.readSync(record.id)).toEqual({ record, state: { kind: "running" } });
      expect(await store.readBranch(repository)).toMatchObject({ currentSync: record.id, attempted: record.revision });
      expect(await store.readPass(record.id, "lab")).toEqual(pass);
      expect(await store.readSyncStates([record.id, "unknown"])).toEqual([{ kind: "running" }, undefined]);
    });
    check("finishing settles everything at once", async (store, repository) => {
      await store.recordObserved(repository, "r2", ["r1", "r2", "later"]);
      const record = await running(store, repository, { revision: "r2", commits: ["r2", "r1"] });
      const applied = new Map([["lab/web", { hash: "h", revision: "r2", atMs: 10 }]]);
      const entry = statusEntry(repository, "status/r2/sync", "final");
      expect(await store.finishSync(record.id, success, applied, historyOf(record, success), [entry])).toBe(true);
      expect(await store.readBranch(repository)).toMatchObject({ synced: "r2", attempted: "r2" });
      expect(await store.listUnsettledCommits(repository)).toEqual(["later"]);
      expect(await store.readApplied(repository)).toEqual(applied);
      expect(await store.listHistory(repository, 5)).toMatchObject([{ syncId: record.id, verdict: success }]);
      expect(await store.findSyncedTree(repository, "tree-of-r2")).toEqual({ revision: "r2", syncedAtMs: 10 });
      expect(await store.listOutbox(repository, 5)).toEqual([{ ...entry, sequence: 1 }]);
      expect((await store.readSync(record.id))?.state).toEqual({ kind: "finished", atMs: 10, verdict: success });
    });
    check("a failed sync moves nothing but the attempt and the history", async (store, repository) => {
      const record = await running(store, repository);
      await store.finishSync(record.id, failure, new Map(), historyOf(record, failure), []);
      expect(await store.readBranch(repository)).toMatchObject({ attempted: record.revision });
      expect((await store.readBranch(repository)).synced).toBeUndefined();
      expect(await store.findSyncedTree(repository, record.treeId ?? "")).toBeUndefined();
      expect(await store.listHistory(repository, 5)).toHaveLength(1);
    });
    check("of two that finish one sync, one does", async (store, repository) => {
      const record = await running(store, repository);
      const finish = (verdict: SyncVerdict) =>
        store.finishSync(record.id, verdict, new Map(), historyOf(record, verdict), [
          statusEntry(repository, `status/${verdict.state}`, "final"),
        ]);
      const answers = await Promise.all([finish(success), finish(failure)]);
      expect(answers.filter(Boolean)).toHaveLength(1);
      expect(await store.listHistory(repository, 5)).toHaveLength(1);
      expect(await store.listOutbox(repository, 5)).toHaveLength(1);
    });
    check("a superseded sync can neither finish nor be superseded again", async (store, repository) => {
      const record = await running(store, repository);
      expect(await store.supersedeSync(record.id, "newer", [])).toBe(true);
      expect(await store.supersedeSync(record.id, "newest", [])).toBe(false);
      expect(await store.finishSync(record.id, success, new Map(), historyOf(record, success), [])).toBe(false);
      expect((await store.readSync(record.id))?.state).toMatchObject({ kind: "superseded", by: "newer" });
      expect(await store.listHistory(repository, 5)).toEqual([]);
    });
    check("a target that went away is forgotten", async (store, repository) => {
      const first = await running(store, repository);
      const applied = new Map([["lab/web", { hash: "h", revision: "r", atMs: 1 }]]);
      await store.finishSync(first.id, success, applied, historyOf(first, success), []);
      const second = await running(store, repository);
      await store.finishSync(second.id, success, new Map([["lab/web", undefined]]), historyOf(second, success), []);
      expect((await store.readApplied(repository)).size).toBe(0);
    });
    check("history is newest first and bounded", async (store, repository) => {
      for (let index = 0; index < 503; index += 1) {
        const record = await running(store, repository, { subject: `commit ${index}` });
        await store.finishSync(record.id, success, new Map(), historyOf(record, success, index), []);
      }
      const history = await store.listHistory(repository, 1_000);
      expect(history).toHaveLength(500);
      expect(history[0]?.subject).toBe("commit 502");
    });
    check("an unknown sync is not there", async (store) => {
      expect(await store.readSync("unknown")).toBeUndefined();
      expect(await store.supersedeSync("unknown", "x", [])).toBe(false);
    });

    check("starts a sync only in place of the one it was planned after", async (store, repository) => {
      const first = await running(store, repository);
      const stale = syncRecord(repository, { revision: "b".repeat(40) });
      expect(await store.createSync(stale, [pass], [], { syncId: undefined })).toBe(false);
      expect(await store.readSync(stale.id)).toBeUndefined();
      expect((await store.readBranch(repository)).currentSync).toBe(first.id);
      const next = syncRecord(repository, { revision: "c".repeat(40) });
      expect(await store.createSync(next, [pass], [], { syncId: first.id })).toBe(true);
      expect(await store.createSync(next, [pass], [], { syncId: first.id })).toBe(true);
      expect((await store.readBranch(repository)).currentSync).toBe(next.id);
    });
  });

  describe("progress", () => {
    const word = (text: string, atMs = Date.now()) => ({
      cluster: "lab",
      application: "shop",
      virdomain: "web-1",
      kind: "create",
      text,
      atMs,
    });

    check("keeps the last word of each operation until it ends, and no old ones", async (store) => {
      expect(await store.listProgress("s1")).toEqual([]);
      await store.recordProgress("s1", "lab", "op-1", word("downloading 5%"));
      await store.recordProgress("s1", "lab", "op-1", word("downloading 60%"));
      await store.recordProgress("s1", "lab", "op-2", word("uploading 1%"));
      await store.recordProgress("s1", "lab", "op-3", word("left behind", Date.now() - 3_600_000));
      await store.recordProgress("s2", "lab", "op-1", word("elsewhere"));
      const texts = async (): Promise<string[]> => (await store.listProgress("s1")).map(({ text }) => text).sort();
      expect(await texts()).toEqual(["downloading 60%", "uploading 1%"]);
      await store.recordProgress("s1", "lab", "op-1", undefined);
      expect(await texts()).toEqual(["uploading 1%"]);
    });
  });

  describe("passes and outcomes", () => {
    check("a pass is replaced only by who knows its round", async (store, repository) => {
      const { id } = await running(store, repository);
      const held: ClusterPass = { ...pass, held: { code: "cluster-updating", reason: "r", sinceMs: 1, attempts: 2 } };
      expect(await store.replacePass(id, held, 1)).toBe(true);
      expect(await store.replacePass(id, { ...pass, round: 2 }, 1)).toBe(true);
      expect(await store.replacePass(id, { ...pass, round: 2 }, 1)).toBe(false);
      expect(await store.readPass(id, "lab")).toEqual({ ...pass, round: 2 });
    });
    check("the first outcome of an operation stays", async (store, repository) => {
      const { id } = await running(store, repository);
      await store.recordOutcomes(id, "lab", 1, new Map([["op", done]]));
      await store.recordOutcomes(id, "lab", 1, new Map([["op", stale]]));
      expect(await store.readOutcomes(id, "lab")).toEqual(new Map([["op", done]]));
    });
    check("outcomes belong to their round", async (store, repository) => {
      const { id } = await running(store, repository);
      await store.recordOutcomes(id, "lab", 1, new Map([["op", done]]));
      await store.replacePass(id, { ...pass, round: 2 }, 1);
      await store.recordOutcomes(id, "lab", 1, new Map([["op", stale]]));
      expect((await store.readOutcomes(id, "lab")).size).toBe(0);
    });
    check("a hold keeps the round's outcomes", async (store, repository) => {
      const { id } = await running(store, repository);
      await store.recordOutcomes(id, "lab", 1, new Map([["op", done]]));
      await store.replacePass(id, pass, 1);
      expect((await store.readOutcomes(id, "lab")).size).toBe(1);
    });
    check("results are kept by cluster", async (store, repository) => {
      const { id } = await running(store, repository);
      const result: ClusterResult = {
        cluster: "lab",
        rounds: 1,
        completed: [],
        failures: [],
        conflicts: [],
        blocked: [],
        refused: [],
        atMs: 4,
      };
      await store.recordClusterResult(id, result);
      expect(await store.readClusterResults(id)).toEqual(new Map([["lab", result]]));
    });
  });

  describe("operations", () => {
    check("begins, counts the attempt, and ends with an outcome", async (store, repository) => {
      const record = await running(store, repository);
      const { attempt, hold } = await begin(store, request(record));
      expect(attempt).toBe(1);
      expect(await store.countUnderWay(record.id)).toBe(1);
      expect(await store.countUnderWay(record.id, "lab")).toBe(1);
      expect(await store.countUnderWay(record.id, "la")).toBe(0);
      expect(await hold.renew()).toBe(true);
      await hold.end(done);
      expect(await store.countUnderWay(record.id)).toBe(0);
      expect(await store.readOutcomes(record.id, "lab")).toEqual(new Map([["create-web-1", done]]));
      expect(await store.beginOperation(request(record))).toEqual({ kind: "already-finished" });
    });
    check("ends without an outcome to be tried again, with a larger token", async (store, repository) => {
      const record = await running(store, repository);
      const first = await begin(store, request(record));
      await first.hold.end(undefined);
      const second = await begin(store, request(record));
      expect(second.attempt).toBe(2);
      expect(second.hold.token).toBeGreaterThan(first.hold.token);
    });
    check("waiting costs no attempt", async (store, repository) => {
      const record = await running(store, repository);
      const first = await begin(store, request(record));
      await first.hold.end(undefined, { free: true });
      expect(await begin(store, request(record))).toMatchObject({ attempt: 1 });
    });
    check("refuses a VM another operation holds, of whatever sync", async (store, repository) => {
      const record = await running(store, repository);
      const newer = await running(store, repository);
      const { hold } = await begin(store, request(record));
      expect(await store.beginOperation(request(newer))).toEqual({ kind: "virdomain-held" });
      await hold.end(undefined);
      expect(await store.beginOperation(request(newer))).toMatchObject({ kind: "begun" });
    });
    check("and a person's hold on a VM exclude each other", async (store, repository) => {
      const record = await running(store, repository);
      const { cluster, virdomainKey } = request(record);
      const { hold } = await begin(store, request(record));
      expect(await store.holdVirdomain(cluster, virdomainKey, 30_000)).toBeUndefined();
      await hold.end(undefined);
      const lease = await store.holdVirdomain(cluster, virdomainKey, 30_000);
      expect(lease?.token).toBeGreaterThan(hold.token);
      expect(await store.holdVirdomain(cluster, virdomainKey, 30_000)).toBeUndefined();
      expect(await store.beginOperation(request(record))).toEqual({ kind: "virdomain-held" });
      expect(await lease?.renew()).toBe(true);
      await lease?.release();
      expect(await store.beginOperation(request(record))).toMatchObject({ kind: "begun" });
    });
    check("refuses when its sync does not run", async (store, repository) => {
      const record = await running(store, repository);
      await store.supersedeSync(record.id, "newer", []);
      expect(await store.beginOperation(request(record))).toEqual({ kind: "not-running" });
      expect(await store.beginOperation(request(syncRecord(repository)))).toEqual({ kind: "not-running" });
    });
    check("refuses an operation of an earlier round", async (store, repository) => {
      const record = await running(store, repository);
      await store.replacePass(record.id, { ...pass, round: 2 }, 1);
      expect(await store.beginOperation(request(record))).toEqual({ kind: "already-finished" });
    });
    check("keeps to the limit of a cluster", async (store, repository) => {
      const cluster = `cluster-${repository}`;
      const record = syncRecord(repository);
      await store.createSync(record, [{ ...pass, cluster }], []);
      const ask = (name: string) =>
        store.beginOperation(request(record, { cluster, operationId: name, virdomainKey: name, clusterLimit: 2 }));
      const answers = await Promise.all(["a", "b", "c", "d"].map(ask));
      expect(answers.map((answer) => answer.kind).sort()).toEqual(["begun", "begun", "cluster-full", "cluster-full"]);
      const begun = answers.find((answer) => answer.kind === "begun");
      await begun?.hold.end(undefined);
      expect(await ask("e")).toMatchObject({ kind: "begun" });
    });
    check("lets go of what a dead process held, which costs no attempt", async (store, repository) => {
      const cluster = `cluster-${repository}`;
      const record = syncRecord(repository);
      await store.createSync(record, [{ ...pass, cluster }], []);
      const asked = request(record, { cluster, clusterLimit: 1 });
      const dead = await begin(store, { ...asked, ttlMs: 50 });
      const retried = await expectBegun(store, asked);
      expect(retried.attempt).toBe(1);
      expect(await dead.hold.renew()).toBe(false);
      await expect(dead.hold.end(done)).rejects.toMatchObject({ code: "lease-lost" });
      expect((await store.readOutcomes(record.id, cluster)).size).toBe(0);
      expect(await store.countUnderWay(record.id, cluster)).toBe(1);
    });
    check("a renewed hold outlives its first term", async (store, repository) => {
      const record = await running(store, repository);
      const { hold } = await begin(store, request(record, { ttlMs: 400 }));
      const until = Date.now() + 1_000;
      await expect.poll(async () => (await hold.renew()) && Date.now() > until, { timeout: 5_000 }).toBe(true);
      expect(await store.beginOperation(request(record))).toEqual({ kind: "virdomain-held" });
    });
    check("the outcome of an earlier round is not written", async (store, repository) => {
      const record = await running(store, repository);
      const { hold } = await begin(store, request(record));
      await store.replacePass(record.id, { ...pass, round: 2 }, 1);
      await hold.end(done);
      expect((await store.readOutcomes(record.id, "lab")).size).toBe(0);
    });
  });

  describe("outbox", () => {
    check("keeps its order and forgets what was delivered", async (store, repository) => {
      const first = statusEntry(repository, "a", "first");
      const final = statusEntry(repository, "b", "final");
      await store.appendOutbox([first]);
      await store.appendOutbox([final, first]);
      expect(await store.listOutbox(repository, 2)).toEqual([
        { ...first, sequence: 1 },
        { ...final, sequence: 2 },
      ]);
      expect(await store.listOutboxRepositories()).toContain(repository);
      await store.removeOutbox(repository, [1, 2]);
      expect(await store.listOutbox(repository, 9)).toEqual([{ ...first, sequence: 3 }]);
      await store.removeOutbox(repository, [3]);
      expect(await store.listOutboxRepositories()).not.toContain(repository);
    });
    check("what is always told waits beside what is newest", async (store, repository) => {
      const latest = (description: string) => statusEntry(repository, "a", "latest", description);
      await store.appendOutbox([latest("one"), latest("two"), statusEntry(repository, "a", "final"), latest("three")]);
      const waiting = await store.listOutbox(repository, 9);
      expect(waiting.map(({ message }) => message.kind === "status" && message.status.description)).toEqual([
        "final",
        "three",
      ]);
    });
    check("waiting progress gives way to anything newer of its key", async (store, repository) => {
      await store.appendOutbox([
        statusEntry(repository, "a", "first"),
        statusEntry(repository, "a", "progress"),
        statusEntry(repository, "b", "progress"),
        statusEntry(repository, "a", "final"),
      ]);
      const waiting = await store.listOutbox(repository, 9);
      expect(waiting.map(({ key, weight }) => `${key} ${weight}`)).toEqual(["a first", "b progress", "a final"]);
    });
  });

  describe("smaller records", () => {
    check("pull requests, plans and conditions are read back", async (store, repository) => {
      const pull = {
        number: 7,
        fingerprint: "f",
        head: "h",
        base: "b",
        draft: false,
        planId: "p",
        conflictFiles: [],
        returnsTo: { revision: "r", syncedAtMs: 1 },
        touches: ["lab/shop/web/1"],
        rivals: [8],
      };
      await store.recordPullRequest(repository, pull, [statusEntry(repository, "comment/7", "final")]);
      expect(await store.readPullRequest(repository, 7)).toEqual(pull);
      expect(await store.readPullRequest(repository, 8)).toBeUndefined();
      expect(await store.listOutbox(repository, 5)).toHaveLength(1);
      await store.savePlan(repository, '{"id":1}');
      expect(await store.readPlan(repository)).toBe('{"id":1}');
      const condition = { atMs: 1, ok: false, code: "git-unreachable", message: "no route" };
      await store.recordCondition(repository, condition);
      expect(await store.readCondition(repository)).toEqual(condition);
    });
    check("a deploy log is written together with what it tells", async (store, repository) => {
      const syncId = `${repository}-sync`;
      expect(await store.readDeployLog(syncId)).toBeUndefined();
      const log = { landed: [{ pullRequest: 7, commit: "c" }], told: "t", final: false };
      await store.recordDeployLog(syncId, log, [statusEntry(repository, "comment/7", "progress")]);
      expect(await store.readDeployLog(syncId)).toEqual(log);
      expect(await store.listOutbox(repository, 5)).toHaveLength(1);
      await store.recordDeployLog(syncId, { ...log, final: true }, []);
      expect(await store.readDeployLog(syncId)).toMatchObject({ final: true });
    });
    check("approvals are remembered once each, newest first", async (store, repository) => {
      const one = { id: "a1", planId: "p1", by: "ada", atMs: 5_000, pullRequest: 7, url: "https://forge/7#1" };
      const two = { ...one, id: "a2", atMs: 9_000, url: undefined };
      expect(await store.listApprovals(repository)).toEqual([]);
      for (const approval of [one, two, one]) await store.recordApproval(repository, approval);
      expect(await store.listApprovals(repository)).toEqual([two, one]);
      for (let index = 0; index < 1_100; index += 100)
        await Promise.all(
          Array.from({ length: 100 }, (_none, more) =>
            store.recordApproval(repository, { ...one, id: `b${index + more}`, atMs: 10_000 + index + more }),
          ),
        );
      const kept = await store.listApprovals(repository);
      expect(kept.length).toBeLessThanOrEqual(1_000);
      expect(kept[0]?.id).toBe("b1099");
    });
    check("how far comments were read is remembered, and what was answered", async (store, repository) => {
      expect(await store.readCommentCursor(repository)).toBeUndefined();
      await store.recordCommentCursor(repository, 1_795_866_245_123);
      expect(await store.readCommentCursor(repository)).toBe(1_795_866_245_123);
      expect(await store.readCommentCursor(`${repository}-other`)).toBeUndefined();
      expect(await store.listAnswered(repository)).toEqual(new Set());
      await store.recordAnswered(repository, "12/plan", 1);
      await store.recordAnswered(repository, "13/plan", 2);
      await store.recordAnswered(repository, "12/plan", 3);
      expect(await store.listAnswered(repository)).toEqual(new Set(["12/plan", "13/plan"]));
    });
    check("pauses: one for each scope, until removed or over", async (store, repository) => {
      const scope = { kind: "repository" as const, repository };
      const pause = { scope, reason: "first", by: "ada", atMs: 5, untilMs: undefined };
      const vm = { kind: "virdomain" as const, cluster: repository, virdomain: "web" };
      const mine = async (nowMs: number) =>
        (await store.listPauses(nowMs)).filter((one) => JSON.stringify(one.scope).includes(repository));
      await store.setPause(pause);
      await store.setPause({ ...pause, reason: "second" });
      await store.setPause({ ...pause, scope: vm, atMs: 4, untilMs: 100 });
      expect(await mine(99)).toEqual([
        { ...pause, scope: vm, atMs: 4, untilMs: 100 },
        { ...pause, reason: "second", untilMs: undefined },
      ]);
      expect(await mine(100)).toMatchObject([{ scope }]);
      expect(await store.removePause(scope)).toBe(true);
      expect(await store.removePause(scope)).toBe(false);
      expect(await mine(0)).toMatchObject([{ scope: vm }]);
      expect(await store.removePause(vm)).toBe(true);
    });
    check(
      "VMs sighted on a cluster: the last reading counts, without those that go through us",
      async (store, cluster) => {
        expect(await store.listSighted(cluster)).toEqual([]);
        await store.recordSighted(cluster, ["a", "b"]);
        await store.recordSighted(cluster, ["c", "b"]);
        expect(await store.listSighted(cluster)).toEqual(["b", "c"]);
        await store.expectGone(cluster, "b");
        expect(await store.listSighted(cluster)).toEqual(["c"]);
        // A reading that began before the deletion.
        await store.recordSighted(cluster, ["b", "c"]);
        expect(await store.listSighted(cluster)).toEqual(["c"]);
        expect(await store.forgetSighted(cluster)).toBe(1);
        expect(await store.listSighted(cluster)).toEqual([]);
        expect(await store.forgetSighted(cluster)).toBe(0);
      },
    );
    check("VMs that are to be switched on again, each until that is settled", async (store, repository) => {
      const mine = async () => [...(await store.listOwedStarts())].filter((key) => key.startsWith(repository)).sort();
      expect(await mine()).toEqual([]);
      await store.oweStart(`${repository}/fleet/shop/web`);
      await store.oweStart(`${repository}/fleet/shop/web`);
      await store.oweStart(`${repository}/fleet/shop/db`);
      expect(await mine()).toEqual([`${repository}/fleet/shop/db`, `${repository}/fleet/shop/web`]);
      await store.settleStart(`${repository}/fleet/shop/web`);
      await store.settleStart(`${repository}/fleet/shop/web`);
      expect(await mine()).toEqual([`${repository}/fleet/shop/db`]);
      await store.settleStart(`${repository}/fleet/shop/db`);
    });
    check("a wish to sync is taken once", async (store, repository) => {
      await store.requestSync(repository);
      await store.requestSync(repository);
      expect(await store.takeSyncRequest(repository)).toBe("everything");
      expect(await store.takeSyncRequest(repository)).toBeUndefined();
    });
    check("wishes for targets add up, each once, and only for their repository", async (store, repository) => {
      await store.requestSync(repository, ["lab/shop", "lab/till"]);
      await store.requestSync(`${repository}-other`, ["lab/other"]);
      await store.requestSync(repository, ["lab/till", "north/shop"]);
      expect(await store.takeSyncRequest(repository)).toEqual(new Set(["lab/shop", "lab/till", "north/shop"]));
      expect(await store.takeSyncRequest(repository)).toBeUndefined();
      expect(await store.takeSyncRequest(`${repository}-other`)).toEqual(new Set(["lab/other"]));
    });
    check("a wish for everything outdoes those for targets, whichever came first", async (store, repository) => {
      await store.requestSync(repository, ["lab/shop"]);
      await store.requestSync(repository);
      await store.requestSync(repository, ["lab/till"]);
      expect(await store.takeSyncRequest(repository)).toBe("everything");
      expect(await store.takeSyncRequest(repository)).toBeUndefined();
    });
    check("VMs that drifted are remembered until forgotten, with what is told of them", async (store, repository) => {
      const web = {
        cluster: "lab",
        application: "shop",
        virdomain: "web",
        targetHash: "a",
        correctedAtMs: [1, 2],
        paths: ["memory"],
      };
      const given = { ...web, virdomain: "db", gaveUp: { atMs: 3, revision: "c" } };
      expect(await store.readDrift(repository)).toEqual({ records: new Map(), restartedAtMs: 0 });
      await store.recordDrift(repository, new Map([["lab/web", web]]), []);
      await store.recordDrift(repository, new Map([["lab/db", given]]), [statusEntry(repository, "a", "final")]);
      expect((await store.readDrift(repository)).records).toEqual(
        new Map<string, object>([
          ["lab/web", web],
          ["lab/db", given],
        ]),
      );
      expect((await store.readDrift(`${repository}-other`)).records.size).toBe(0);
      expect(await store.listOutbox(repository, 10)).toMatchObject([{ weight: "final" }]);
      await store.recordDrift(
        repository,
        new Map([
          ["lab/web", undefined],
          ["lab/never", undefined],
        ]),
        [],
      );
      expect([...(await store.readDrift(repository)).records.keys()]).toEqual(["lab/db"]);
    });
    check("a person's wish says from when on drift counts, one for targets does not", async (store, repository) => {
      await store.requestSync(repository, ["lab/shop"]);
      expect((await store.readDrift(repository)).restartedAtMs).toBe(0);
      await store.requestSync(repository);
      const { restartedAtMs } = await store.readDrift(repository);
      expect(Math.abs(restartedAtMs - Date.now())).toBeLessThan(60_000);
    });
  });
}
