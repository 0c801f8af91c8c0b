import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import type { IncomingMessage, ServerResponse } from "node:http";
import { pipeline } from "node:stream/promises";
import { gitEnvironment } from "./git-command.ts";

export interface BackendRequest {
  /** Folder of the bare repository. */
  readonly directory: string;
  /** `/info/refs`, `/git-upload-pack` or `/git-receive-pack`. */
  readonly service: string;
  readonly query: string;
  readonly login: string | undefined;
  /** Whether `git-receive-pack` is open to this user. */
  readonly mayPush: boolean;
  /** Runs when git has finished and before the answer ends, so a client that saw its push end sees its effects. */
  readonly finished: () => Promise<void>;
  /** Do the work and cut the connection in place of the answer. */
  readonly discard: boolean;
}

/** Hands one smart-HTTP request to `git http-backend` (CGI, RFC 3875) and streams both ways. */
export async function serveBackend(
  request: BackendRequest,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const child = spawn("git", ["http-backend"], { env: cgiEnvironment(request, incoming) });
  child.stderr.resume();
  child.stdin.on("error", () => undefined);
  incoming.on("error", () => undefined);
  incoming.pipe(child.stdin);
  // A client that goes away: http-backend would wait for the rest of a counted body for ever (git 2.39 spins on it).
  const abandon = (): void => void child.kill("SIGTERM");
  response.once("close", abandon);
  const ended = new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => resolve());
  });
  const sending = request.discard ? drain(child) : sendAnswer(child, response);
  await Promise.allSettled([sending, ended]);
  response.off("close", abandon);
  await request.finished();
  if (request.discard || !response.headersSent) response.destroy();
  else response.end();
}

function cgiEnvironment(request: BackendRequest, incoming: IncomingMessage): Record<string, string> {
  const { headers } = incoming;
  const optional: Record<string, string | undefined> = {
    CONTENT_TYPE: headers["content-type"],
    CONTENT_LENGTH: headers["content-length"],
    // http-backend itself unpacks gzip bodies.
    HTTP_CONTENT_ENCODING: headers["content-encoding"],
    GIT_PROTOCOL: headerText(headers["git-protocol"]),
    REMOTE_USER: request.mayPush ? (request.login ?? "anonymous") : undefined,
    REMOTE_ADDR: incoming.socket.remoteAddress,
  };
  return {
    ...gitEnvironment(),
    GIT_PROJECT_ROOT: request.directory,
    GIT_HTTP_EXPORT_ALL: "1",
    PATH_INFO: request.service,
    REQUEST_METHOD: incoming.method ?? "GET",
    QUERY_STRING: request.query,
    SERVER_PROTOCOL: "HTTP/1.1",
    GATEWAY_INTERFACE: "CGI/1.1",
    ...Object.fromEntries(
      Object.entries(optional).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
    ),
  };
}

function headerText(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(", ") : value;
}

async function drain(child: ChildProcessWithoutNullStreams): Promise<void> {
  child.stdout.resume();
  await new Promise<void>((resolve) => child.stdout.once("close", resolve));
}

/** Reads the CGI head, then lets the body through as it comes. The answer is left open for `finished`. */
async function sendAnswer(child: ChildProcessWithoutNullStreams, response: ServerResponse): Promise<void> {
  // A client that goes away must not leave git waiting on a full pipe.
  response.once("close", () => child.stdout.destroy());
  let head: Buffer = Buffer.alloc(0);
  await pipeline(
    child.stdout,
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) {
        if (response.headersSent) {
          yield chunk;
          continue;
        }
        head = Buffer.concat([head, chunk]);
        const end = head.indexOf("\r\n\r\n");
        if (end === -1) continue;
        writeHead(response, head.subarray(0, end).toString("latin1"));
        yield head.subarray(end + 4);
      }
    },
    response,
    { end: false },
  );
}

function writeHead(response: ServerResponse, head: string): void {
  const fields = head.split("\r\n").map((line) => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
  });
  const status = Number.parseInt(fields.find(([name]) => name === "status")?.[1] ?? "200", 10);
  response.writeHead(status, Object.fromEntries(fields.filter(([name]) => name !== "status")));
}
