import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, it } from "vitest";
import { openGithub } from "../../src/adapters/forge/github.ts";
import type { Forge } from "../../src/ports/forge.ts";

const repositories = 50;
const pullsEach = 4;
/** An hour of polls, two minutes apart: what the rest would cost is the same again. */
const polls = 30;
const sha = "9f8e7d6c5b4a39281706f5e4d3c2b1a098765432";
const signal = AbortSignal.timeout(300_000);

it("polls 50 repositories with 200 open pull requests for an hour without a counted request while nothing changes", async () => {
  const server = await startForge();
  const usages: object[] = [];
  const forges = Array.from({ length: repositories }, (_, index) =>
    openGithub({
      apiUrl: server.url,
      owner: "acme",
      repository: `fleet-${index}`,
      token: () => Promise.resolve("budget-token"),
      onUsage: (usage) => usages.push(usage),
    }),
  );
  const since = Date.UTC(2026, 0, 1);
  const poll = async (forge: Forge): Promise<void> => {
    expect(await forge.listOpenPullRequests("main", signal)).toHaveLength(pullsEach);
    expect(await forge.listComments(since, signal)).toHaveLength(1);
  };
  await Promise.all(forges.map(poll));
  const first = { ...server.answered };
  expect(first).toEqual({ counted: 3 * repositories, unchanged: 0 });
  for (let round = 1; round < polls; round += 1) await Promise.all(forges.map(poll));
  expect(server.answered).toEqual({ counted: first.counted, unchanged: 2 * repositories * (polls - 1) });
  expect(usages).toEqual([]);
  await server.close();
}, 300_000);

/** Lists of pull requests and comments, and who asks, each with an ETag. */
async function startForge() {
  const answered = { counted: 0, unchanged: 0 };
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", "http://forge.invalid");
    const body = JSON.stringify(answerTo(url.pathname));
    const etag = `"${url.pathname}"`;
    const unchanged = request.headers["if-none-match"] === etag;
    answered[unchanged ? "unchanged" : "counted"] += 1;
    response.writeHead(unchanged ? 304 : 200, { etag, "content-type": "application/json" });
    response.end(unchanged ? undefined : body);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const close = (): Promise<unknown> => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, answered, close };
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
