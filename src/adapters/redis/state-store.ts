import type { StateStore } from "../../ports/state-store.ts";
import { commentRecords } from "./comment-records.ts";
import type { RedisConnection } from "./connection.ts";
import { stateKeys } from "./keys.ts";
import { driftRecords } from "./drift-records.ts";
import { leases } from "./lease.ts";
import { operationGate } from "./operation-gate.ts";
import { defaultLookMs, pollWishes } from "./poll-wishes.ts";
import { owedStarts } from "./owed-starts.ts";
import { pauses } from "./pauses.ts";
import { outbox, repositoryRecords } from "./repository-records.ts";
import { storeClient } from "./store-client.ts";
import { syncs } from "./syncs.ts";
import { virdomainSightings } from "./virdomain-sightings.ts";
import { webhookRecords } from "./webhook-records.ts";

/**
 * The state store in Redis. Whatever must happen whole is one Lua script (see lua.ts). Throws `redis-unavailable` at
 * once when Redis does not answer.
 */
export async function openStateStore(options: {
  readonly connection: RedisConnection;
  readonly instance: string;
  /** How often a wait for a wish looks by itself, in case a message was lost. */
  readonly lookMs?: number;
}): Promise<StateStore> {
  const { connection, instance, lookMs = defaultLookMs } = options;
  const redis = connection.producer();
  const client = storeClient(redis, stateKeys(instance), connection.address);
  const ping = async (): Promise<void> => {
    await client.ask(() => redis.ping());
  };
  try {
    await ping();
  } catch (error) {
    redis.disconnect();
    throw error;
  }
  const wishes = pollWishes(client, connection, lookMs);
  return {
    ...leases(client),
    ...repositoryRecords(client),
    ...syncs(client),
    ...operationGate(client),
    ...outbox(client),
    ...wishes.store,
    ...webhookRecords(client),
    ...commentRecords(client),
    ...pauses(client),
    ...virdomainSightings(client),
    ...driftRecords(client),
    ...owedStarts(client),
    ping,
    async [Symbol.asyncDispose]() {
      wishes[Symbol.dispose]();
      await closeClient(redis);
    },
  };
}

/** Sends what is queued, then closes; a Redis that is away does not hold us up. */
async function closeClient(redis: ReturnType<RedisConnection["producer"]>): Promise<void> {
  if (redis.status === "ready") await redis.quit().catch(() => redis.disconnect());
  else redis.disconnect();
}
