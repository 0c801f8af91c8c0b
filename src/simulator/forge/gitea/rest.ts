import type { IncomingMessage } from "node:http";
import { ApiError } from "../api-error.ts";
import type { ForgeContext } from "../context.ts";
import type { SimulatedUser } from "../options.ts";
import { readJson, type RestAnswer } from "../rest.ts";
import type { Reply, Router } from "../router.ts";
import { notFound } from "./error.ts";

const PREFIX = "/api/v1";

/** Everything around a route: credentials, scopes, error bodies. There are no rate limits, and no ETag on these routes. */
export async function answerGitea(
  context: ForgeContext,
  router: Router,
  url: URL,
  incoming: IncomingMessage,
): Promise<RestAnswer> {
  const method = incoming.method ?? "GET";
  let label = `${method} (unknown)`;
  let user: SimulatedUser | undefined;
  try {
    const body = await readJson(incoming);
    if (!url.pathname.startsWith(`${PREFIX}/`)) throw notFound();
    user = context.accounts.authenticate(incoming.headers.authorization);
    const path = url.pathname.slice(PREFIX.length);
    const found = router.find(method === "HEAD" ? "GET" : method, path);
    if (found === undefined) throw notFound();
    label = `${method} ${found.route.pattern}`;
    requireScope(user, method, path);
    const reply = await found.route.handler({
      method,
      path,
      apiUrl: `${context.siteUrl()}${PREFIX}`,
      query: url.searchParams,
      maxPerPage: context.maxPerPage,
      headers: incoming.headers,
      body,
      user,
      params: found.params,
    });
    return { label, ...finish(reply, method), login: user?.login };
  } catch (error) {
    return { label, ...refusal(context, error), login: user?.login };
  }
}

/** A scope is a part of the API and a level; `write` includes `read`. Comments, of pull requests too, belong to issues. */
function requireScope(user: SimulatedUser | undefined, method: string, path: string): void {
  if (user?.scopes === undefined || path === "/version" || user.scopes.includes("all")) return;
  const part = path.startsWith("/user")
    ? "user"
    : /^\/repos\/[^/]+\/[^/]+\/issues\//.test(path)
      ? "issue"
      : "repository";
  const level = method === "GET" || method === "HEAD" ? "read" : "write";
  if (user.scopes.includes(`write:${part}`) || (level === "read" && user.scopes.includes(`read:${part}`))) return;
  throw new ApiError(403, `token does not have at least one of required scope(s): [${level}:${part}]`);
}

type Bare = Pick<RestAnswer, "status" | "headers" | "text">;

function finish(reply: Reply, method: string): Bare {
  const text = reply.body === undefined || method === "HEAD" ? "" : JSON.stringify(reply.body);
  const headers = {
    "content-type": "application/json;charset=utf-8",
    "cache-control": "max-age=0, private",
    ...reply.headers,
  };
  return { status: reply.status, headers, text };
}

function refusal(context: ForgeContext, error: unknown): Bare {
  const known =
    error instanceof ApiError ? error : new ApiError(500, error instanceof Error ? error.message : String(error));
  // What the parts shared with GitHub refuse, in this forge's form.
  const said =
    known.status === 401 ? "invalid username, password or token" : (known.errors?.[0]?.message ?? known.message);
  const headers = { "content-type": "application/json;charset=utf-8", ...known.headers };
  return {
    status: known.status,
    headers,
    text: JSON.stringify({ message: said, url: `${context.siteUrl()}/api/swagger` }),
  };
}
