import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Engine } from "../app/engine.ts";
import type { ServerConfig } from "../config/config.ts";
import { messageOf, WatcherError } from "../lib/errors.ts";
import { type Answer, answer } from "./answer.ts";
import { createRoutes, type Route } from "./routes.ts";

export interface HttpServer extends AsyncDisposable {
  /** Where it listens, e.g. `http://127.0.0.1:8080`. */
  readonly url: string;
}

/** A request must be there whole by then; forges wait 5 to 10 s for their answer. */
const requestMs = 10_000;
const limits = {
  requestTimeout: requestMs,
  headersTimeout: 5_000,
  keepAliveTimeout: 5_000,
  connectionsCheckingInterval: 1_000,
  maxHeaderSize: 16_384,
};
const maxConnections = 256;
const tooEarlyToHangUpMs = 500;

/** Listens until disposed. Throws `server-failed` when it cannot. */
export async function startHttpServer(engine: Engine, { host, port }: ServerConfig): Promise<HttpServer> {
  const routes = createRoutes(engine);
  const server = createServer(limits, (request, response) => {
    void respond(engine, routes, request, response);
  });
  server.maxConnections = maxConnections;
  try {
    server.listen({ host, port });
    await once(server, "listening");
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    const advice = code === "EADDRINUSE" ? "another program has it" : messageOf(cause);
    throw new WatcherError(
      "server-failed",
      `cannot listen on ${host}:${port}: ${advice}; give another address in server.listen`,
      { cause },
    );
  }
  const url = urlOf(server);
  engine.log.info({ url }, "http server listens");
  return { url, [Symbol.asyncDispose]: () => close(server) };
}

function urlOf(server: Server): string {
  const { address, family, port } = server.address() as AddressInfo;
  return `http://${family === "IPv6" ? `[${address}]` : address}:${port}`;
}

async function respond(
  engine: Engine,
  routes: readonly Route[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  // A client that goes away in the middle is its own trouble.
  request.on("error", () => undefined);
  response.on("error", () => undefined);
  let reply: Answer;
  try {
    reply = await find(routes, request);
  } catch (error) {
    if (request.destroyed && !request.complete) return;
    reply = troubled(engine, error);
  }
  write(request, response, reply);
}

function find(routes: readonly Route[], request: IncomingMessage): Promise<Answer> {
  const path = (request.url ?? "/").split("?")[0] ?? "/";
  const route = routes.find(({ pattern }) => pattern.test(path));
  if (route === undefined) return Promise.resolve({ ...answer(404, "nothing here"), close: true });
  if (!route.methods.includes(request.method ?? ""))
    return Promise.resolve({ ...answer(405, "not this way", { allow: route.methods.join(", ") }), close: true });
  return route.answer(request, route.pattern.exec(path)?.slice(1) ?? []);
}

function troubled(engine: Engine, error: unknown): Answer {
  if (error instanceof WatcherError)
    return { status: 503, body: { status: "not now", reason: error.code }, headers: { "retry-after": "5" } };
  engine.log.error({ err: error }, "a request failed for a reason that is a bug");
  return answer(500, "internal error");
}

function write(request: IncomingMessage, response: ServerResponse, reply: Answer): void {
  const text = `${JSON.stringify(reply.body)}\n`;
  response.writeHead(reply.status, {
    "content-type": "application/json; charset=utf-8",
    "content-length": Buffer.byteLength(text),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    ...reply.headers,
    ...(reply.close === true ? { connection: "close" } : {}),
  });
  response.end(request.method === "HEAD" ? undefined : text);
  // Hanging up at once would lose the answer to a client that is still sending.
  if (reply.close === true && !request.complete) {
    request.resume();
    setTimeout(() => request.destroy(), tooEarlyToHangUpMs).unref();
  }
}

async function close(server: Server): Promise<void> {
  const closed = once(server, "close");
  server.close();
  server.closeIdleConnections();
  const late = setTimeout(() => server.closeAllConnections(), 2_000);
  await closed;
  clearTimeout(late);
}
