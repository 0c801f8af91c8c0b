import type { IncomingMessage } from "node:http";
import { ApiError, notFound } from "./api-error.ts";
import type { ForgeContext } from "./context.ts";
import { etagOf, matchesEtag } from "./etag.ts";
import type { SimulatedUser } from "./options.ts";
import type { Reply, Router } from "./router.ts";

/** A finished answer, not yet on the wire. */
export interface RestAnswer {
  /** What the call is counted under. */
  readonly label: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly login: string | undefined;
}

const API_VERSIONS = ["2022-11-28", "2026-03-10"];
const MAX_BODY_BYTES = 25 * 1024 * 1024;

/** Everything GitHub does around a route: user agent, version, credentials, limits, ETag, error bodies. */
export async function answerRest(
  context: ForgeContext,
  router: Router,
  url: URL,
  incoming: IncomingMessage,
): Promise<RestAnswer> {
  const method = incoming.method ?? "GET";
  let label = `${method} (unknown)`;
  let user: SimulatedUser | undefined;
  let common: Record<string, string> = {
    "x-github-request-id": Math.random().toString(16).slice(2, 10).toUpperCase(),
    ...(context.enterpriseVersion === undefined ? {} : { "x-github-enterprise-version": context.enterpriseVersion }),
  };
  try {
    const body = await readJson(incoming);
    refuseStrangers(incoming);
    const { path, prefix } = restPath(context, url.pathname);
    // Only an App itself calls these, with a JWT; the routes look at it.
    const asApp = /^\/app(\/|$)|\/installation$/.test(path);
    user = asApp ? undefined : context.accounts.authenticate(incoming.headers.authorization);
    const found = router.find(method === "HEAD" ? "GET" : method, path);
    if (found) label = `${method} ${found.route.pattern}`;
    const credential = user?.login ?? "";
    const free = path === "/rate_limit";
    if (!free) context.limiter.admit(credential, method);
    const call = {
      method,
      path,
      apiUrl: `${context.siteUrl()}${prefix}`,
      query: url.searchParams,
      maxPerPage: context.maxPerPage,
      headers: incoming.headers,
      body,
      user,
    };
    const answered = await attempt(async () => {
      if (!found) throw notFound();
      return finish(await found.route.handler({ ...call, params: found.params }), incoming, user);
    });
    context.observe?.({
      method,
      path,
      query: url.searchParams,
      userAgent: incoming.headers["user-agent"] ?? "",
      body,
      status: answered.status,
      answer: answered.text,
    });
    if (!free && answered.status !== 304) context.limiter.count(credential);
    common = { ...common, ...context.limiter.headers(credential) };
    return { label, ...answered, headers: { ...common, ...answered.headers }, login: user?.login };
  } catch (error) {
    const answered = refusal(error);
    return { label, ...answered, headers: { ...common, ...answered.headers }, login: user?.login };
  }
}

type Bare = Pick<RestAnswer, "status" | "headers" | "text">;

/** A refused call counts against the limits like any other, so it becomes an answer here. */
async function attempt(work: () => Promise<Bare>): Promise<Bare> {
  try {
    return await work();
  } catch (error) {
    return refusal(error);
  }
}

function refusal(error: unknown): Bare {
  const known =
    error instanceof ApiError ? error : new ApiError(500, error instanceof Error ? error.message : String(error));
  return {
    status: known.status,
    headers: { "content-type": "application/json; charset=utf-8", ...known.headers },
    text: JSON.stringify(known.body()),
  };
}

function refuseStrangers(incoming: IncomingMessage): void {
  if (!incoming.headers["user-agent"]) {
    throw new ApiError(
      403,
      "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.",
    );
  }
  const version = incoming.headers["x-github-api-version"];
  if (typeof version === "string" && !API_VERSIONS.includes(version)) {
    throw new ApiError(400, `API version ${version} is not supported, use one of: ${API_VERSIONS.join(", ")}`);
  }
}

/** Takes off `/api/v3` and turns `/repositories/ID` back into the name the routes know. */
function restPath(context: ForgeContext, pathname: string): { readonly path: string; readonly prefix: string } {
  const prefix = pathname.startsWith("/api/v3/") ? "/api/v3" : "";
  const path = pathname.slice(prefix.length).replace(/^\/repositories\/(\d+)/, (all, id: string) => {
    const repository = context.store.repositories.get(Number(id));
    return repository === undefined ? all : `/repos/${repository.owner}/${repository.name}`;
  });
  return { path, prefix };
}

function finish(reply: Reply, incoming: IncomingMessage, user: SimulatedUser | undefined): Bare {
  const text = renderBody(reply.body);
  const headers: Record<string, string> = { "content-type": "application/json; charset=utf-8", ...reply.headers };
  const reading = incoming.method === "GET" || incoming.method === "HEAD";
  if (!reading || reply.status !== 200) return { status: reply.status, headers, text };
  headers["etag"] = etagOf(text, headers["link"], user?.login);
  headers["cache-control"] = "private, max-age=60, s-maxage=60";
  headers["vary"] = "Accept, Authorization, Cookie";
  if (matchesEtag(incoming.headers["if-none-match"], headers["etag"])) return { status: 304, headers, text: "" };
  return { status: 200, headers, text: incoming.method === "HEAD" ? "" : text };
}

function renderBody(body: unknown): string {
  if (body === undefined) return "";
  return typeof body === "string" ? body : JSON.stringify(body);
}

/**
 * The request's JSON object; an absent body is an empty one.
 * @param listAs Takes a list too and answers it under this name.
 */
export async function readJson(incoming: IncomingMessage, listAs?: string): Promise<Record<string, unknown>> {
  const text = await readText(incoming);
  if (text.trim() === "") return {};
  const value = parse(text);
  if (listAs !== undefined && Array.isArray(value)) return { [listAs]: value };
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new ApiError(400, "Body should be a JSON object");
  return value as Record<string, unknown>;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(400, "Problems parsing JSON");
  }
}

async function readText(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new ApiError(413, "Payload too large");
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
