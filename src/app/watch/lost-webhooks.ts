import type { RepositoryConfig } from "../../config/config.ts";
import type { Engine } from "../engine.ts";

/** Something new on the forge that a poll found. */
export interface Found {
  readonly revision: string;
  /** Its head; undefined for the branch's tip. */
  readonly pullRequest?: number;
}

/** How long a webhook may come after the poll that was quicker. */
const graceMs = 10_000;
const rememberedHeads = 1_000;

/**
 * The time since which a webhook counts as having announced what a poll finds now: two polls, or back to one poll before
 * the last good one after a time in which nothing was polled. Undefined when nobody knows since when things are new.
 */
export function announcedSince(nowMs: number, pollMs: number, lastGoodMs: number | undefined): number | undefined {
  return lastGoodMs === undefined ? undefined : Math.min(nowMs - 2 * pollMs, lastGoodMs - pollMs);
}

/** Judges what polls of one repository found. Tells nothing of a repository without webhooks. */
export interface LostWebhooks {
  /** One poll with a look at the branch before and after it; answers whether its tip moved. */
  around(poll: () => Promise<void>): Promise<boolean>;
  foundHead(pullRequest: number, head: string): void;
  ended(): Promise<void>;
}

/**
 * Makes a lost webhook visible. Polling heals it, so nobody would notice that every change waits for the poll: what no
 * webhook announced is told and counted.
 */
export function watchForLostWebhooks(engine: Engine, name: string, signal: AbortSignal): LostWebhooks {
  const { clock, store } = engine;
  const heads = new Set<string>();
  let lastGoodMs: number | undefined;
  let first = true;
  let sinceMs: number | undefined;
  let found: Found[] = [];
  let judging: Promise<void> | undefined;

  function repository(): RepositoryConfig | undefined {
    const config = engine.config().repositories.find((candidate) => candidate.name === name);
    return config?.webhookSecret === undefined ? undefined : config;
  }

  function notice(change: Found): void {
    if (sinceMs === undefined || repository() === undefined) return;
    found.push(change);
    judging ??= judge(sinceMs)
      .catch((error: unknown) => {
        if (!signal.aborted) engine.log.debug({ err: error, repository: name }, "webhooks cannot be compared now");
      })
      .finally(() => {
        judging = undefined;
      });
  }

  async function judge(since: number): Promise<void> {
    await clock.sleep(graceMs, signal);
    const changes = found;
    found = [];
    const { lastAtMs } = await store.readWebhooks(name);
    if (lastAtMs !== undefined && lastAtMs >= since) return;
    for (const change of changes)
      engine.log.warn(
        { repository: name, ...change, lastWebhookMs: lastAtMs },
        "a poll found what no webhook announced: look at the forge's list of deliveries",
      );
    await store.countWebhooks(name, "missed", changes.length);
  }

  return {
    async around(poll) {
      const settings = repository();
      if (first) {
        const condition = await store.readCondition(name);
        lastGoodMs = condition?.ok === true ? condition.atMs : undefined;
        first = false;
      }
      const startedMs = clock.now();
      sinceMs = settings === undefined ? undefined : announcedSince(startedMs, settings.pollMs, lastGoodMs);
      const before = await store.readBranch(name);
      await poll();
      lastGoodMs = startedMs;
      const { observed } = await store.readBranch(name);
      const moved = observed !== before.observed;
      if (moved && before.observed !== undefined && observed !== undefined) notice({ revision: observed });
      return moved;
    },
    foundHead(pullRequest, head) {
      const key = `${pullRequest} ${head}`;
      if (heads.has(key)) return;
      if (heads.size >= rememberedHeads) heads.clear();
      heads.add(key);
      notice({ revision: head, pullRequest });
    },
    ended: async () => judging,
  };
}
