import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { Config, SecretReference } from "../../src/config/config.ts";
import { openRecorded, plantedSecret } from "../support/recorded-log.ts";
import { waitFor } from "../support/wait-for.ts";
import { manifest, type World } from "../support/world.ts";

const shop = (cpu: number, names: readonly string[] = ["web"]): Record<string, string> => ({
  "manifests/shop.yaml": manifest(
    "shop",
    names.map((name) => ({ name, cpu })),
  ),
});

function withToken(config: Config, token: SecretReference): Config {
  const repositories = config.repositories.map((repository) =>
    repository.forge.type === "github" ? { ...repository, forge: { ...repository.forge, token } } : repository,
  );
  return { ...config, repositories };
}

interface ForgeFault {
  readonly kind: string;
  readonly match: { readonly method?: string; readonly path?: string };
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly times?: number;
}

const breakForge = (w: World, ...faults: readonly ForgeFault[]): Promise<unknown> =>
  w.control(w.forgeUrl, "POST", "faults", { faults });
const heal = (w: World): Promise<unknown> => w.control(w.forgeUrl, "DELETE", "faults");

/** Exactly one final status, and nothing after it. */
async function expectOneFinal(w: World, commit: string, context?: string): Promise<void> {
  const states = (await w.statuses(commit, context)).map(({ state }) => state);
  expect(states.filter((state) => state !== "pending")).toHaveLength(1);
  expect(states.at(-1)).not.toBe("pending");
}

const statuses = { method: "POST", path: "/statuses/" };
const soon = (): string => String(Math.ceil(Date.now() / 1000) + 1);

describe.concurrent("a forge that does not take a status", () => {
  it.each<[string, () => Omit<ForgeFault, "match">, RegExp]>([
    [
      "401",
      () => ({ kind: "status", status: 401, body: { message: "Bad credentials" } }),
      /answered 401 to POST .*Bad credentials\. The token is wrong, expired or revoked/,
    ],
    [
      "403 with Retry-After",
      () => ({
        kind: "status",
        status: 403,
        headers: { "retry-after": "1" },
        body: { message: "You have exceeded a secondary rate limit" },
      }),
      /answered 403 to POST .*secondary rate limit\. Asked to wait 1 s/,
    ],
    [
      "403 for a used-up limit",
      () => ({
        kind: "status",
        status: 403,
        headers: { "x-ratelimit-remaining": "0", "x-ratelimit-reset": soon() },
        body: { message: "API rate limit exceeded" },
      }),
      /answered 403 to POST .*API rate limit exceeded\. Asked to wait \d s/,
    ],
    [
      "422",
      () => ({ kind: "status", status: 422, body: { message: "Validation Failed" } }),
      /answered 422 to POST .*Validation Failed/,
    ],
    [
      "500",
      () => ({ kind: "status", status: 500, body: { message: "Server Error" } }),
      /answered 500 to POST .*Server Error/,
    ],
    ["cut connections", () => ({ kind: "drop-before" }), /did not answer POST /],
  ])(
    "%s: says why, and delivers it when that is over",
    async (_title, fault, reason) => {
      await using stage = await openRecorded();
      const { w, log } = stage;
      await breakForge(w, { ...fault(), match: statuses, times: 2 });
      const commit = await w.push(shop(1), "Add the shop");
      expect(await w.final(commit)).toMatchObject({ state: "success" });
      await expectOneFinal(w, commit);
      expect((await w.statuses(commit))[0]).toMatchObject({ state: "pending" });
      const lines = log.text().split("\n");
      expect(lines.find((line) => line.includes("the forge did not take a message, it waits in the outbox"))).toMatch(
        reason,
      );
    },
    180_000,
  );

  it("does not wait for ever for an answer", async () => {
    await using stage = await openRecorded();
    const { w, log } = stage;
    await breakForge(w, { kind: "hang", match: statuses, times: 1 });
    const commit = await w.push(shop(1), "Add the shop");
    expect(await w.final(commit, undefined, 60_000)).toMatchObject({ state: "success" });
    await expectOneFinal(w, commit);
    expect(log.text()).toMatch(/did not answer POST .*(timed? ?out|timeout|aborted)/i);
  }, 180_000);
});

describe("a forge that will not take a status", () => {
  it("goes on with a token that was replaced in its file", async () => {
    await using stage = await openRecorded({
      config: (config) => withToken(config, plantedSecret(config, "forge-token", "planted-expired-token")),
    });
    const { w, log } = stage;
    const commit = await w.push(shop(1), "Add the shop");
    await log.says(/answered 401 .*The token is wrong, expired or revoked/);
    await waitFor(async () => ((await w.vms()).length === 1 ? true : undefined), {
      what: "the VM, whatever the forge says",
    });
    await writeFile(join(w.folder, "forge-token"), "bot-token\n");
    expect(await w.final(commit)).toMatchObject({ state: "success" });
    await expectOneFinal(w, commit);
    expect(log.text()).not.toContain("planted-expired-token");
  });

  it("gives up what is refused for good, and lets the others through", async () => {
    await using stage = await openRecorded();
    const { w, log } = stage;
    const first = await w.commit(shop(1), "Add the shop");
    await breakForge(w, { kind: "status", status: 422, match: { method: "POST", path: `/statuses/${first}` } });
    await w.tree.push("main");
    await log.says(/"level":50.*the forge refuses this message for good, given up/);
    const second = await w.push(shop(2), "Two CPUs");
    expect(await w.final(second, undefined, 45_000)).toMatchObject({ state: "success" });
    await expectOneFinal(w, second);
  }, 180_000);
});

describe("a forge that loses its answers", () => {
  it("gets no status and no comment twice", async () => {
    await using stage = await openRecorded();
    const { w } = stage;
    await w.final(await w.push(shop(1), "Add the shop"));
    await breakForge(
      w,
      { kind: "drop-after", match: statuses, times: 3 },
      { kind: "drop-after", match: { method: "POST", path: "/comments" }, times: 1 },
    );
    await w.tree.branch("more-cpu");
    const head = await w.commit(shop(2), "Two CPUs");
    await w.tree.push("more-cpu");
    const pull = await w.forge.openPullRequest("Two CPUs", "more-cpu");
    await w.final(head, "kraken-gitops/plan");
    await expectOneFinal(w, head, "kraken-gitops/plan");
    expect(await w.forge.comments(pull)).toHaveLength(1);
    await w.tree.git("switch", "--quiet", "main");
    const commit = await w.push(shop(3), "Three CPUs");
    expect(await w.final(commit)).toMatchObject({ state: "success" });
    await expectOneFinal(w, commit);
    for (const one of [commit, head]) {
      const told = (await w.forge.statuses(one)).map(
        (status) => `${status.context} ${status.state} ${status.description}`,
      );
      expect(new Set(told).size).toBe(told.length);
    }
  });

  it("that is away for a whole sync learns of it afterwards, in order", async () => {
    await using stage = await openRecorded();
    const { w, log } = stage;
    await breakForge(w, { kind: "status", status: 503, match: { path: "^/api/" } });
    const commit = await w.push(shop(1), "Add the shop");
    await waitFor(async () => ((await w.vms()).at(0)?.state === "RUNNING" ? true : undefined), { what: "the VM" });
    await log.says(/sync finished/);
    await heal(w);
    expect(await w.final(commit)).toMatchObject({ state: "success" });
    expect((await w.statuses(commit)).map(({ state }) => state)).toEqual(["pending", "success"]);
  });
});

interface ForgeCall {
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly login: string | undefined;
}

describe("a forge where nothing changes", () => {
  it("is asked twice by each poll, and has nothing new to say", async () => {
    await using stage = await openRecorded();
    const { w } = stage;
    const commit = await w.push(shop(1), "Add the shop");
    await w.tree.branch("more");
    const head = await w.commit(shop(2), "Two CPUs");
    await w.tree.push("more");
    await w.forge.openPullRequest("Two CPUs", "more");
    await w.final(head, "kraken-gitops/plan");
    await w.final(commit);
    const quiet = await waitFor(
      async () => {
        const { last } = (await w.control(w.forgeUrl, "GET", "calls")) as { last: readonly ForgeCall[] };
        const ours = last.filter(({ login }) => login === "kraken-bot").slice(-8);
        return ours.length === 8 && ours.every(({ status }) => status === 304) ? ours : undefined;
      },
      { what: "four polls in a row that are answered 304", timeoutMs: 150_000 },
    );
    const asked = new Map<string, number>();
    for (const { method, path } of quiet) {
      const name = `${method} ${path.split("?")[0]}`;
      asked.set(name, (asked.get(name) ?? 0) + 1);
    }
    expect(Object.fromEntries(asked)).toEqual({
      "GET /api/v3/repos/acme/fleet/issues/comments": 4,
      "GET /api/v3/repos/acme/fleet/pulls": 4,
    });
  }, 180_000);
});

describe("pull requests", () => {
  const plan = "kraken-gitops/plan";

  /** Calls of the cluster's API so far. */
  async function clusterCalls(w: World): Promise<number> {
    const { counts } = (await w.control(w.clusterUrl(), "GET", "calls")) as { counts: Record<string, number> };
    return Object.values(counts).reduce((sum, count) => sum + count, 0);
  }

  async function commentFor(w: World, pull: number, head: string): Promise<string> {
    const found = await waitFor(
      async () => (await w.forge.comments(pull)).find((comment) => comment.body.includes(head.slice(0, 7))),
      { what: `the comment for ${head.slice(0, 7)}` },
    );
    return found.body;
  }

  async function openPull(w: World, fields: object): Promise<number> {
    const answer = await fetch(`${w.forgeUrl}/api/v3/repos/acme/fleet/pulls`, {
      method: "POST",
      headers: { authorization: "Bearer alice-token", "content-type": "application/json" },
      body: JSON.stringify({ base: "main", title: "A change", ...fields }),
    });
    expect(answer.status).toBe(201);
    return ((await answer.json()) as { number: number }).number;
  }

  it("from a fork are compared in git alone, without a call to a cluster", async () => {
    await using stage = await openRecorded();
    const { w } = stage;
    await w.final(await w.push(shop(1), "Add the shop"));
    await w.control(w.forgeUrl, "POST", "repos", { owner: "alice", name: "fleet", forkOf: "acme/fleet" });
    const before = await clusterCalls(w);
    expect(before).toBeGreaterThan(0);
    await w.tree.branch("idea");
    const head = await w.commit(shop(2), "Two CPUs");
    await w.tree.git("push", "--quiet", `${w.forgeUrl}/alice/fleet.git`, "idea");
    const pull = await openPull(w, { head: "alice:idea" });
    expect(await w.final(head, plan)).toMatchObject({
      state: "success",
      description: expect.stringMatching(/1 to update/),
    });
    expect(await commentFor(w, pull, head)).toMatch(/fork/);
    expect(await clusterCalls(w)).toBe(before);
  });

  it("that are drafts say so", async () => {
    await using stage = await openRecorded();
    const { w } = stage;
    await w.tree.branch("idea");
    const head = await w.commit(shop(1), "An idea");
    await w.tree.push("idea");
    const pull = await openPull(w, { head: "idea", draft: true });
    await w.final(head, plan);
    expect(await commentFor(w, pull, head)).toMatch(/draft/i);
  });

  it("are planned anew when the base moves under them, and left alone when it moves elsewhere", async () => {
    await using stage = await openRecorded();
    const { w, log } = stage;
    await w.final(await w.push(shop(1), "Add the shop"));
    await w.tree.branch("database");
    const head = await w.commit(shop(1, ["web", "db"]), "Add a database");
    await w.tree.push("database");
    const pull = await w.forge.openPullRequest("Add a database", "database");
    await w.final(head, plan);
    const first = await commentFor(w, pull, head);

    await w.tree.git("switch", "--quiet", "main");
    const elsewhere = await w.push(
      { "manifests/other.yaml": manifest("other", [{ name: "lone" }]) },
      "Another application",
    );
    await w.final(elsewhere);
    const away = await w.push({ "docs/notes.md": "words" }, "Notes");
    await w.final(away);
    expect(await commentFor(w, pull, head)).toBe(first);

    const under = await w.push(
      { "manifests/shop.yaml": manifest("shop", [{ name: "web", memory: "2 GiB" }]) },
      "More memory",
    );
    await w.final(under);
    const text = await waitFor(
      async () =>
        (await w.forge.comments(pull)).find(({ body }) => /conflict/i.test(body) || body.includes(under.slice(0, 7))),
      { what: "the plan on the new base" },
    );
    expect(text.body).not.toBe(first);
    expect(await w.forge.comments(pull)).toHaveLength(1);
    const planned = log
      .text()
      .split("\n")
      .filter((line) => line.includes('"msg":"pull request planned"'));
    expect(planned).toHaveLength(2);
  });

  it("that conflict with the base name the files, and are planned once that is settled", async () => {
    await using stage = await openRecorded();
    const { w } = stage;
    await w.final(await w.push(shop(1), "Add the shop"));
    await w.tree.branch("two");
    const head = await w.commit(shop(2), "Two CPUs");
    await w.tree.push("two");
    const pull = await w.forge.openPullRequest("Two CPUs", "two");
    await w.final(head, plan);
    await w.tree.git("switch", "--quiet", "main");
    await w.final(await w.push(shop(3), "Three CPUs"));
    await waitFor(async () => ((await w.statuses(head, plan)).at(-1)?.state === "failure" ? true : undefined), {
      what: "the conflict's status",
    });
    expect((await w.statuses(head, plan)).at(-1)?.description).toBe(
      "Cannot be planned: conflicts with main in manifests/shop.yaml",
    );
    expect(await commentFor(w, pull, head)).toMatch(/conflict[\s\S]*manifests\/shop\.yaml/i);
    await w.tree.git("switch", "--quiet", "two");
    await w.tree.git("reset", "--quiet", "--hard", "main");
    const next = await w.commit(shop(4), "Four CPUs");
    await w.tree.git("push", "--quiet", "--force", "origin", "two");
    expect(await w.final(next, plan)).toMatchObject({
      state: "success",
      description: expect.stringMatching(/1 to update/),
    });
    expect(await commentFor(w, pull, next)).not.toMatch(/conflicts with/);
    expect(await w.forge.comments(pull)).toHaveLength(1);
  });
});
