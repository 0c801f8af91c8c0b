import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createCourier } from "../../src/app/outbox/deliver-outbox.ts";
import { commentEntry, statusEntry } from "../../src/app/outbox/messages.ts";
import type { OpenEngine } from "../../src/app/compose.ts";
import { planMarker } from "../../src/report/markdown.ts";
import { World } from "../support/world.ts";

/** What may go wrong with one request, each healed by asking again. */
const troubles = {
  "no connection": { kind: "drop-before" },
  "a lost answer": { kind: "drop-after" },
  "502": { kind: "status", status: 502, body: "<html>Bad Gateway</html>" },
  "401 for a moment": { kind: "status", status: 401, body: { message: "Bad credentials" } },
  "422 for a moment": { kind: "status", status: 422, body: { message: "Validation Failed" } },
  "403 with Retry-After": {
    kind: "status",
    status: 403,
    headers: { "retry-after": "1" },
    body: { message: "You have exceeded a secondary rate limit" },
  },
} as const;
type Trouble = keyof typeof troubles;

interface Fault {
  readonly trouble: Trouble;
  readonly method: "GET" | "POST" | "PATCH";
  readonly times: number;
}

/** A message refused so often is given up, which other tests are about. */
const refusals = 5;
const faults: fc.Arbitrary<readonly Fault[]> = fc
  .array(
    fc.record({
      trouble: fc.constantFrom(...(Object.keys(troubles) as Trouble[])),
      method: fc.constantFrom("GET", "POST", "PATCH"),
      times: fc.integer({ min: 1, max: 3 }),
    }),
    { maxLength: 4 },
  )
  .filter(
    (all) => all.reduce((sum, { trouble, times }) => sum + (trouble.startsWith("422") ? times : 0), 0) < refusals,
  );
const message = fc.record({
  commit: fc.integer({ min: 0, max: 2 }),
  weight: fc.constantFrom("first", "progress", "final"),
});
const place = { repository: "fleet", prefix: "kraken-gitops", context: "sync" as const };

describe("the outbox under random faults of the forge", () => {
  it("loses nothing, repeats nothing, keeps the order and says the final last", async () => {
    await using w = await World.open();
    const engine = await w.engine();
    await fc.assert(
      fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 8 }), faults, async (messages, broken) => {
        const commits = [await newCommit(w), await newCommit(w), await newCommit(w)];
        const wanted = commits.map((): string[] => []);
        const settled = new Set<number>();
        const entries = [];
        for (const [index, { commit, weight }] of messages.entries()) {
          if (settled.has(commit)) continue;
          if (weight === "final") settled.add(commit);
          const text = `${weight} ${index}`;
          if (weight !== "progress") wanted[commit]?.push(text);
          const state = weight === "final" ? "success" : "pending";
          entries.push(statusEntry(place, commits[commit] ?? "", weight, state, text));
        }
        const pull = await openPull(w);
        for (const text of ["one", "two"])
          entries.push(commentEntry("fleet", pull, "latest", planMarker("kraken-gitops", "fleet"), comment(text)));
        await engine.store.appendOutbox(entries);
        for (const { trouble, method, times } of broken)
          await w.control(w.forgeUrl, "POST", "faults", {
            faults: [
              { ...troubles[trouble], match: { method, path: "/repos/acme/fleet/(statuses|commits|issues)" }, times },
            ],
          });
        await drain(engine);
        await w.control(w.forgeUrl, "DELETE", "faults");
        for (const [index, commit] of commits.entries()) {
          const told = (await w.statuses(commit)).map(({ description }) => description);
          expect(new Set(told).size).toBe(told.length);
          expect(told.filter((text) => !text.startsWith("progress"))).toEqual(wanted[index]);
          if (settled.has(index)) expect(told.at(-1)).toMatch(/^final/);
        }
        expect((await w.forge.comments(pull)).map(({ body }) => body)).toEqual([comment("two")]);
      }),
      { numRuns: 12, endOnFailure: true },
    );
  }, 180_000);

  it("delivers what waited through a long outage, without the progress nobody needs any more", async () => {
    let nowMs = Date.now();
    await using w = await World.open();
    const engine = await w.engine();
    const patient: OpenEngine = { ...engine, clock: { now: () => nowMs, sleep: () => Promise.resolve() } };
    const courier = createCourier(patient);
    const commit = await newCommit(w);
    await w.control(w.forgeUrl, "POST", "faults", {
      faults: [{ kind: "status", status: 503, body: {}, match: { path: "/repos/" }, times: 1_000_000 }],
    });
    await engine.store.appendOutbox([statusEntry(place, commit, "first", "pending", "Syncing")]);
    const until = nowMs + 3_600_000;
    let tries = 0;
    while (nowMs < until) {
      const answer = await courier.deliver({ schemaVersion: 1, repository: "fleet" }, AbortSignal.timeout(60_000));
      if (answer.kind === "done") throw new Error("delivered to a forge that is away");
      tries += 1;
      nowMs += Math.max(answer.inMs, 1_000);
      // What happens meanwhile: progress nobody will ever need, and the verdict.
      if (tries === 3)
        await engine.store.appendOutbox([statusEntry(place, commit, "progress", "pending", "Half of it")]);
      if (tries === 5) await engine.store.appendOutbox([statusEntry(place, commit, "final", "success", "Synced")]);
      if (tries === 6) nowMs = until;
    }
    await w.control(w.forgeUrl, "DELETE", "faults");
    await drain(engine);
    expect((await w.statuses(commit)).map(({ description }) => description)).toEqual(["Syncing", "Synced"]);
  }, 180_000);
});

const comment = (text: string): string => `${planMarker("kraken-gitops", "fleet")}\n\n${text}`;

/** Delivers until nothing waits, as a worker does, without its longer pauses. */
async function drain(engine: OpenEngine): Promise<void> {
  const courier = createCourier(engine);
  for (let turn = 0; turn < 200; turn += 1) {
    if ((await engine.store.listOutbox("fleet", 1)).length === 0) return;
    const answer = await courier.deliver({ schemaVersion: 1, repository: "fleet" }, AbortSignal.timeout(60_000));
    if (answer.kind === "again") await new Promise((resolve) => setTimeout(resolve, Math.min(answer.inMs, 200)));
  }
  throw new Error("the outbox is not empty");
}

let commits = 0;
async function newCommit(w: World): Promise<string> {
  commits += 1;
  await w.tree.git("switch", "--quiet", "main");
  return w.push({ [`docs/${commits}.md`]: `${commits}` }, `Commit ${commits}`);
}

async function openPull(w: World): Promise<number> {
  commits += 1;
  await w.tree.branch(`idea-${commits}`);
  await w.commit({ [`docs/${commits}.md`]: `${commits}` }, `Idea ${commits}`);
  await w.tree.push(`idea-${commits}`);
  return w.forge.openPullRequest("An idea", `idea-${commits}`);
}
