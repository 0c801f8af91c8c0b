import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { setTimeout as delay } from "node:timers/promises";
import { invalidSession, unauthorized } from "./auth.ts";
import { busyTarget } from "./busy-target.ts";
import type { Call } from "./calls.ts";
import { type Controls, control } from "./control.ts";
import type { Intake } from "./exchange.ts";
import { type FaultRule, taskFaultOf } from "./faults.ts";
import { versionAtLeast } from "./options.ts";
import { deliver, type Outcome, toExchange } from "./outcome.ts";
import { badGatewayPage, badRequest, notFoundPage, notNow, Refusal } from "./refusal.ts";
import { checkQuery, json, matchRoute, type Reply, type Route } from "./route.ts";
import { clusterRoutes } from "./routes/cluster.ts";
import { deviceRoutes } from "./routes/device.ts";
import { imageRoutes } from "./routes/image.ts";
import { isoRoutes } from "./routes/iso.ts";
import { snapshotRoutes } from "./routes/snapshot.ts";
import { virDomainRoutes } from "./routes/virdomain.ts";
import type { Certificate } from "./tls.ts";

const routes: readonly Route[] = [
  ...virDomainRoutes,
  ...deviceRoutes,
  ...imageRoutes,
  ...isoRoutes,
  ...snapshotRoutes,
  ...clusterRoutes,
];

const bodyLimitBytes = 16 * 2 ** 20;
const base = "/rest/v1/";
const controlBase = "/_simulator/";

/** One node's place in the cluster. */
export interface NodePlace {
  readonly index: number;
  readonly addresses: readonly string[];
}

/** An HTTP or HTTPS server that answers as one node. Not listening yet. */
export function createNodeServer(controls: Controls, place: NodePlace, certificate: Certificate | undefined): Server {
  const listener: RequestListener = (message, response) => {
    void answer(controls, place, message, response);
  };
  const server = certificate === undefined ? createServer(listener) : createTlsServer({ ...certificate }, listener);
  server.requestTimeout = 0;
  server.keepAliveTimeout = 60_000;
  return server;
}

async function answer(
  controls: Controls,
  place: NodePlace,
  message: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = toUrl(message.url ?? "/");
  const intake: Intake = { body: undefined, bytes: undefined };
  const isControl = url.pathname.startsWith(controlBase);
  let outcome: Outcome;
  try {
    outcome = isControl
      ? { deliver: "whole", reply: await answerControl(controls, message, url) }
      : await answerApi(controls, place, message, response, url, intake);
  } catch (error) {
    const gone = response.destroyed || message.errored !== null;
    outcome = gone ? { deliver: "cut" } : { deliver: "whole", reply: replyFor(controls, error) };
  }
  if (!isControl) controls.state.settings.observe?.(toExchange(place.index, message, url, intake, outcome));
  deliver(outcome, message, response);
}

/** What is no address at all is asked for in vain, like any other unknown path. */
function toUrl(path: string): URL {
  const origin = "http://node.invalid";
  return new URL(URL.canParse(path, origin) ? path : "/", origin);
}

async function answerControl(controls: Controls, message: IncomingMessage, url: URL): Promise<Reply> {
  const from = message.socket.remoteAddress ?? "";
  if (!/^(::ffff:)?127\.|^::1$/.test(from)) throw notFoundPage();
  const body = await readJson(message);
  const reply = control(controls, message.method ?? "", url.pathname.slice(controlBase.length), body);
  controls.state.store.flush();
  return reply;
}

async function answerApi(
  controls: Controls,
  place: NodePlace,
  message: IncomingMessage,
  response: ServerResponse,
  url: URL,
  intake: Intake,
): Promise<Outcome> {
  const { nodes, calls, faults, state } = controls;
  const health = nodes.healthOf(place.index);
  const call = calls.record(place.index, message.method ?? "", url.pathname);
  const stumbles = health === "bad-gateway" || nodes.stumbles(state.random);
  if (health !== "up" || stumbles) calls.trouble(call);
  if (health === "down") return { deliver: "cut" };
  if (health === "hang") return { deliver: "never" };
  if (stumbles) throw badGatewayPage();
  response.once("finish", () => {
    call.status = response.statusCode;
  });
  const striking = faults.strike(message.method ?? "", url.pathname, place.index);
  if (striking.length > 0) calls.trouble(call);
  const interrupted = await interrupt(striking);
  if (interrupted !== undefined) return interrupted;
  const reply = await dispatch(controls, place, message, url, striking, call, intake);
  state.store.flush();
  if (has(striking, "empty-list")) return { deliver: "whole", reply: json("[]") };
  if (has(striking, "drop-after")) return { deliver: "cut", reply };
  return { deliver: has(striking, "truncate") ? "half" : "whole", reply };
}

/** Faults that strike before anything is done: how it ends, or undefined to go on. */
async function interrupt(striking: readonly FaultRule[]): Promise<Outcome | undefined> {
  for (const { kind, ms } of striking) if (kind === "latency") await delay(ms ?? 1000, undefined, { ref: false });
  if (has(striking, "hang")) return { deliver: "never" };
  if (has(striking, "refuse-connection") || has(striking, "drop-before")) return { deliver: "cut" };
  if (has(striking, "html502")) throw badGatewayPage();
  if (has(striking, "error500")) throw notNow();
  if (has(striking, "unauthorized")) throw unauthorized();
  if (has(striking, "invalid-session")) throw invalidSession();
  return undefined;
}

async function dispatch(
  controls: Controls,
  place: NodePlace,
  message: IncomingMessage,
  url: URL,
  striking: readonly FaultRule[],
  call: Call,
  intake: Intake,
): Promise<Reply> {
  const { state, tasks, nodes, doorkeeper, calls } = controls;
  if (url.pathname === "/update/update_status.json") return updateStatus(nodes.statusDocument());
  if (!url.pathname.startsWith(base)) throw notFoundPage();
  const path = url.pathname.slice(base.length).replace(/\/$/, "");
  const method = message.method ?? "";
  if (method === "POST" && path === "login") return doorkeeper.login(await readJson(message, intake), place.index);
  const sessionID = doorkeeper.authenticate(message, place.index);
  if (method === "POST" && path === "logout") return doorkeeper.logout(message);
  const { route, params } = matchRoute(routes, method, path) ?? refuseUnknown();
  checkQuery(route, url.searchParams);
  const body = route.streams === true ? undefined : await readJson(message, intake);
  const busy = method === "GET" ? undefined : busyTarget(controls, params, body, sessionID);
  if (busy !== undefined) calls.meetsTask(call, busy);
  const nodeUUID = state.facts.nodeUUIDs[place.index] ?? "";
  return route.handle({
    state,
    tasks,
    nodeVersion: nodes.versionOf(place.index),
    updating: nodes.updating,
    addresses: place.addresses,
    params,
    query: url.searchParams,
    body,
    message,
    intake,
    cutsUpload: has(striking, "drop-upload"),
    context: { sessionID, nodeUUID, fault: taskFaultOf(striking) },
  });
}

function refuseUnknown(): never {
  throw notFoundPage();
}

function updateStatus(document: object | undefined): Reply {
  return document === undefined ? refuseUnknown() : json(JSON.stringify(document));
}

async function readJson(message: IncomingMessage, intake?: Intake): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyLimitBytes) throw new Refusal(413, "413 Request Entity Too Large", true);
    chunks.push(chunk);
  }
  if (intake !== undefined) intake.bytes = bytes;
  if (bytes === 0) return undefined;
  try {
    const body = JSON.parse(Buffer.concat(chunks).toString("utf8")) as unknown;
    if (intake !== undefined) intake.body = body;
    return body;
  } catch {
    throw badRequest("The body is not JSON");
  }
}

function replyFor(controls: Controls, error: unknown): Reply {
  if (!(error instanceof Refusal)) {
    process.stderr.write(`simulator bug: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    return { status: 500, type: "text/plain", body: "The simulator has a bug; its standard error says more." };
  }
  const { status, message, html } = error;
  if (html) return { status, type: "text/html", body: htmlPage(message) };
  const plain = status === 400 && versionAtLeast(controls.state.facts.icosVersion, 9, 7);
  return plain ? { status, type: "text/plain", body: message } : json(JSON.stringify({ error: message }), status);
}

function htmlPage(title: string): string {
  return `<html>\r\n<head><title>${title}</title></head>\r\n<body><center><h1>${title}</h1></center></body>\r\n</html>\r\n`;
}

function has(striking: readonly FaultRule[], kind: FaultRule["kind"]): boolean {
  return striking.some((rule) => rule.kind === kind);
}
