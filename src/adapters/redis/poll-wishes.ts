import { Redis } from "ioredis";
import type { PollWishes } from "../../ports/poll-wishes.ts";
import type { RedisConnection } from "./connection.ts";
import type { StoreClient } from "./store-client.ts";
import { hurryPoll, requestSync, requestTargets, takeSyncRequest } from "./wish-scripts.ts";

/** A message that was lost on its way (a broken connection, a server that forbids channels) costs so much. */
export const defaultLookMs = 5_000;

/** One wait: `rung` keeps a message that comes while the number is being read. */
interface Waiter {
  readonly repository: string;
  rung: boolean;
  wake: () => void;
}

/**
 * Wishes for a poll. Each is a step of a number in Redis and a message on a channel; a wait ends when the number is not
 * the one this process saw last. So nothing is lost while nobody waits, and every process hears it.
 */
export function pollWishes(
  { keys, run, ask }: StoreClient,
  connection: RedisConnection,
  lookMs: number,
): Disposable & { readonly store: PollWishes } {
  const seen = new Map<string, string>();
  const waiters = new Set<Waiter>();
  let listener: Redis | undefined;

  function ring(repository: string | undefined): void {
    for (const waiter of waiters) {
      if (repository !== undefined && waiter.repository !== repository) continue;
      waiter.rung = true;
      waiter.wake();
    }
  }

  /** Connects when somebody waits first; from then on ioredis connects and subscribes again by itself. */
  function listen(): void {
    if (listener !== undefined) return;
    listener = new Redis({ ...connection.workerOptions });
    // The client of the store tells of outages.
    listener.on("error", () => undefined);
    listener.on("ready", () => ring(undefined));
    listener.on("message", (_channel: string, repository: string) => ring(repository));
    listener.subscribe(keys.hurryChannel).then(
      () => ring(undefined),
      () => undefined,
    );
  }

  async function isWanted(repository: string): Promise<boolean> {
    const number = await ask((redis) => redis.hget(keys.hurries, repository)).catch(() => undefined);
    if (number === undefined || (number ?? "0") === (seen.get(repository) ?? "0")) return false;
    seen.set(repository, number ?? "0");
    return true;
  }

  return {
    store: {
      async hurryPoll(repository) {
        await run(hurryPoll, [keys.hurries], [keys.hurryChannel, repository]);
      },
      async requestSync(repository, targets, options) {
        const args = [keys.hurryChannel, repository];
        if (targets === undefined && options?.quiet === true)
          await ask((redis) => redis.sadd(keys.syncRequests, repository));
        else if (targets === undefined)
          await run(requestSync, [keys.hurries, keys.syncRequests, keys.driftRestarts], args);
        else if (options?.quiet === true) await ask((redis) => redis.sadd(keys.syncTargets(repository), ...targets));
        else await run(requestTargets, [keys.hurries, keys.syncTargets(repository)], [...args, ...targets]);
      },
      async takeSyncRequest(repository) {
        const taken = await run(takeSyncRequest, [keys.syncRequests, keys.syncTargets(repository)], [repository]);
        if (!Array.isArray(taken)) return "everything";
        return taken.length === 0 ? undefined : new Set(taken as readonly string[]);
      },
      async waitForPoll(repository, timeoutMs, signal) {
        const until = performance.now() + timeoutMs;
        const waiter: Waiter = { repository, rung: false, wake: () => undefined };
        waiters.add(waiter);
        listen();
        try {
          while (!signal.aborted) {
            if (await isWanted(repository)) return true;
            const leftMs = until - performance.now();
            if (leftMs <= 0) return false;
            await nap(waiter, Math.min(leftMs, lookMs), signal);
          }
          return false;
        } finally {
          waiters.delete(waiter);
        }
      },
    },
    [Symbol.dispose]() {
      listener?.disconnect();
    },
  };
}

/** Until the waiter is rung, the time is over or the signal aborts. */
async function nap(waiter: Waiter, ms: number, signal: AbortSignal): Promise<void> {
  if (!waiter.rung && !signal.aborted) {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      waiter.wake = () => {
        clearTimeout(timer);
        resolve();
      };
      signal.addEventListener("abort", waiter.wake, { once: true });
    });
    signal.removeEventListener("abort", waiter.wake);
    waiter.wake = () => undefined;
  }
  waiter.rung = false;
}
