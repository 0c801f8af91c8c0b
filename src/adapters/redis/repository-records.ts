import type {
  AppliedTarget,
  DeployLog,
  HistoryEntry,
  OutboxEntry,
  PullRequestRecord,
  RepositoryCondition,
  StateStore,
  StoredOutboxEntry,
} from "../../ports/state-store.ts";
import { appendEntries, observe, refuseTip, removeEntries, writeAndTell } from "./lua.ts";
import { type StoreClient, fromJson, historyLimit, mapFromJson, retentionMs, scriptEntries } from "./store-client.ts";

/** A pull request nobody touches for so long is planned anew. */
const pullRequestRetentionMs = 3 * retentionMs;

type RecordsPart = Pick<
  StateStore,
  | "readBranch"
  | "recordObserved"
  | "listUnsettledCommits"
  | "refuseTip"
  | "readApplied"
  | "listHistory"
  | "findSyncedTree"
  | "readPullRequest"
  | "recordPullRequest"
  | "readDeployLog"
  | "recordDeployLog"
  | "savePlan"
  | "readPlan"
  | "recordCondition"
  | "readCondition"
>;

/** What is remembered of a repository: its branch, history, pull requests, plans and wishes. */
export function repositoryRecords({ keys, run, ask }: StoreClient): RecordsPart {
  async function writeTelling(key: string, record: object, ttlMs: number, entries: readonly OutboxEntry[]) {
    const args = [keys.prefix, JSON.stringify(record), ttlMs, JSON.stringify(scriptEntries(entries))];
    await run(writeAndTell, [key], args);
  }
  return {
    async readBranch(repository) {
      const fields = ["observed", "currentSync", "synced", "attempted", "refused"] as const;
      const values = await ask((redis) => redis.hmget(keys.branch(repository), ...fields));
      const [observed, currentSync, synced, attempted, refused] = values.map((value) => value ?? undefined);
      return { observed, currentSync, synced, attempted, refused };
    },
    async recordObserved(repository, tip, arrived) {
      await run(observe, [keys.branch(repository), keys.unsettled(repository)], [tip, ...arrived]);
    },
    listUnsettledCommits: (repository) => ask((redis) => redis.zrange(keys.unsettled(repository), "0", "-1")),
    async refuseTip(repository, entry, finals, current) {
      const names = [keys.branch(repository), keys.unsettled(repository), keys.history(repository)];
      const pairs = [...finals].map(([commit, final]) => [commit, scriptEntries([final])[0]]);
      const args = [keys.prefix, entry.revision, JSON.stringify(entry), historyLimit, JSON.stringify(pairs)];
      args.push(current.syncId ?? "");
      return Number(await run(refuseTip, names, args));
    },

    async readApplied(repository) {
      return mapFromJson(await ask((redis) => redis.hgetall(keys.applied(repository)))) as ReadonlyMap<
        string,
        AppliedTarget
      >;
    },
    async listHistory(repository, limit) {
      const texts = await ask((redis) => redis.lrange(keys.history(repository), 0, limit - 1));
      return texts.map((text) => fromJson(text) as HistoryEntry);
    },
    async findSyncedTree(repository, treeId) {
      const text = await ask((redis) => redis.hget(keys.trees(repository), treeId));
      return text === null ? undefined : (fromJson(text) as { revision: string; syncedAtMs: number });
    },

    async readPullRequest(repository, number) {
      const text = await ask((redis) => redis.get(keys.pullRequest(repository, number)));
      return text === null ? undefined : (fromJson(text) as PullRequestRecord);
    },
    async recordPullRequest(repository, record, entries) {
      await writeTelling(keys.pullRequest(repository, record.number), record, pullRequestRetentionMs, entries);
    },

    async readDeployLog(syncId) {
      const text = await ask((redis) => redis.get(keys.deployLog(syncId)));
      return text === null ? undefined : (fromJson(text) as DeployLog);
    },
    recordDeployLog: (syncId, log, entries) => writeTelling(keys.deployLog(syncId), log, retentionMs, entries),

    async savePlan(id, json) {
      await ask((redis) => redis.set(keys.plan(id), json, "PX", retentionMs));
    },
    async readPlan(id) {
      return (await ask((redis) => redis.get(keys.plan(id)))) ?? undefined;
    },

    async recordCondition(repository, condition) {
      await ask((redis) => redis.hset(keys.conditions, repository, JSON.stringify(condition)));
    },
    async readCondition(repository) {
      const text = await ask((redis) => redis.hget(keys.conditions, repository));
      return text === null ? undefined : (fromJson(text) as RepositoryCondition);
    },
  };
}

type OutboxPart = Pick<StateStore, "appendOutbox" | "listOutbox" | "removeOutbox" | "listOutboxRepositories">;

/** What the forge has still to be told. */
export function outbox({ keys, run, ask }: StoreClient): OutboxPart {
  return {
    async appendOutbox(entries) {
      if (entries.length === 0) return;
      await run(appendEntries, [keys.outboxRepositories], [keys.prefix, JSON.stringify(scriptEntries(entries))]);
    },
    async listOutbox(repository, limit) {
      const members = await ask((redis) => redis.zrange(keys.outbox(repository), "0", String(limit - 1)));
      return members.map(storedEntry);
    },
    async removeOutbox(repository, sequences) {
      if (sequences.length === 0) return;
      await run(removeEntries, [keys.outbox(repository), keys.outboxRepositories], [repository, ...sequences]);
    },
    listOutboxRepositories: () => ask((redis) => redis.smembers(keys.outboxRepositories)),
  };
}

/** Members are `<sequence> <json>`: two equal entries stay two. */
function storedEntry(member: string): StoredOutboxEntry {
  const space = member.indexOf(" ");
  const entry = fromJson(member.slice(space + 1)) as OutboxEntry;
  return { ...entry, sequence: Number(member.slice(0, space)) };
}
