import { describe, expect, it } from "vitest";
import type { PullRequest } from "../../ports/forge.ts";
import type { Approval, Pause, PullRequestRecord } from "../../ports/state-store.ts";
import type { Command } from "../../sync/comment-commands.ts";
import { type CommandScene, carryOut } from "./carry-out.ts";

const saidAtMs = 1_795_866_245_000;
const hour = 3_600_000;
const deletions = { losing: ["lab/a"], approvalId: "ab12cd34ef56", allowed: false, budget: 0 };
const plan = { id: "0c4be71d9a52", offline: false, deletions };
const record: PullRequestRecord = {
  number: 7,
  fingerprint: "f",
  head: "head",
  base: "base",
  draft: false,
  planId: plan.id,
  conflictFiles: [],
  returnsTo: undefined,
  touches: [],
  rivals: [],
  plannedAtMs: saidAtMs - 1,
};

interface Facts {
  readonly pull?: Partial<PullRequest> | "merged";
  readonly record?: Partial<PullRequestRecord> | "none";
  readonly plan?: object | "gone";
  /** Keys that wait in the outbox. */
  readonly waiting?: readonly string[];
  readonly sync?: object;
  /** Pull requests of every commit. */
  readonly brought?: readonly number[];
  readonly pauses?: readonly Pause[];
}

/** A command by alice on pull request 7, and what it left behind. */
async function give(facts: Facts, command: Command) {
  const approvals: Approval[] = [];
  const records: PullRequestRecord[] = [];
  const pauses = new Map((facts.pauses ?? []).map((pause) => [JSON.stringify(pause.scope), pause]));
  const known = facts.record === "none" ? undefined : { ...record, ...facts.record };
  const store = {
    readPullRequest: () => Promise.resolve(known),
    recordPullRequest: (_repository: string, one: PullRequestRecord) => Promise.resolve(void records.push(one)),
    readPlan: () => Promise.resolve(facts.plan === "gone" ? undefined : JSON.stringify({ ...plan, ...facts.plan })),
    recordApproval: (_repository: string, approval: Approval) => Promise.resolve(void approvals.push(approval)),
    listOutbox: () => Promise.resolve((facts.waiting ?? []).map((key) => ({ key }))),
    readBranch: () => Promise.resolve({ currentSync: facts.sync === undefined ? undefined : "sync" }),
    readSync: () => Promise.resolve({ record: facts.sync }),
    setPause: (pause: Pause) => Promise.resolve(void pauses.set(JSON.stringify(pause.scope), pause)),
    removePause: (scope: Pause["scope"]) => Promise.resolve(pauses.delete(JSON.stringify(scope))),
  };
  const pull = { number: 7, head: "head", fork: false, ...(facts.pull === "merged" ? {} : facts.pull) };
  const scene = {
    engine: { store },
    repository: {
      config: { name: "fleet", branch: "main" },
      forge: { findPullRequestsOf: () => Promise.resolve((facts.brought ?? []).map((number) => ({ number }))) },
    },
    comment: {
      id: "12",
      pullRequest: 7,
      author: { login: "alice", id: "1" },
      own: false,
      body: "",
      url: "https://forge/7#12",
      updatedAtMs: saidAtMs,
    },
    pulls: () => Promise.resolve(facts.pull === "merged" ? [] : [pull]),
    signal: new AbortController().signal,
  };
  const outcome = await carryOut(scene as unknown as CommandScene, command);
  return { ...outcome, approvals, records, pauses: [...pauses.values()] };
}

const approve = (facts: Facts, id?: string) => give(facts, { kind: "approve", id });
const sync = {
  revision: "1a2b3c4d5e6f7a8b",
  commits: ["1a2b3c4d5e6f7a8b"],
  planId: "99beef99beef",
  startedAtMs: saidAtMs - hour,
  deletions,
};

describe("approve", () => {
  it("remembers who, when, where and for what, and has the plan made anew", async () => {
    const { reaction, text, approvals, records } = await approve({});
    expect({ reaction, text }).toEqual({ reaction: "+1", text: undefined });
    expect(approvals).toEqual([
      { id: "ab12cd34ef56", planId: plan.id, by: "alice", atMs: saidAtMs, pullRequest: 7, url: "https://forge/7#12" },
    ]);
    expect(records).toEqual([{ ...record, base: "", fingerprint: "" }]);
  });

  it.each<[string, Facts, string | undefined]>([
    ["the plan's id", {}, plan.id],
    ["the approval's id", {}, "ab12cd34ef56"],
    ["the beginning of one", {}, "0c4be71"],
    ["the id of a plan that is newer than the word", { record: { plannedAtMs: saidAtMs + hour } }, plan.id],
    ["a plan of the same second", { record: { plannedAtMs: saidAtMs + 999 } }, undefined],
    ["the id, after the merge", { pull: "merged", sync }, "ab12cd34ef56"],
    ["what came with the pull request, after the merge", { pull: "merged", sync, brought: [3, 7] }, undefined],
  ])("takes %s", async (_what, facts, id) => {
    const { reaction, approvals } = await approve(facts, id);
    expect(reaction).toBe("+1");
    expect(approvals).toHaveLength(1);
  });

  it.each<[string, Facts, string | undefined, string, RegExp]>([
    ["no plan yet", { record: "none" }, undefined, "confused", /no plan/],
    ["a plan no longer kept", { plan: "gone" }, undefined, "confused", /no plan/],
    ["nothing lost", { plan: { deletions: { ...deletions, losing: [] } } }, undefined, "-1", /loses no data/],
    ["a plan without the clusters", { plan: { offline: true } }, undefined, "confused", /\/kraken plan/],
    ["another id", {}, "1234567", "confused", /plan now is `0c4be71d9a52`/],
    ["an id of few characters", {}, "0c4be7", "confused", /plan now is/],
    [
      "a plan newer than the word",
      { record: { plannedAtMs: saidAtMs + 1_000 } },
      undefined,
      "confused",
      /changed about/,
    ],
    ["a plan nobody has seen yet", { waiting: ["comment/7"] }, undefined, "confused", /changed about/],
    ["nothing that waits", { pull: "merged" }, undefined, "-1", /Nothing that came/],
    [
      "a sync that lacks nothing",
      { pull: "merged", sync: { ...sync, deletions: { ...deletions, allowed: true } }, brought: [7] },
      undefined,
      "-1",
      /Nothing that came/,
    ],
    [
      "a sync of other changes",
      { pull: "merged", sync, brought: [3] },
      undefined,
      "confused",
      /1a2b3c4d5e6f.*approve ab12cd34ef56/,
    ],
    [
      "a sync begun after the word",
      { pull: "merged", sync: { ...sync, startedAtMs: saidAtMs + hour }, brought: [7] },
      undefined,
      "confused",
      /changed about/,
    ],
    ["another id, after the merge", { pull: "merged", sync, brought: [7] }, "1234567", "confused", /99beef99beef/],
  ])("refuses %s", async (_what, facts, id, reaction, words) => {
    const outcome = await approve(facts, id);
    expect(outcome.reaction).toBe(reaction);
    expect(outcome.text).toMatch(words);
    expect(outcome.approvals).toEqual([]);
  });
});

describe("plan", () => {
  it("has a plan made anew, and trusts a fork's head only where that was shown", async () => {
    const again = { ...record, base: "", fingerprint: "" };
    expect(await give({}, { kind: "plan" })).toMatchObject({ reaction: "eyes", records: [again] });
    expect(await give({ record: "none" }, { kind: "plan" })).toMatchObject({ reaction: "eyes", records: [] });
    const fork = { pull: { fork: true } };
    const trusted = { ...again, trustedHead: "head" };
    expect(await give(fork, { kind: "plan" })).toMatchObject({ reaction: "eyes", records: [trusted] });
  });

  it.each<[string, Facts]>([
    ["a fork pushed to meanwhile", { pull: { fork: true, head: "evil" } }],
    ["a fork planned after the word", { pull: { fork: true }, record: { plannedAtMs: saidAtMs + hour } }],
    ["a fork not planned yet", { pull: { fork: true }, record: "none" }],
    ["a pull request that is not open", { pull: "merged" }],
  ])("does not take %s", async (_what, facts) => {
    expect(await give(facts, { kind: "plan" })).toMatchObject({ reaction: "confused", records: [] });
  });
});

describe("pause and resume", () => {
  const scope = { kind: "repository", repository: "fleet" } as const;
  const held: Pause = { scope, reason: "racks", by: "alice", atMs: saidAtMs, untilMs: saidAtMs + 2 * hour };

  it("holds the repository from when it was said", async () => {
    const timed = await give({}, { kind: "pause", forMs: 2 * hour, reason: "racks" });
    expect(timed).toMatchObject({ reaction: "+1", pauses: [held] });
    expect(timed.text).toMatch(/until 20\d\d-/);
    const open = await give({}, { kind: "pause", forMs: undefined, reason: "" });
    expect(open.pauses).toEqual([{ ...held, reason: "", untilMs: undefined }]);
    expect(open.text).toMatch(/until somebody resumes/);
  });

  it("ends that, and says when there was nothing to end", async () => {
    expect(await give({ pauses: [held] }, { kind: "resume" })).toMatchObject({ reaction: "+1", pauses: [] });
    expect(await give({}, { kind: "resume" })).toMatchObject({ reaction: "confused", text: "`fleet` is not paused." });
  });
});
