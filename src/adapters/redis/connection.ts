import { readFile } from "node:fs/promises";
import { Redis } from "ioredis";
import type { RedisConfig } from "../../config/config.ts";
import { WatcherError, messageOf } from "../../lib/errors.ts";
import type { Log } from "../../ports/log.ts";
import { ensurePrivateRedis } from "./private-server.ts";

/** The part of ioredis' options used here, in a form that ioredis and BullMQ both take. */
export type ClientOptions = {
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly db?: number;
  readonly username?: string;
  readonly password?: string;
  readonly tls?: { readonly servername: string; readonly ca?: string };
  readonly connectTimeout?: number;
  readonly retryStrategy?: (times: number) => number;
  readonly maxRetriesPerRequest?: number | null;
  readonly commandTimeout?: number;
};

/** How to reach Redis: a server of the operator's, or the private one. Disposing it ends a private server that is ours. */
export interface RedisConnection extends AsyncDisposable {
  /** For messages; never holds a password. */
  readonly address: string;
  /** A client whose commands fail with `redis-unavailable` within seconds while Redis is away. */
  producer(): Redis;
  /** Options of clients that wait for Redis as long as it takes, and connect again by themselves. */
  readonly workerOptions: ClientOptions;
}

/** Longest wait of a producer for an answer, a reconnect included. */
const commandTimeoutMs = 5_000;
/** Tries to reconnect before waiting commands fail: 50 + 100 + 200 + 400 + 800 + 1000 ms, enough for a private server to come back. */
const producerTries = 6;

/** Does not connect yet, but a private server runs when this answers. Throws `redis-missing` or `redis-unavailable`. */
export async function openRedis(config: RedisConfig, dataDir: string, log: Log): Promise<RedisConnection> {
  if (config.url === undefined) {
    const server = await ensurePrivateRedis(dataDir, { log });
    return connection(server.options, server.address, log, async () => server[Symbol.asyncDispose]());
  }
  const url = new URL(config.url);
  return connection(await optionsOf(url, config), addressOf(url), log, () => Promise.resolve());
}

function connection(target: ClientOptions, address: string, log: Log, dispose: () => Promise<void>): RedisConnection {
  const common: ClientOptions = {
    ...target,
    retryStrategy: (times) => Math.min(50 * 2 ** (times - 1), 1_000),
    connectTimeout: 5_000,
  };
  return {
    address,
    producer: () => {
      const options: ClientOptions = {
        ...common,
        maxRetriesPerRequest: producerTries,
        commandTimeout: commandTimeoutMs,
      };
      const redis = new Redis(options);
      reportOutages(redis, address, log);
      return redis;
    },
    workerOptions: { ...common, maxRetriesPerRequest: null },
    [Symbol.asyncDispose]: dispose,
  };
}

async function optionsOf(url: URL, config: RedisConfig): Promise<ClientOptions> {
  const password = await config.password?.read();
  const credentials = {
    ...(url.username === "" ? {} : { username: decodeURIComponent(url.username) }),
    ...(password === undefined ? {} : { password }),
  };
  if (url.protocol === "unix:") return { ...credentials, path: decodeURIComponent(url.pathname) };
  const database = Number(url.pathname.slice(1));
  return {
    ...credentials,
    host: url.hostname.replace(/^\[(.*)\]$/, "$1"),
    port: url.port === "" ? 6379 : Number(url.port),
    ...(database > 0 ? { db: database } : {}),
    ...(url.protocol === "rediss:" ? { tls: { servername: url.hostname, ...(await caOf(config)) } } : {}),
  };
}

async function caOf(config: RedisConfig): Promise<{ readonly ca?: string }> {
  if (config.caFile === undefined) return {};
  try {
    return { ca: await readFile(config.caFile, "utf8") };
  } catch (cause) {
    throw new WatcherError("config-invalid", `cannot read redis.caFile ${config.caFile}: ${messageOf(cause)}`, {
      cause,
    });
  }
}

function addressOf(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname === "/" ? "" : url.pathname}`;
}

/** One line when Redis goes away and one when it is back, however often ioredis tries in between. */
export function reportOutages(client: Pick<Redis, "on">, address: string, log: Log): void {
  let away = false;
  client.on("error", (error: unknown) => {
    if (!away) log.warn({ address, reason: messageOf(error) }, "redis is away, connecting again");
    away = true;
  });
  client.on("ready", () => {
    if (away) log.info({ address }, "redis is back");
    away = false;
  });
}

/** Answers of Redis that are about its own state and not about our command. */
const serverTrouble =
  /^(LOADING|READONLY|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|OOM|MISCONF|NOAUTH|WRONGPASS|NOPERM|ERR max number of clients)\b/;
/** Ways ioredis says that a command did not get through. */
const connectionTrouble =
  /Connection is closed|max retries per request|Command timed out|Command aborted|writeable|Socket closed|connect ETIMEDOUT|ECONN|ENOENT|EPIPE|ENOTFOUND|EAI_AGAIN|certificate|WRONG_VERSION_NUMBER/i;

/** ioredis explains this one by an option of its own, which tells an operator nothing. */
function inWords(message: string): string {
  return /max retries per request/.test(message) ? "it cannot be connected to" : message;
}

/** The error of a Redis call for people: `redis-unavailable` with the address when Redis is the trouble, unchanged for a bug. */
export function toRedisError(error: unknown, address: string): unknown {
  if (error instanceof WatcherError || !(error instanceof Error)) return error;
  const credentials = /^(NOAUTH|WRONGPASS|NOPERM)\b/.test(error.message);
  if (!serverTrouble.test(error.message) && !connectionTrouble.test(error.message)) return error;
  const advice = credentials ? "check redis.passwordFile and the user in redis.url" : "check that it runs";
  return new WatcherError(
    "redis-unavailable",
    `redis at ${address} does not answer as it should: ${inWords(error.message)}; ${advice}`,
    { cause: error },
  );
}
