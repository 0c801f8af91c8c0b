import type { VirdomainSightings } from "../../ports/virdomain-sightings.ts";
import type { StoreClient } from "./store-client.ts";
import { script } from "./lua.ts";

/** Longer than any deletion, and any reading that began before it, can take. */
const expectedMs = 24 * 60 * 60 * 1000;

/** KEYS sighted, leaving; ARGV ids... */
const replace = script(`
redis.call('DEL', KEYS[1])
for _, id in ipairs(ARGV) do
  if redis.call('SISMEMBER', KEYS[2], id) == 0 then redis.call('SADD', KEYS[1], id) end
end
return 1`);

/** KEYS sighted, leaving; ARGV id, time to live. */
const letGo = script(`
redis.call('SADD', KEYS[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return redis.call('SREM', KEYS[1], ARGV[1])`);

/** Two sets for each cluster: what was seen there last, and what is on its way out through us. */
export function virdomainSightings({ keys, run, ask }: StoreClient): VirdomainSightings {
  const setsOf = (cluster: string): readonly string[] => [keys.sighted(cluster), keys.leaving(cluster)];
  return {
    async recordSighted(cluster, ids) {
      await run(replace, setsOf(cluster), ids);
    },
    listSighted: async (cluster) => (await ask((redis) => redis.smembers(keys.sighted(cluster)))).sort(),
    async expectGone(cluster, id) {
      await run(letGo, setsOf(cluster), [id, expectedMs]);
    },
    async forgetSighted(cluster) {
      const known = await ask((redis) => redis.scard(keys.sighted(cluster)));
      await ask((redis) => redis.del(keys.sighted(cluster)));
      return known;
    },
  };
}
