import {
  type AppliedTarget,
  type AppliedTargets,
  type HistoryEntry,
  inMotion,
  type OperationProgress,
  type StateStore,
} from "../../ports/state-store.ts";
import type { ClusterPass, ClusterResult, OperationOutcome, SyncRecord, SyncState } from "../../sync/sync-record.ts";
import { createSync, finishSync, recordOutcomes, recordResult, replacePass, supersedeSync } from "./lua.ts";
import { type StoreClient, fromJson, historyLimit, mapFromJson, retentionMs, scriptEntries } from "./store-client.ts";

const treeLimit = 1_000;
/** How long the last word of an operation whose process died is shown. */
const progressMs = 600_000;

type SyncPart = Pick<
  StateStore,
  | "createSync"
  | "readSync"
  | "readSyncStates"
  | "supersedeSync"
  | "finishSync"
  | "readPass"
  | "replacePass"
  | "readOutcomes"
  | "recordOutcomes"
  | "recordClusterResult"
  | "readClusterResults"
  | "recordProgress"
  | "listProgress"
>;

const keptRecords = 16;
const keptPasses = 256;

/**
 * Syncs, their passes per cluster, and what became of their operations. Every operation asks for its sync's record,
 * which never changes, and for its pass, which changes once a round: both are parsed once in each process, so that an
 * operation does not cost more the more of them there are.
 */
export function syncs({ keys, run, ask }: StoreClient): SyncPart {
  const records = new Map<string, SyncRecord>();
  const passes = new Map<string, { readonly version: string; readonly pass: ClusterPass }>();
  return {
    async createSync(record, passes, entries, replaces) {
      const created = await run(
        createSync,
        [
          keys.branch(record.repository),
          keys.sync(record.id),
          keys.passes(record.id),
          keys.rounds(record.id),
          keys.applied(record.repository),
        ],
        [
          keys.prefix,
          record.id,
          record.revision,
          JSON.stringify(record),
          JSON.stringify({ kind: "running" } satisfies SyncState),
          JSON.stringify({
            passes: passes.map((pass) => [pass.cluster, String(pass.round), JSON.stringify(pass)]),
            targets: Object.keys(record.targets),
            moving: JSON.stringify({
              hash: inMotion,
              revision: record.revision,
              atMs: record.startedAtMs,
            } satisfies AppliedTarget),
            entries: scriptEntries(entries),
            ...(replaces === undefined ? {} : { replaces: replaces.syncId ?? "" }),
          }),
        ],
      );
      return created === 1;
    },

    readSync,

    async readSyncStates(ids) {
      const texts = await ask((redis) => Promise.all(ids.map((id) => redis.hget(keys.sync(id), "state"))));
      return texts.map((text) => (text === null ? undefined : (fromJson(text) as SyncState)));
    },

    async supersedeSync(id, by, entries) {
      const state: SyncState = { kind: "superseded", by, atMs: Date.now() };
      const args = [
        keys.prefix,
        state.kind,
        JSON.stringify(state),
        retentionMs,
        JSON.stringify(scriptEntries(entries)),
      ];
      return (await run(supersedeSync, syncKeys(id), args)) === 1;
    },

    async finishSync(id, verdict, applied, history, entries) {
      const record = (await readSync(id))?.record;
      if (record === undefined) return false;
      const { repository } = record;
      const state: SyncState = { kind: "finished", atMs: history.finishedAtMs, verdict };
      const names = [
        ...syncKeys(id),
        keys.branch(repository),
        keys.unsettled(repository),
        keys.applied(repository),
        keys.history(repository),
        keys.trees(repository),
        keys.treeOrder(repository),
      ];
      const answer = await run(finishSync, names, [
        keys.prefix,
        state.kind,
        JSON.stringify(state),
        retentionMs,
        JSON.stringify(scriptEntries(entries)),
        JSON.stringify(finishing(record, verdict.state === "success", applied, history)),
      ]);
      return answer === 1;
    },

    async readPass(syncId, cluster) {
      const name = `${syncId}/${cluster}`;
      const known = passes.get(name);
      const version = `version ${cluster}`;
      if (known !== undefined && (await ask((redis) => redis.hget(keys.passes(syncId), version))) === known.version)
        return known.pass;
      const [text, read] = await ask((redis) => redis.hmget(keys.passes(syncId), cluster, version));
      if (typeof text !== "string") return undefined;
      const pass = fromJson(text) as ClusterPass;
      if (typeof read === "string") keep(passes, name, { version: read, pass }, keptPasses);
      return pass;
    },

    async replacePass(syncId, pass, expectedRound) {
      const names = [
        keys.passes(syncId),
        keys.rounds(syncId),
        keys.outcomes(syncId, pass.cluster),
        keys.attempts(syncId, pass.cluster),
      ];
      return (await run(replacePass, names, [pass.cluster, expectedRound, pass.round, JSON.stringify(pass)])) === 1;
    },

    async readOutcomes(syncId, cluster) {
      return mapFromJson(await ask((redis) => redis.hgetall(keys.outcomes(syncId, cluster)))) as ReadonlyMap<
        string,
        OperationOutcome
      >;
    },

    async recordOutcomes(syncId, cluster, round, outcomes) {
      if (outcomes.size === 0) return;
      const pairs = [...outcomes].flatMap(([operation, outcome]) => [operation, JSON.stringify(outcome)]);
      const names = [keys.rounds(syncId), keys.outcomes(syncId, cluster)];
      await run(recordOutcomes, names, [cluster, round, retentionMs, ...pairs]);
    },

    async recordClusterResult(syncId, result) {
      const names = [keys.sync(syncId), keys.results(syncId)];
      await run(recordResult, names, [result.cluster, JSON.stringify(result), retentionMs]);
    },

    async recordProgress(syncId, cluster, operationId, progress) {
      const name = keys.progress(syncId);
      const field = `${cluster}/${operationId}`;
      await ask(async (redis) => {
        if (progress === undefined) await redis.hdel(name, field);
        else await redis.multi().hset(name, field, JSON.stringify(progress)).pexpire(name, progressMs).exec();
      });
    },

    async listProgress(syncId) {
      const texts = await ask((redis) => redis.hvals(keys.progress(syncId)));
      const oldestMs = Date.now() - progressMs;
      return texts.map((text) => fromJson(text) as OperationProgress).filter(({ atMs }) => atMs >= oldestMs);
    },

    async readClusterResults(syncId) {
      return mapFromJson(await ask((redis) => redis.hgetall(keys.results(syncId)))) as ReadonlyMap<
        string,
        ClusterResult
      >;
    },
  };

  async function readSync(id: string): ReturnType<StateStore["readSync"]> {
    const known = records.get(id);
    const fields = known === undefined ? ["state", "record"] : ["state"];
    const [state, text] = await ask((redis) => redis.hmget(keys.sync(id), ...fields));
    if (typeof state !== "string") return undefined;
    const record = known ?? (typeof text === "string" ? (fromJson(text) as SyncRecord) : undefined);
    if (record === undefined) return undefined;
    keep(records, id, record, keptRecords);
    return { record, state: fromJson(state) as SyncState };
  }

  function syncKeys(id: string): readonly string[] {
    return [keys.sync(id), keys.passes(id), keys.rounds(id), keys.results(id), keys.underWay(id)];
  }
}

/** Remembers a value as the newest of at most `limit`. */
function keep<T>(map: Map<string, T>, key: string, value: T, limit: number): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.size > limit ? map.keys().next().value : undefined;
  if (oldest !== undefined) map.delete(oldest);
}

/** What the script needs to settle a sync, all texts but the limits and the score. */
function finishing(record: SyncRecord, success: boolean, applied: AppliedTargets, history: HistoryEntry) {
  return {
    revision: record.revision,
    success,
    commits: record.commits,
    applied: [...applied].map(([key, target]) => [key, target === undefined ? "" : JSON.stringify(target)]),
    history: JSON.stringify(history),
    historyLimit,
    treeId: record.treeId ?? "",
    tree: JSON.stringify({ revision: record.revision, syncedAtMs: history.finishedAtMs }),
    treeScore: history.finishedAtMs,
    treeLimit,
  };
}
