import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openGithub } from "../../src/adapters/forge/github.ts";
import type { Forge } from "../../src/ports/forge.ts";

const repositories = 50;
const pullsEach = 4;
/** The default of `poll`, a tenth earlier as its jitter has it at most. */
const pollMs = 15_000 * 0.9;
const pollsInAnHour = Math.ceil(3_600_000 / pollMs);
/** What docs/forges.md promises for an hour in which nothing changes. */
const promised = 1_000;
const sha = "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432";
const signal = AbortSignal.timeout(300_000);

let server: Awaited<ReturnType<typeof startForge>>;
beforeAll(async () => {
  server = await startForge();
});
afterAll(() => server.close());

it("polls 50 repositories with 200 open pull requests for an hour, where the forge counts only the first look", async () => {
  const told: object[] = [];
  const forges = Array.from({ length: repositories }, (_, index) =>
    openGithub({
      apiUrl: server.url,
      owner: "acme",
      repository: `fleet-${index}`,
      token: () => Promise.resolve("budget-token"),
      onUsage: (usage) => told.push(usage),
    }),
  );
  await round(forges);
  const first = { ...server.answered };
  // Its own name, the pull requests and the comments of each repository.
  expect(first).toMatchObject({ counted: 3 * repositories, unchanged: 0 });
  expect(first.bodyBytes).toBeGreaterThan(0);
  for (let poll = 2; poll <= pollsInAnHour; poll += 1) {
    await round(forges);
    expect(server.answered).toEqual({ ...first, unchanged: 2 * repositories * (poll - 1) });
  }
  expect(server.answered.counted).toBeLessThan(promised);
  expect(told).toEqual([]);
}, 300_000);

/** What one poll asks of the forge while nothing changes; `e2e/forge-trouble` shows that it is no more. */
async function round(forges: readonly Forge[]): Promise<void> {
  const since = Date.UTC(2026, 0, 1);
  await Promise.all(
    forges.map(async (forge) => {
      expect(await forge.listOpenPullRequests("main", signal)).toHaveLength(pullsEach);
      expect(await forge.listComments(since, signal)).toHaveLength(1);
    }),
  );
}

/** Lists of pull requests and comments, and who asks, each with an ETag. */
async function startForge() {
  const answered = { counted: 0, unchanged: 0, bodyBytes: 0 };
  const forge = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://forge.invalid");
    const etag = `"${url.pathname}"`;
    const unchanged = request.headers["if-none-match"] === etag;
    const body = unchanged ? "" : JSON.stringify(answerTo(url.pathname));
    answered[unchanged ? "unchanged" : "counted"] += 1;
    answered.bodyBytes += body.length;
    response.writeHead(unchanged ? 304 : 200, { etag, "content-type": "application/json" });
    response.end(body);
  });
  await new Promise<void>((resolve) => {
    forge.listen(0, "127.0.0.1", resolve);
  });
  const close = (): Promise<unknown> => {
    forge.closeAllConnections();
    return new Promise((resolve) => forge.close(resolve));
  };
  return { url: `http://127.0.0.1:${(forge.address() as AddressInfo).port}`, answered, close };
}

function answerTo(path: string): unknown {
  const user = { login: "kraken-bot", id: 1, type: "User" };
  if (path === "/user") return user;
  const page = "https://forge.example/acme/fleet/pull";
  if (path.endsWith("/comments"))
    return [{ id: 1, body: "hello", html_url: `${page}/1#issuecomment-1`, user, updated_at: "2026-01-02T00:00:00Z" }];
  const repo = { full_name: "acme/fleet" };
  return Array.from({ length: pullsEach }, (_, index) => ({
    number: index + 1,
    title: `change ${index}`,
    html_url: `${page}/${index + 1}`,
    draft: false,
    user,
    head: { sha, ref: `topic-${index}`, repo },
    base: { ref: "main", sha, repo },
  }));
}
