import { createHmac } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { at, type Clone, ForgeLab, type Json, until } from "./forge-lab.ts";

interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly event: string;
  readonly payload: Json;
}

describe("the simulated forge's webhooks", () => {
  let lab: ForgeLab;
  let clone: Clone;
  let server: Server;
  let received: Received[];
  let answerWith: number | "nothing";

  beforeEach(async () => {
    lab = await ForgeLab.open({
      users: [{ login: "alice", token: "alice-token", permission: "admin" }],
      webhookTimeoutMs: 200,
    });
    clone = await lab.seeded();
    received = [];
    answerWith = 204;
    server = createServer((incoming, response) => {
      const chunks: Buffer[] = [];
      incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
      incoming.on("end", () => {
        const body = Buffer.concat(chunks).toString();
        const form = incoming.headers["content-type"] === "application/x-www-form-urlencoded";
        const json = form ? (new URLSearchParams(body).get("payload") ?? "") : body;
        received.push({
          headers: incoming.headers,
          body,
          event: String(incoming.headers["x-github-event"]),
          payload: JSON.parse(json) as Json,
        });
        if (answerWith !== "nothing") response.writeHead(answerWith).end();
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
  });
  afterEach(async () => {
    await lab[Symbol.asyncDispose]();
    server.closeAllConnections();
    server.close();
  });

  async function addHook(events: readonly string[], content_type = "json"): Promise<number> {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
    const answer = await lab.repo("POST", "/hooks", { events, config: { url, content_type, secret: "s3cret" } });
    expect(answer.status).toBe(201);
    expect(answer.text).not.toContain("s3cret");
    return Number(answer.json["id"]);
  }

  const next = (event: string): Promise<Received> => until(() => received.find((one) => one.event === event));

  function find(action: string, event = "pull_request"): Json | undefined {
    return received.find((one) => one.event === event && one.payload["action"] === action)?.payload;
  }

  it("signs the bytes of the body with the secret", async () => {
    for (const type of ["json", "form"]) {
      received = [];
      await addHook(["push"], type);
      const ping = await next("ping");
      const expected = createHmac("sha256", "s3cret").update(ping.body).digest("hex");
      expect(ping.headers["x-hub-signature-256"]).toBe(`sha256=${expected}`);
      expect(ping.headers["x-github-delivery"]).toMatch(/^[0-9a-f-]{36}$/);
    }
  });

  it("tells of pushes with before, after and whether they were forced", async () => {
    await addHook(["push"]);
    const before = await clone.git("rev-parse", "HEAD");
    const after = await clone.commit("More", { "a.txt": "1\n" });
    await clone.git("push", "--quiet", "origin", "main");
    expect((await next("push")).payload).toMatchObject({
      ref: "refs/heads/main",
      before,
      after,
      forced: false,
      commits: [{ id: after, message: "More" }],
      sender: { login: "alice" },
    });
    received = [];
    await clone.git("push", "--quiet", "--force", "origin", `${before}:main`);
    expect((await next("push")).payload).toMatchObject({ before: after, after: before, forced: true });
    received = [];
    await clone.git("push", "--quiet", "origin", "main:other");
    expect((await next("push")).payload).toMatchObject({
      ref: "refs/heads/other",
      before: "0".repeat(40),
      created: true,
    });
    received = [];
    await clone.git("push", "--quiet", "origin", ":other");
    expect((await next("push")).payload).toMatchObject({ after: "0".repeat(40), deleted: true, head_commit: null });
  });

  it("tells what happens to a pull request", async () => {
    await addHook(["pull_request", "issue_comment"]);
    const first = await clone.pushBranch("topic", { "a.txt": "1\n" });
    const number = await lab.openPull("topic");
    const second = await clone.commit("More", { "b.txt": "2\n" });
    await clone.git("push", "--quiet", "origin", "topic");
    await lab.repo("POST", `/issues/${number}/comments`, { body: "/kraken plan" });
    await lab.repo("PUT", `/pulls/${number}/merge`);
    await until(() => (received.length === 5 ? true : undefined));
    expect(find("opened")).toMatchObject({ number, pull_request: { head: { sha: first } } });
    expect(find("synchronize")).toMatchObject({ before: first, after: second });
    expect(find("created", "issue_comment")).toMatchObject({ issue: { number }, comment: { body: "/kraken plan" } });
    expect(find("closed")).toMatchObject({ pull_request: { merged: true } });
  });

  it("tries once, gives up after its time limit, and delivers again with the same id when asked", async () => {
    answerWith = "nothing";
    const hook = await addHook(["push"]);
    const delivery = await until(async () => (await lab.repo("GET", `/hooks/${hook}/deliveries`)).list[0]);
    expect(delivery).toMatchObject({ event: "ping", status: "timed out", status_code: 0, redelivery: false });
    expect(received).toHaveLength(1);
    answerWith = 204;
    expect((await lab.repo("POST", `/hooks/${hook}/deliveries/${String(delivery["id"])}/attempts`)).status).toBe(202);
    const again = await until(async () =>
      (await lab.repo("GET", `/hooks/${hook}/deliveries`)).list.find((one) => one["redelivery"] === true),
    );
    expect(again).toMatchObject({ guid: delivery["guid"], status_code: 204, status: "OK" });
    expect(received[1]?.body).toBe(received[0]?.body);
  });

  it("keeps silent to inactive hooks and about events nobody asked for", async () => {
    const hook = await addHook(["pull_request"]);
    await lab.repo("PATCH", `/hooks/${hook}`, { active: false, events: ["*"] });
    const loud = await addHook(["push"]);
    await clone.pushBranch("topic", { "a.txt": "1\n" });
    await lab.openPull("topic");
    const push = await next("push");
    expect(push.headers["x-github-hook-id"]).toBe(`${loud}`);
    await until(async () =>
      (await lab.repo("GET", `/hooks/${loud}/deliveries`)).list.length === 2 ? true : undefined,
    );
    expect(received.map((one) => one.event)).toEqual(["ping", "ping", "push"]);
    expect(at(push.payload, "repository", "full_name")).toBe("acme/fleet");
  });
});
