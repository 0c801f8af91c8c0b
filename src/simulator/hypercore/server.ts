import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { setTimeout as delay } from "node:timers/promises";
import { invalidSession, unauthorized } from "./auth.ts";
import { type Controls, control } from "./control.ts";
import { type FaultRule, taskFaultOf } from "./faults.ts";
import { versionAtLeast } from "./options.ts";
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
  try {
    const url = new URL(message.url ?? "/", "http://node.invalid");
    if (url.pathname.startsWith(controlBase)) write(response, await answerControl(controls, message, url), message);
    else await answerApi(controls, place, message, response, url);
  } catch (error) {
    if (response.destroyed || message.errored !== null) return;
    write(response, replyFor(controls, error), message);
  }
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
): Promise<void> {
  const { nodes, calls, faults, state } = controls;
  const health = nodes.healthOf(place.index);
  const call = calls.record(place.index, message.method ?? "", url.pathname);
  if (health === "down") return reset(message);
  if (health === "hang") return;
  if (health === "bad-gateway" || nodes.stumbles(state.random)) throw badGatewayPage();
  response.once("finish", () => {
    call.status = response.statusCode;
  });
  const striking = faults.strike(message.method ?? "", url.pathname, place.index);
  if (await interrupt(striking, message)) return;
  const reply = await dispatch(controls, place, message, url, striking);
  state.store.flush();
  if (has(striking, "drop-after")) return reset(message);
  if (has(striking, "truncate")) return truncate(response, reply);
  write(response, reply, message);
}

/** Faults that strike before anything is done. True when there is nothing more to answer. */
async function interrupt(striking: readonly FaultRule[], message: IncomingMessage): Promise<boolean> {
  for (const { kind, ms } of striking) if (kind === "latency") await delay(ms ?? 1000, undefined, { ref: false });
  if (has(striking, "hang")) return true;
  if (has(striking, "refuse-connection") || has(striking, "drop-before")) {
    reset(message);
    return true;
  }
  if (has(striking, "html502")) throw badGatewayPage();
  if (has(striking, "error500")) throw notNow();
  if (has(striking, "unauthorized")) throw unauthorized();
  if (has(striking, "invalid-session")) throw invalidSession();
  return false;
}

async function dispatch(
  controls: Controls,
  place: NodePlace,
  message: IncomingMessage,
  url: URL,
  striking: readonly FaultRule[],
): Promise<Reply> {
  const { state, tasks, nodes, doorkeeper } = controls;
  if (url.pathname === "/update/update_status.json") return updateStatus(nodes.statusDocument());
  if (!url.pathname.startsWith(base)) throw notFoundPage();
  const path = url.pathname.slice(base.length).replace(/\/$/, "");
  const method = message.method ?? "";
  if (method === "POST" && path === "login") return doorkeeper.login(await readJson(message), place.index);
  const sessionID = doorkeeper.authenticate(message, place.index);
  if (method === "POST" && path === "logout") return doorkeeper.logout(message);
  const { route, params } = matchRoute(routes, method, path) ?? refuseUnknown();
  checkQuery(route, url.searchParams);
  const body = route.streams === true ? undefined : await readJson(message);
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

async function readJson(message: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bodyLimitBytes) throw new Refusal(413, "413 Request Entity Too Large", true);
    chunks.push(chunk);
  }
  if (bytes === 0) return undefined;
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8")) as unknown;
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

/** A body nobody has read is drained, so that the client gets to see the answer. */
function write(response: ServerResponse, reply: Reply, message: IncomingMessage): void {
  message.resume();
  const body = Buffer.from(reply.body);
  const headers = { "content-type": reply.type, "content-length": body.length, ...reply.headers };
  response.writeHead(reply.status, headers).end(body);
}

/** Announces the whole answer and cuts the connection in its middle. */
function truncate(response: ServerResponse, reply: Reply): void {
  const body = Buffer.from(reply.body);
  response.writeHead(reply.status, { "content-type": reply.type, "content-length": body.length });
  response.write(body.subarray(0, Math.floor(body.length / 2)), () => response.destroy());
}

function reset(message: IncomingMessage): void {
  message.socket.destroy();
}

function has(striking: readonly FaultRule[], kind: FaultRule["kind"]): boolean {
  return striking.some((rule) => rule.kind === kind);
}
