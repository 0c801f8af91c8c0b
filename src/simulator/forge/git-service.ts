import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";
import { gitEnvironment } from "./git-command.ts";
import { answerAboutRefs } from "./ref-answers.ts";

export interface ServiceRequest {
  /** Folder of the bare repository. */
  readonly directory: string;
  readonly service: "git-upload-pack" | "git-receive-pack";
  /** Whether this is the first question of a client, `/info/refs`, or the service's own request. */
  readonly advertise: boolean;
  readonly login: string | undefined;
  /** Runs when git has finished and before the answer ends, so a client that saw its push end sees its effects. */
  readonly finished: () => Promise<void>;
  /** Do the work and cut the connection in place of the answer. */
  readonly discard: boolean;
}

/**
 * Serves one smart-HTTP request with the service's own process: git's CGI program would do the same with two processes
 * more. Questions about refs are answered without any while the refs stay as they are.
 */
export async function serveService(
  request: ServiceRequest,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  incoming.on("error", () => undefined);
  const protocol = headerText(incoming.headers["git-protocol"]);
  if (request.advertise) await advertise(request, protocol, response);
  else if (incoming.headers["content-type"] !== `application/x-${request.service}-request`) {
    incoming.resume();
    response.writeHead(415, { "content-type": "text/plain" }).write("Unsupported media type\n");
  } else if (request.service === "git-receive-pack") await work(request, protocol, bodyOf(incoming), response);
  else await upload(request, protocol, bodyOf(incoming), response);
  await request.finished();
  if (request.discard || !response.headersSent) response.destroy();
  else response.end();
}

function headerText(value: string | string[] | undefined): string {
  return (Array.isArray(value) ? value.join(", ") : value) ?? "";
}

/** Clients pack larger requests. */
function bodyOf(incoming: IncomingMessage): Readable {
  if (!/^(x-)?gzip$/.test(incoming.headers["content-encoding"] ?? "")) return incoming;
  const unpacked = createGunzip();
  unpacked.on("error", () => undefined);
  incoming.once("close", () => void (incoming.complete || unpacked.destroy()));
  return incoming.pipe(unpacked);
}

async function advertise(request: ServiceRequest, protocol: string, response: ServerResponse): Promise<void> {
  const { service } = request;
  const question = `advertise ${service} ${protocol}`;
  const answer = await answerAboutRefs(request.directory, question, () => ask(request, protocol, undefined));
  if (answer === undefined || request.discard) return;
  writeHead(response, `application/x-${service}-advertisement`);
  // From its second version on the protocol begins without naming the service.
  if (!/(^|:)version=2(:|$)/.test(protocol)) {
    const line = `# service=${service}\n`;
    response.write(`${(line.length + 4).toString(16).padStart(4, "0")}${line}0000`);
  }
  response.write(answer);
}

async function upload(
  request: ServiceRequest,
  protocol: string,
  body: Readable,
  response: ServerResponse,
): Promise<void> {
  const asked = await buffer(body).catch(() => undefined);
  if (asked === undefined) return; // the client went away
  if (!asked.subarray(4).toString("latin1", 0, 15).startsWith("command=ls-refs")) {
    await work(request, protocol, asked, response);
    return;
  }
  const question = `${protocol} ${asked.toString("latin1")}`;
  const answer = await answerAboutRefs(request.directory, question, () => ask(request, protocol, asked));
  if (answer === undefined || request.discard) return;
  writeHead(response, "application/x-git-upload-pack-result");
  response.write(answer);
}

/** One question with a short answer; undefined when git fails. */
async function ask(request: ServiceRequest, protocol: string, input: Buffer | undefined): Promise<Buffer | undefined> {
  const child = start(request, protocol);
  child.stdin.end(input);
  const [answer, [code]] = await Promise.all([buffer(child.stdout), once(child, "close")]);
  return code === 0 ? answer : undefined;
}

/** Streams the request into git and its answer out of it. The answer is left open for `finished`. */
async function work(
  request: ServiceRequest,
  protocol: string,
  body: Readable | Buffer,
  response: ServerResponse,
): Promise<void> {
  const child = start(request, protocol);
  if (Buffer.isBuffer(body)) child.stdin.end(body);
  else body.pipe(child.stdin);
  // A client that goes away must not leave git waiting for the rest of a body or on a full pipe.
  const abandon = (): void => {
    child.kill("SIGTERM");
    child.stdout.destroy();
  };
  response.once("close", abandon);
  const ended = once(child, "close");
  const sending = request.discard ? drain(child) : sendAnswer(request, child, response);
  await Promise.allSettled([sending, ended]);
  response.off("close", abandon);
}

function start(request: ServiceRequest, protocol: string): ChildProcessWithoutNullStreams {
  const { service, directory, advertise: only, login = "anonymous" } = request;
  const flags = ["--stateless-rpc", ...(only ? ["--advertise-refs"] : [])];
  const env = {
    ...gitEnvironment(),
    GIT_PROTOCOL: protocol,
    GIT_COMMITTER_NAME: login,
    GIT_COMMITTER_EMAIL: `${login}@forge.invalid`,
  };
  const child = spawn("git", [service.slice("git-".length), ...flags, directory], { env });
  child.stderr.resume();
  // A git that ends before it has read its input is seen by its answer, not by the broken pipe.
  child.stdin.on("error", () => undefined);
  return child;
}

async function drain(child: ChildProcessWithoutNullStreams): Promise<void> {
  child.stdout.resume();
  await once(child.stdout, "close");
}

async function sendAnswer(
  request: ServiceRequest,
  child: ChildProcessWithoutNullStreams,
  response: ServerResponse,
): Promise<void> {
  writeHead(response, `application/x-${request.service}-result`);
  await pipeline(child.stdout, response, { end: false });
}

function writeHead(response: ServerResponse, type: string): void {
  response.writeHead(200, { "content-type": type, "cache-control": "no-cache, max-age=0, must-revalidate" });
}
