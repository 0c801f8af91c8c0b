import type { Redis } from "ioredis";
import type { OutboxEntry } from "../../ports/state-store.ts";
import { toRedisError } from "./connection.ts";
import type { Keys } from "./keys.ts";
import { type Script, runScript } from "./lua.ts";

/** What the parts of the state store share: one client, the names of the keys, and errors people understand. */
export interface StoreClient {
  readonly keys: Keys;
  /** Runs a script and answers what it returns. Throws `redis-unavailable`. */
  readonly run: (script: Script, keys: readonly string[], args: readonly (string | number)[]) => Promise<unknown>;
  /** Runs plain commands. Throws `redis-unavailable`. */
  readonly ask: <T>(command: (redis: Redis) => Promise<T>) => Promise<T>;
}

export function storeClient(redis: Redis, keys: Keys, address: string): StoreClient {
  const ask = async <T>(command: (redis: Redis) => Promise<T>): Promise<T> => {
    try {
      return await command(redis);
    } catch (error) {
      throw toRedisError(error, address);
    }
  };
  return { keys, ask, run: (script, names, args) => ask(() => runScript(redis, script, names, args)) };
}

/** Finished syncs, plans and what belongs to them are kept this long. */
export const retentionMs = 30 * 24 * 60 * 60 * 1000;

/** Entries of a repository's history. */
export const historyLimit = 500;

/** Outbox entries in the form the scripts take them: everything text, so that Lua never re-encodes a number. */
export function scriptEntries(
  entries: readonly OutboxEntry[],
): readonly (readonly [repository: string, key: string, weight: string, json: string])[] {
  return entries.map((entry) => [entry.repository, entry.key, entry.weight, JSON.stringify(entry)]);
}

/** Values were written by this store under its own keys, so callers know their shape. */
export function fromJson(text: string): unknown {
  return JSON.parse(text);
}

export function mapFromJson(hash: Readonly<Record<string, string>>): ReadonlyMap<string, unknown> {
  return new Map(Object.entries(hash).map(([field, text]) => [field, fromJson(text)]));
}
