import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { ApiError, notFound } from "./api-error.ts";
import type { ForgeContext } from "./context.ts";
import { addControlRoutes } from "./control.ts";
import type { Fault } from "./faults.ts";
import { parseGitRequest, serveGit } from "./git-site.ts";
import { readJson, type RestAnswer } from "./rest.ts";
import { Router } from "./router.ts";
import { answerPage } from "./site.ts";

/** What became of one request, for the list of calls. */
interface Outcome {
  readonly label: string;
  readonly status: number;
  readonly login?: string | undefined;
}

/**
 * One listener for everything: control, git, REST (of GitHub also at the root) and pages.
 * @param requests Filled with the requests at work, for a close that waits for them.
 */
export function forgeListener(context: ForgeContext, requests: Set<Promise<void>>): RequestListener {
  const rest = new Router();
  context.dialect.addRoutes(rest, context);
  const control = new Router();
  addControlRoutes(control, context);
  return (incoming, response) => {
    const request = handle(context, rest, control, incoming, response);
    requests.add(request);
    void request.finally(() => requests.delete(request));
  };
}

async function handle(
  context: ForgeContext,
  rest: Router,
  control: Router,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const started = Date.now();
  const method = incoming.method ?? "GET";
  const url = new URL(incoming.url ?? "/", "http://forge.invalid");
  try {
    if (url.pathname.startsWith("/_simulator/")) return await answerControl(context, control, url, incoming, response);
    const outcome = await answerWithFaults(context, rest, url, incoming, response);
    const { label, status, login } = outcome;
    context.calls.record(label, { method, path: url.pathname + url.search, status, login, ms: Date.now() - started });
  } catch (error) {
    sendError(response, error);
  }
}

async function answerWithFaults(
  context: ForgeContext,
  rest: Router,
  url: URL,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<Outcome> {
  const fault = context.faults.strike(incoming.method ?? "GET", url.pathname + url.search);
  if (fault !== undefined) {
    const label = `fault ${fault.kind}`;
    const over = await strikeBefore(fault, context.closing, incoming, response);
    if (over !== undefined) return { label, status: over };
  }
  return answer(context, rest, url, incoming, response, fault?.kind === "drop-after");
}

/** Plays the faults that come before the work. Answers the status when the request is over with that. */
async function strikeBefore(
  fault: Fault,
  closing: AbortSignal,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<number | undefined> {
  switch (fault.kind) {
    case "latency":
      await sleep(fault.ms, undefined, { signal: closing });
      return undefined;
    case "drop-after":
      return undefined;
    case "drop-before":
      incoming.socket.destroy();
      return 0;
    case "hang":
      return 0;
    case "hang-body":
      response.writeHead(200, { "content-type": "application/json" });
      response.write("{");
      return 200;
    case "status": {
      incoming.resume();
      const [type, text] =
        typeof fault.body === "string" ? ["text/html", fault.body] : ["application/json", JSON.stringify(fault.body)];
      response.writeHead(fault.status, { "content-type": type, ...fault.headers });
      response.end(text);
      return fault.status;
    }
    default:
      return fault.kind satisfies never;
  }
}

async function answer(
  context: ForgeContext,
  rest: Router,
  url: URL,
  incoming: IncomingMessage,
  response: ServerResponse,
  discard: boolean,
): Promise<Outcome> {
  const method = incoming.method ?? "GET";
  const git = parseGitRequest(method, url);
  if (git !== undefined) return answerGit(context, git, incoming, response, discard);
  const page = method === "GET" ? await answerPage(context, url.pathname, incoming.headers.authorization) : undefined;
  const answered = page ?? (await context.dialect.answer(context, rest, url, incoming));
  if (discard) incoming.socket.destroy();
  else send(response, answered);
  return { label: answered.label, status: discard ? 0 : answered.status, login: answered.login };
}

async function answerGit(
  context: ForgeContext,
  git: NonNullable<ReturnType<typeof parseGitRequest>>,
  incoming: IncomingMessage,
  response: ServerResponse,
  discard: boolean,
): Promise<Outcome> {
  const label = `git ${git.pushing ? "push" : "fetch"} ${git.service}`;
  try {
    await serveGit(context, git, incoming, response, discard);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    incoming.resume();
    const challenge = error.status === 401 ? { "www-authenticate": 'Basic realm="GitHub"' } : {};
    response.writeHead(error.status, { "content-type": "text/plain; charset=utf-8", ...challenge });
    response.end(`${error.message}\n`);
  }
  return { label, status: discard ? 0 : response.statusCode };
}

/** Only for this machine: whoever may write here can do anything. */
async function answerControl(
  context: ForgeContext,
  control: Router,
  url: URL,
  incoming: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  if (!/^(127\.|::1$|::ffff:127\.)/.test(incoming.socket.remoteAddress ?? ""))
    throw new ApiError(403, "The control API answers loopback only.");
  // A page in a browser on this machine comes from loopback too.
  if (incoming.headers.origin !== undefined) throw new ApiError(403, "The control API is not for web pages.");
  const method = incoming.method ?? "GET";
  const found = control.find(method, url.pathname);
  if (found === undefined) throw notFound();
  const body = await readJson(incoming, "faults");
  const call = {
    method,
    path: url.pathname,
    apiUrl: `${context.siteUrl()}${context.dialect.apiPath}`,
    params: found.params,
    query: url.searchParams,
    maxPerPage: context.maxPerPage,
  };
  const reply = await found.route.handler({ ...call, headers: incoming.headers, body, user: undefined });
  const text = reply.body === undefined ? "" : JSON.stringify(reply.body);
  send(response, {
    label: "",
    status: reply.status,
    text,
    headers: { "content-type": "application/json" },
    login: undefined,
  });
}

function send(response: ServerResponse, answered: RestAnswer): void {
  response.writeHead(answered.status, answered.headers);
  response.end(answered.text);
}

function sendError(response: ServerResponse, error: unknown): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const known =
    error instanceof ApiError ? error : new ApiError(500, error instanceof Error ? error.message : String(error));
  response.writeHead(known.status, { "content-type": "application/json; charset=utf-8", ...known.headers });
  response.end(JSON.stringify(known.body()));
}
