import { createHmac } from "node:crypto";
import { once } from "node:events";
import { request as httpRequest } from "node:http";
import { connect } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openStateStore } from "../../src/adapters/redis/state-store.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import type { Engine } from "../../src/app/engine.ts";
import type { RepositoryConfig } from "../../src/config/config.ts";
import type { StateStore } from "../../src/ports/state-store.ts";
import { type HttpServer, startHttpServer } from "../../src/server/http-server.ts";
import { serveBeside } from "../../src/server/serve-beside.ts";
import { maxBodyBytes } from "../../src/server/webhooks.ts";
import { recordLog, type RecordedLog } from "../support/recorded-log.ts";
import { startTestRedis, type TestRedis } from "../support/redis-server.ts";
import { secret } from "../support/world.ts";

const key = "the-planted-secret";
let redis: TestRedis;
let store: StateStore;
let server: HttpServer;
let log: RecordedLog;
let instance = 0;

beforeAll(async () => {
  redis = await startTestRedis();
});
afterAll(() => redis[Symbol.asyncDispose]());
beforeEach(async () => {
  instance += 1;
  store = await openStateStore({ connection: await redis.connect(), instance: `server-${instance}` });
  log = recordLog();
  server = await startHttpServer(engine(), { host: "127.0.0.1", port: 0 });
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await store[Symbol.asyncDispose]();
});

/** What the server uses of an engine, on a real store. */
function engine(): Engine {
  const repository = (name: string, type: string, webhookSecret?: string): Partial<RepositoryConfig> => ({
    name,
    forge: { type } as RepositoryConfig["forge"],
    webhookSecret: webhookSecret === undefined ? undefined : secret(webhookSecret),
  });
  const broken = { ...secret(""), read: () => Promise.reject(new Error("cannot read the secret in file /nowhere")) };
  const repositories = [
    repository("fleet", "github", key),
    repository("plain", "none", key),
    repository("silent", "github"),
    { ...repository("broken", "github"), webhookSecret: broken },
  ];
  const parts = { clock: systemClock, log: log.log, store, config: () => ({ repositories }) };
  return parts as unknown as Engine;
}

interface Sent {
  readonly kind?: string;
  readonly name?: string;
  readonly body?: string;
  readonly key?: string;
  readonly id?: string;
  readonly event?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

async function send({
  kind = "github",
  name = "fleet",
  body = "{}",
  id = "1",
  event = "push",
  ...more
}: Sent = {}): Promise<string> {
  const signature = createHmac("sha256", more.key ?? key)
    .update(body)
    .digest("hex");
  const headers = more.headers ?? {
    "x-github-event": event,
    "x-github-delivery": id,
    "x-hub-signature-256": `sha256=${signature}`,
  };
  const answer = await fetch(`${server.url}/webhooks/${kind}/${name}`, { method: "POST", headers, body });
  return `${answer.status} ${((await answer.json()) as { status: string }).status}`;
}

const bearer = (token: string): Readonly<Record<string, string>> => ({ authorization: `Bearer ${token}` });

describe("the http server", () => {
  it("says that it lives, and that it is ready", async () => {
    for (const path of ["healthz", "readyz"]) expect((await fetch(`${server.url}/${path}`)).status).toBe(200);
    expect((await fetch(`${server.url}/healthz`, { method: "HEAD" })).status).toBe(200);
    expect((await fetch(`${server.url}/`)).status).toBe(404);
    expect((await fetch(`${server.url}/webhooks/svn/fleet`, { method: "POST" })).status).toBe(404);
    const get = await fetch(`${server.url}/webhooks/github/fleet`);
    expect([get.status, get.headers.get("allow")]).toEqual([405, "POST"]);
  });

  it("says what is in its way when it cannot listen", async () => {
    const port = Number(new URL(server.url).port);
    await expect(startHttpServer(engine(), { host: "127.0.0.1", port })).rejects.toMatchObject({
      code: "server-failed",
      message: `cannot listen on 127.0.0.1:${port}: another program has it; give another address in server.listen`,
    });
  });

  it("waits for its address beside other work, and takes over", async () => {
    const port = Number(new URL(server.url).port);
    const beside = await serveBeside(engine(), { host: "127.0.0.1", port });
    expect(await send()).toBe("202 accepted");
    await server[Symbol.asyncDispose]();
    await expect
      .poll(() => send({ id: "later", body: "[5]" }).catch(() => "nobody"), { timeout: 15_000 })
      .toBe("202 accepted");
    await beside[Symbol.asyncDispose]();
    await expect(serveBeside(engine(), { host: "192.0.2.1", port })).rejects.toMatchObject({ code: "server-failed" });
    server = await startHttpServer(engine(), { host: "127.0.0.1", port: 0 });
  }, 30_000);

  it("takes a genuine delivery once, answers pings, and passes over what nobody needs", async () => {
    const wait = store.waitForPoll("fleet", 20_000, new AbortController().signal);
    expect(await send()).toBe("202 accepted");
    expect(await wait).toBe(true);
    expect(await send()).toBe("202 ignored");
    expect(await send({ id: "2" })).toBe("202 ignored");
    expect(await send({ event: "ping" })).toBe("202 pong");
    expect(await send({ event: "star", id: "3", body: "[]" })).toBe("202 ignored");
    expect(await store.readWebhooks("fleet")).toMatchObject({ received: 1, ignored: 4 });
    expect(await store.waitForPoll("fleet", 100, new AbortController().signal)).toBe(false);
  });

  it("takes a bearer token for any repository, and every kind where there is no forge", async () => {
    for (let times = 0; times < 2; times += 1)
      expect(await send({ kind: "generic", headers: bearer(key) })).toBe("202 accepted");
    expect(await send({ kind: "generic", headers: bearer("guess") })).toBe("401 refused");
    const gitlab = { "x-gitlab-event": "Push Hook", "x-gitlab-token": key };
    expect(await send({ kind: "gitlab", name: "plain", headers: gitlab })).toBe("202 accepted");
    expect(await send({ kind: "github", name: "plain", body: "[1]" })).toBe("202 accepted");
    expect(await send({ kind: "gitlab", name: "fleet", headers: gitlab })).toBe("401 refused");
  });

  it("tells nobody which repositories there are, and the log about them only now and then", async () => {
    const answers = [
      await send({ key: "guess" }),
      await send({ name: "unknown" }),
      await send({ name: "silent" }),
      await send({ name: "broken" }),
      await send({ name: "%E0%A4%A" }),
      await send({ headers: {} }),
    ];
    expect(new Set(answers)).toEqual(new Set(["401 refused"]));
    for (let index = 0; index < 20; index += 1) await send({ name: `unknown-${index}`, key: "guess" });
    for (let index = 0; index < 20; index += 1) await send({ key: "guess" });
    const lines = log.text().split("\n");
    expect(lines.filter((line) => line.includes("webhook refused"))).toHaveLength(4);
    expect(lines.filter((line) => line.includes("refused without their secret"))).toHaveLength(1);
    expect(log.text()).not.toContain(key);
    expect(await store.readWebhooks("fleet")).toMatchObject({ received: 0, ignored: 0 });
  });

  it("reads no more than it must of a large body, announced or not", async () => {
    const large = "x".repeat(maxBodyBytes + 1);
    expect(await send({ body: large })).toMatch(/^413 larger than 5 MiB/);
    const chunked = httpRequest(`${server.url}/webhooks/github/fleet`, { method: "POST" });
    chunked.on("error", () => undefined);
    for (let sent = 0; sent <= maxBodyBytes; sent += 2 ** 20) chunked.write("y".repeat(2 ** 20));
    const [response] = (await once(chunked, "response")) as [{ statusCode: number }];
    expect(response.statusCode).toBe(413);
    chunked.destroy();
    expect(await send({ body: "x".repeat(maxBodyBytes - 1) })).toBe("202 accepted");
  });

  it("bounds how many deliveries of a repository count, and forged ones take nothing from it", async () => {
    await Promise.all(Array.from({ length: 10 }, () => send({ key: "guess" })));
    for (let index = 0; index < 120; index += 1) await send({ id: `${index}`, body: `[${index}]` });
    const more = await Promise.all(
      Array.from({ length: 16 }, (_, index) => send({ id: `more-${index}`, body: `{"n":${index}}` })),
    );
    expect(more).toContain("429 too many deliveries");
    expect(await send({ name: "plain", body: "[2]" })).toBe("202 accepted");
  });

  it("lets go of whoever sends too slowly", async () => {
    const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
    const began = Date.now();
    socket.write("POST /webhooks/github/fleet HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nslow");
    socket.on("data", () => undefined);
    await once(socket, "close");
    expect(Date.now() - began).toBeLessThan(15_000);
    expect(await send()).toBe("202 accepted");
  }, 30_000);

  it("is busy while many bodies are being read, and not for long", async () => {
    const slow = Array.from({ length: 16 }, () => {
      const socket = connect(Number(new URL(server.url).port), "127.0.0.1");
      socket.on("error", () => undefined);
      socket.write("POST /webhooks/github/fleet HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nslow");
      return socket;
    });
    await expect.poll(() => send({ id: "busy", body: "[3]" })).toBe("503 busy");
    for (const socket of slow) socket.destroy();
    await expect.poll(() => send({ id: "free", body: "[4]" })).toBe("202 accepted");
  });

  it("is alive and not ready while Redis is away, and takes the delivery afterwards", async () => {
    await redis.stop();
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    const ready = await fetch(`${server.url}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([503, expect.objectContaining({ status: "not ready" })]);
    expect(await send()).toBe("503 not now");
    await redis.start();
    await expect.poll(() => send(), { timeout: 10_000 }).toBe("202 accepted");
  }, 40_000);
});
