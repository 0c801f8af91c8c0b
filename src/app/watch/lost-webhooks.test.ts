import { describe, expect, it } from "vitest";
import type { BranchRecord, RepositoryCondition } from "../../ports/state-store.ts";
import type { Engine } from "../engine.ts";
import { announcedSince, watchForLostWebhooks } from "./lost-webhooks.ts";

const pollMs = 15_000;

describe("since when a webhook announces what a poll finds", () => {
  it.each<readonly [title: string, nowMs: number, lastGoodMs: number | undefined, since: number | undefined]>([
    ["two polls", 1_000_000, 985_000, 970_000],
    ["a poll before the last good one after a while of trouble", 1_000_000, 400_000, 385_000],
    ["unknown before the first good poll", 1_000_000, undefined, undefined],
  ])("%s", (_title, nowMs, lastGoodMs, since) => {
    expect(announcedSince(nowMs, pollMs, lastGoodMs)).toBe(since);
  });
});

/** A repository whose polls find what `tip` says, with the memory of an earlier process. */
function scene(options: { readonly condition?: RepositoryCondition; readonly webhooks?: boolean } = {}) {
  const state = {
    nowMs: 1_000_000,
    tip: "a" as string | undefined,
    lastAtMs: undefined as number | undefined,
    missed: 0,
    duringGrace: () => undefined as void,
  };
  const warned: object[] = [];
  const engine = {
    clock: { now: () => state.nowMs, sleep: () => Promise.resolve(state.duringGrace()) },
    log: { warn: (fields: object) => warned.push(fields), debug: () => undefined },
    config: () => ({
      repositories: [{ name: "fleet", pollMs, webhookSecret: options.webhooks === false ? undefined : {} }],
    }),
    store: {
      readCondition: () => Promise.resolve(options.condition),
      readBranch: () => Promise.resolve({ observed: state.tip } as BranchRecord),
      readWebhooks: () => Promise.resolve({ lastAtMs: state.lastAtMs }),
      countWebhooks: (_name: string, _kind: string, count: number) => {
        state.missed += count;
        return Promise.resolve();
      },
    },
  };
  const lost = watchForLostWebhooks(engine as unknown as Engine, "fleet", new AbortController().signal);
  const poll = async (tip?: string): Promise<void> => {
    state.nowMs += pollMs;
    await lost.around(() => {
      state.tip = tip ?? state.tip;
      return Promise.resolve();
    });
  };
  return { state, warned, lost, poll };
}

const good = (atMs: number): RepositoryCondition => ({ atMs, ok: true, code: undefined, message: "watching" });

describe("a lost webhook", () => {
  it("is told once with its commit, and counted", async () => {
    const { poll, lost, warned, state } = scene();
    await poll();
    await poll("b");
    await poll();
    await lost.ended();
    expect(warned).toEqual([{ repository: "fleet", revision: "b", lastWebhookMs: undefined }]);
    expect(state.missed).toBe(1);
  });

  it("is none when one came shortly before, or shortly after", async () => {
    const { poll, lost, state } = scene();
    await poll();
    state.lastAtMs = state.nowMs - pollMs + 1;
    await poll("b");
    await lost.ended();
    expect(state.missed).toBe(0);
    await poll();
    state.duringGrace = () => {
      state.lastAtMs = state.nowMs + 5_000;
    };
    await poll("c");
    await lost.ended();
    expect(state.missed).toBe(0);
  });

  it("is none when one came while nobody polled, and one when none did", async () => {
    const heard = scene({ condition: good(100_000) });
    heard.state.lastAtMs = 500_000;
    await heard.poll("b");
    await heard.lost.ended();
    expect(heard.state.missed).toBe(0);
    const unheard = scene({ condition: good(100_000) });
    unheard.state.lastAtMs = 50_000;
    await unheard.poll("b");
    await unheard.lost.ended();
    expect(unheard.state.missed).toBe(1);
  });

  it("is nobody's before the first good poll, on the first sight of a branch, and without webhooks", async () => {
    const first = scene();
    await first.poll("b");
    const fresh = scene({ condition: good(100_000) });
    fresh.state.tip = undefined;
    await fresh.poll("b");
    const none = scene({ webhooks: false });
    await none.poll();
    await none.poll("b");
    none.lost.foundHead(1, "h");
    for (const { lost, state } of [first, fresh, none]) {
      await lost.ended();
      expect(state.missed).toBe(0);
    }
  });

  it("is told of a pull request's head once", async () => {
    const { poll, lost, warned, state } = scene();
    await poll();
    await poll();
    for (let times = 0; times < 3; times += 1) lost.foundHead(7, "h");
    await lost.ended();
    lost.foundHead(7, "h");
    await lost.ended();
    expect(warned).toEqual([{ repository: "fleet", revision: "h", pullRequest: 7, lastWebhookMs: undefined }]);
    expect(state.missed).toBe(1);
  });
});
