import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { connect } from "node:tls";
import { expect, it } from "vitest";
import { openHypercore } from "../../src/adapters/hypercore/driver.ts";
import type { HypercoreOptions } from "../../src/adapters/hypercore/options.ts";
import type { Hypervisor } from "../../src/ports/hypervisor.ts";
import { MiB, blankDisk, desiredVm, freeContext, markOf } from "../support/desired-vm.ts";
import { instance, openHypercoreLab, quickTimeouts } from "../support/hypercore-lab.ts";

const soon = (): AbortSignal => AbortSignal.timeout(15_000);

type Answer = (message: IncomingMessage, response: ServerResponse) => void;

/** A node that answers as told; what it was asked is kept. */
interface StubNode extends AsyncDisposable {
  readonly address: string;
  readonly asked: string[];
}

async function stubNode(answer: Answer): Promise<StubNode> {
  const asked: string[] = [];
  const server = createServer((message, response) => {
    asked.push(`${message.method} ${message.url}`);
    message.resume().on("end", () => answer(message, response));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function reply(status: number, body: string, type = "application/json"): Answer {
  return (_message, response) => {
    response.writeHead(status, { "content-type": type }).end(body);
  };
}

const html = (status: number): Answer => reply(status, "<html><body>nginx</body></html>", "text/html");
const hang: Answer = () => {};

async function openOn(endpoints: readonly string[], overrides: Partial<HypercoreOptions> = {}): Promise<Hypervisor> {
  const assets = { describe: unexpected, fetch: unexpected };
  const timeouts = { ...quickTimeouts, readMs: 200 };
  return openHypercore({
    cluster: "lab",
    endpoints,
    username: "gitops",
    password: async () => "planted-secret",
    instance,
    assets,
    timeouts,
    ...overrides,
  });
}

async function unexpected(): Promise<never> {
  throw new Error("no asset is needed here");
}

const ugly: readonly [string, Answer][] = [
  ["hangs", hang],
  ["answers 502 in HTML", html(502)],
  ["answers 404 in HTML", html(404)],
  ["answers 500", reply(500, '{"error":"An internal error occurred"}')],
  ["answers HTML with status 200", html(200)],
  [
    "breaks off in the middle of its answer",
    (_message, response) => {
      response.writeHead(200, { "content-length": "1000" });
      response.write("[");
      response.socket?.destroy();
    },
  ],
  ["resets the connection", (message) => message.socket.destroy()],
];
for (const [what, answer] of ugly) {
  it(`reads from the next node when one ${what}`, async () => {
    await using bad = await stubNode(answer);
    await using good = await stubNode(reply(200, "[]"));
    await using driver = await openOn([bad.address, good.address]);
    expect((await driver.readLiveState(soon())).virdomains).toEqual([]);
    await driver.readLiveState(soon());
    expect(bad.asked).toHaveLength(1);
    expect(good.asked).toHaveLength(2);
  });
}

it("tries a failing node again after a pause", async () => {
  const answers = [html(502), html(502), reply(200, "[]")];
  await using node = await stubNode((message, response) => answers.shift()?.(message, response));
  await using driver = await openOn([node.address]);
  expect((await driver.readLiveState(soon())).virdomains).toEqual([]);
});

const verdicts: readonly [string, Answer, string][] = [
  ["a cluster that hangs", hang, "cluster-unreachable"],
  ["a bad gateway everywhere", html(502), "cluster-unreachable"],
  ["something that is no HyperCore", html(404), "cluster-unsupported"],
  ["wrong credentials", reply(401, '{"error":"nope"}'), "cluster-auth-failed"],
  ["a user without the right", reply(403, '{"error":"Forbidden"}'), "cluster-refused"],
  ["an unknown shape", reply(200, '[{"uuid":7}]'), "cluster-failed"],
  ["errors from every node", reply(500, '{"error":"An internal error occurred"}'), "cluster-failed"],
];
for (const [what, answer, code] of verdicts) {
  it(`says ${code} of ${what}`, async () => {
    await using node = await stubNode(answer);
    await using driver = await openOn([node.address]);
    await expect(driver.readLiveState(soon())).rejects.toMatchObject({
      code,
      message: expect.stringContaining("lab") as string,
    });
  });
}

it("says cluster-unreachable of a port nobody listens on", async () => {
  await using driver = await openOn(["http://127.0.0.1:1"]);
  await expect(driver.readLiveState(soon())).rejects.toMatchObject({ code: "cluster-unreachable" });
});

it("asks for the password again after a refusal, so that a rotated one works", async () => {
  await using node = await stubNode((message, response) => {
    const right = message.headers.authorization === `Basic ${Buffer.from("gitops:new").toString("base64")}`;
    reply(right ? 200 : 401, right ? "[]" : "{}")(message, response);
  });
  const passwords = ["old", "new"];
  await using driver = await openOn([node.address], { password: async () => passwords.shift() ?? "new" });
  expect((await driver.readLiveState(soon())).virdomains).toEqual([]);
});

it("never sends a change to a second node once the first may have it", async () => {
  const vms = '[{"uuid":"aaaaaaaa-1","state":"SHUTOFF","mem":1,"numVCPU":1,"blockDevs":[],"netDevs":[]}]';
  const cutPosts: Answer = (message, response) =>
    message.method === "GET" ? reply(200, vms)(message, response) : message.socket.destroy();
  await using first = await stubNode(cutPosts);
  await using second = await stubNode(cutPosts);
  await using driver = await openOn([first.address, second.address]);
  await expect(driver.start("aaaaaaaa-1", freeContext())).rejects.toMatchObject({
    code: "cluster-outcome-unknown",
    retry: "transient",
  });
  expect([...first.asked, ...second.asked].filter((call) => call.startsWith("POST"))).toEqual([
    "POST /rest/v1/VirDomain/action",
  ]);
});

it("sends a change to the next node when the first cannot be connected to", async () => {
  await using lab = await openHypercoreLab();
  await using driver = await lab.open({ endpoints: ["http://127.0.0.1:1", ...lab.addresses] });
  const desired = desiredVm("web-1");
  const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
  await driver.start(live.id, freeContext());
  expect((await lab.driver.findVirdomain(live.id, soon()))?.power).toBe("running");
});

it("works through tasks that fail, are forgotten or refused for the moment, by looking at the VM", async () => {
  await using lab = await openHypercoreLab();
  const desired = desiredVm("web-1", { disks: [blankDisk("data", 2 * MiB, { boot: 1 })] });
  const any = { method: "POST", path: "VirDomain" };
  for (const kind of ["forget-task", "fail-task-done", "error500"] as const) {
    await lab.clearFaults();
    await lab.fault({ match: any, kind, times: 2 });
    await lab.fault({ match: { method: "PATCH" }, kind, times: 1 });
    const named = { ...desired, name: kind, identity: { ...desired.identity, resource: kind } };
    const live = await lab.driver.create(named, markOf(named, instance), freeContext());
    await lab.driver.start(live.id, freeContext());
  }
  expect((await lab.read()).virdomains.map(({ power }) => power)).toEqual(["running", "running", "running"]);
});

it("reports a failed task in the cluster's words, with its place-holders filled", async () => {
  await using lab = await openHypercoreLab();
  await lab.fault({ match: { method: "POST", path: "VirDomain$" }, kind: "fail-task", message: "no luck today" });
  const desired = desiredVm("web-1");
  const failed = lab.driver.create(desired, markOf(desired, instance), freeContext());
  await expect(failed).rejects.toMatchObject({
    code: "task-failed",
    message: expect.stringContaining("no luck today") as string,
  });
});

it("logs in on each node with sessions, again when one expired, and out at the end", async () => {
  await using lab = await openHypercoreLab({ nodes: 2, sharedSessions: false });
  const sessions = async (): Promise<number> => ((await lab.control("GET", "state")) as { sessions: number }).sessions;
  {
    await using driver = await lab.open({ auth: "session" });
    const desired = desiredVm("web-1");
    const live = await driver.create(desired, markOf(desired, instance), freeContext());
    await lab.control("DELETE", "sessions");
    await driver.start(live.id, freeContext());
    expect(await sessions()).toBeGreaterThan(0);
  }
  expect(await sessions()).toBe(0);
});

it("trusts nodes by CA file or fingerprint, and nothing else unless told to", async () => {
  await using lab = await openHypercoreLab({ tls: true, nodes: 2 }, { tls: { insecure: true } }).catch(explainTls);
  const [first = ""] = lab.addresses;
  const caFile = lab.certificateFile ?? "";
  const good = [{ caFile }, { fingerprint: await fingerprintOf(first) }, { insecure: true }];
  for (const tls of good) {
    await using driver = await lab.open({ endpoints: [first], tls });
    expect((await driver.readLiveState(soon())).virdomains).toEqual([]);
  }
  for (const tls of [{}, { fingerprint: "ab".repeat(32) }]) {
    await using driver = await lab.open({ endpoints: [first], tls });
    await expect(driver.readLiveState(soon())).rejects.toMatchObject({
      code: "cluster-unreachable",
      message: expect.stringContaining("ingerprint") as string,
    });
  }
  expect(await readFile(caFile, "utf8")).toContain("BEGIN CERTIFICATE");
});

function explainTls(error: unknown): never {
  throw new Error("the simulator's TLS needs openssl", { cause: error });
}

async function fingerprintOf(address: string): Promise<string> {
  const { hostname, port } = new URL(address);
  const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { fingerprint256 } = socket.getPeerCertificate();
  socket.destroy();
  return fingerprint256;
}

it("lets work begin on an idle cluster, updated before or never", async () => {
  await using lab = await openHypercoreLab({ nodes: 2 });
  await lab.driver.ensureReady(soon());
  await lab.control("POST", "update", { phase: "complete" });
  await lab.driver.ensureReady(soon());
});

it("holds while an update is prepared or applied, or a node does not answer", async () => {
  await using lab = await openHypercoreLab({ nodes: 2 }, { timeouts: { ...quickTimeouts, readMs: 200 } });
  for (const phase of ["preparing", "applying"]) {
    await lab.control("POST", "update", { phase });
    await expect(lab.driver.ensureReady(soon())).rejects.toMatchObject({ code: "cluster-updating", retry: "wait" });
  }
  for (const phase of ["never", "complete"]) {
    await lab.control("POST", "update", { phase });
    for (const state of ["down", "hang", "bad-gateway"]) {
      await lab.control("POST", "nodes", { node: 1, state });
      await expect(lab.driver.ensureReady(soon())).rejects.toMatchObject({ code: "cluster-updating" });
    }
    await lab.control("POST", "nodes", { node: 1, state: "up" });
  }
  await lab.driver.ensureReady(soon());
});

it("says that credentials are wrong before any work begins", async () => {
  await using lab = await openHypercoreLab({}, { password: async () => "wrong" });
  await expect(lab.driver.ensureReady(soon())).rejects.toMatchObject({ code: "cluster-auth-failed" });
});

it("describes the cluster for an operator", async () => {
  await using lab = await openHypercoreLab({ nodes: 2, icosVersion: "9.5.1.1" });
  const findings = (await lab.driver.check(soon())).join("\n");
  expect(findings).toContain("HyperCore 9.5.1.1, 2 node(s)");
  expect(findings).toContain("older than 9.6");
});
