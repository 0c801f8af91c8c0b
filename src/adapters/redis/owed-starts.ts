import type { StateStore } from "../../ports/state-store.ts";
import { retentionMs, type StoreClient } from "./store-client.ts";

type OwedPart = Pick<StateStore, "oweStart" | "settleStart" | "listOwedStarts">;

/** VMs that were switched off for a change: a sorted set by time, so that what nobody settles is forgotten in the end. */
export function owedStarts({ keys, ask }: StoreClient): OwedPart {
  return {
    async oweStart(key) {
      await ask((redis) => redis.zadd(keys.owedStarts, Date.now(), key));
    },
    async settleStart(key) {
      await ask((redis) => redis.zrem(keys.owedStarts, key));
    },
    async listOwedStarts() {
      return new Set(await ask((redis) => redis.zrangebyscore(keys.owedStarts, Date.now() - retentionMs, "+inf")));
    },
  };
}
