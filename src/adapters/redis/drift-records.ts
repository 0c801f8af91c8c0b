import type { StateStore } from "../../ports/state-store.ts";
import type { DriftRecord } from "../../sync/drift-pace.ts";
import { recordDrift } from "./lua.ts";
import { fromJson, mapFromJson, scriptEntries, type StoreClient } from "./store-client.ts";

type DriftPart = Pick<StateStore, "readDrift" | "recordDrift">;

/** VMs that drifted: one hash for each repository, a field for each VM. */
export function driftRecords({ keys, run, ask }: StoreClient): DriftPart {
  return {
    async readDrift(repository) {
      const [records, restarted] = await Promise.all([
        ask((redis) => redis.hgetall(keys.drift(repository))),
        ask((redis) => redis.hget(keys.driftRestarts, repository)),
      ]);
      return {
        records: mapFromJson(records) as ReadonlyMap<string, DriftRecord>,
        restartedAtMs: restarted === null ? 0 : Number(fromJson(restarted)),
      };
    },
    async recordDrift(repository, records, entries) {
      if (records.size === 0 && entries.length === 0) return;
      const fields = [...records].map(([key, record]) => [key, record === undefined ? "" : JSON.stringify(record)]);
      await run(
        recordDrift,
        [keys.drift(repository)],
        [keys.prefix, JSON.stringify(fields), JSON.stringify(scriptEntries(entries))],
      );
    },
  };
}
