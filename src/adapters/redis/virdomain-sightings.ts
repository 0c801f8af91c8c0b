import type { VirdomainSightings } from "../../ports/virdomain-sightings.ts";
import type { StoreClient } from "./store-client.ts";
import { now, script } from "./lua.ts";

/** Longer than any reading that began before a deletion can take; a deletion that was refused is forgotten then. */
const expectedMs = 60 * 60 * 1000;

/** KEYS sighted, leaving; ARGV how long VMs are expected to go, ids... */
const replace = script(`${now}
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[1]))
redis.call('DEL', KEYS[1])
for index = 2, #ARGV do
  if not redis.call('ZSCORE', KEYS[2], ARGV[index]) then redis.call('SADD', KEYS[1], ARGV[index]) end
end
return 1`);

/** KEYS sighted, leaving; ARGV id. */
const letGo = script(`${now}
redis.call('ZADD', KEYS[2], now, ARGV[1])
return redis.call('SREM', KEYS[1], ARGV[1])`);

/** Two sets for each cluster: what was seen there last, and what is on its way out through us, by when that began. */
export function virdomainSightings({ keys, run, ask }: StoreClient): VirdomainSightings {
  const setsOf = (cluster: string): readonly string[] => [keys.sighted(cluster), keys.leaving(cluster)];
  return {
    async recordSighted(cluster, ids) {
      await run(replace, setsOf(cluster), [expectedMs, ...ids]);
    },
    listSighted: async (cluster) => (await ask((redis) => redis.smembers(keys.sighted(cluster)))).sort(),
    async expectGone(cluster, id) {
      await run(letGo, setsOf(cluster), [id]);
    },
    async forgetSighted(cluster) {
      const known = await ask((redis) => redis.scard(keys.sighted(cluster)));
      await ask((redis) => redis.del(keys.sighted(cluster)));
      return known;
    },
  };
}
