import type { IncomingMessage } from "node:http";
import { ApiError } from "../api-error.ts";
import type { ForgeContext } from "../context.ts";
import { etagOf, matchesEtag } from "../etag.ts";
import type { SimulatedUser } from "../options.ts";
import { readJson, type RestAnswer } from "../rest.ts";
import type { Reply, Router } from "../router.ts";
import { GitlabError, missing, unauthorized } from "./error.ts";

const PREFIX = "/api/v4";

/** Everything GitLab does around a route: credentials, scopes, limits, ETag, error bodies. */
export async function answerGitlab(
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
    if (!url.pathname.startsWith(`${PREFIX}/`)) throw missing();
    user = authenticate(context, url, incoming);
    const path = url.pathname.slice(PREFIX.length);
    const found = router.find(method === "HEAD" ? "GET" : method, path);
    if (found) label = `${method} ${found.route.pattern}`;
    admit(context, user, method);
    requireScope(user, method, path);
    if (!found) throw new GitlabError(404, { error: "404 Not Found" });
    const call = {
      method,
      path,
      apiUrl: `${context.siteUrl()}${PREFIX}`,
      query: url.searchParams,
      maxPerPage: context.maxPerPage,
      headers: incoming.headers,
      body,
      user,
      params: found.params,
    };
    const answered = finish(await found.route.handler(call), incoming, user);
    return { label, ...answered, headers: { ...answered.headers, ...limits(context, user) }, login: user?.login };
  } catch (error) {
    return { label, ...refusal(error), login: user?.login };
  }
}

/** `PRIVATE-TOKEN`, `private_token` in the query, or a bearer; not Basic, which is for git. */
function authenticate(context: ForgeContext, url: URL, incoming: IncomingMessage): SimulatedUser | undefined {
  const given = incoming.headers["private-token"] ?? url.searchParams.get("private_token") ?? undefined;
  const header = typeof given === "string" ? `Bearer ${given}` : incoming.headers.authorization;
  if (header !== undefined && !/^bearer /i.test(header)) throw unauthorized();
  const user = context.accounts.authenticate(header);
  if (user?.expiresAt !== undefined && Date.parse(user.expiresAt) <= Date.now()) {
    throw new GitlabError(401, {
      error: "invalid_token",
      error_description: "Token is expired. You can either do re-authorization or token refresh.",
    });
  }
  return user;
}

/** What a token of limited scope may do; `api` may do everything. */
function requireScope(user: SimulatedUser | undefined, method: string, path: string): void {
  const scopes = user?.scopes ?? ["api"];
  const reading = method === "GET" || method === "HEAD";
  const enough = ["api", ...(reading ? ["read_api"] : []), ...(reading && path === "/user" ? ["read_user"] : [])];
  if (path === "/personal_access_tokens/self" || scopes.some((scope) => enough.includes(scope))) return;
  throw new GitlabError(403, {
    error: "insufficient_scope",
    error_description: "The request requires higher privileges than provided by the access token.",
    scope: enough.join(" "),
  });
}

/** The budget is counted as for GitHub, and refused in GitLab's way: 429 in plain text. */
function admit(context: ForgeContext, user: SimulatedUser | undefined, method: string): void {
  const credential = user?.login ?? "";
  try {
    context.limiter.admit(credential, method);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const { reset } = context.limiter.summary(credential);
    const seconds = Number(error.headers["retry-after"] ?? Math.max(1, reset - Math.floor(Date.now() / 1_000)));
    throw new ApiError(429, "Retry later\n", { headers: { "retry-after": `${seconds}` } });
  }
  context.limiter.count(credential);
}

function limits(context: ForgeContext, user: SimulatedUser | undefined): Record<string, string> {
  if (!context.limiter.enabled) return {};
  const { limit, remaining, used, reset } = context.limiter.summary(user?.login ?? "");
  return {
    "ratelimit-limit": `${limit}`,
    "ratelimit-remaining": `${remaining}`,
    "ratelimit-observed": `${used}`,
    "ratelimit-reset": `${reset}`,
    "ratelimit-name": "throttle_authenticated_api",
  };
}

type Bare = Pick<RestAnswer, "status" | "headers" | "text">;

function refusal(error: unknown): Bare {
  const known =
    error instanceof ApiError ? error : new ApiError(500, error instanceof Error ? error.message : String(error));
  const json = { "content-type": "application/json", ...known.headers };
  if (known instanceof GitlabError) return { status: known.status, headers: json, text: JSON.stringify(known.body()) };
  if (known.status === 429) {
    return { status: 429, headers: { "content-type": "text/plain", ...known.headers }, text: known.message };
  }
  // What the parts shared with GitHub refuse, in GitLab's form.
  const said = known.status === 401 ? "401 Unauthorized" : (known.errors?.[0]?.message ?? known.message);
  return { status: known.status, headers: json, text: JSON.stringify({ message: said }) };
}

/** GitLab has tags on its answers, but a 304 costs as much of the budget as a whole answer. */
function finish(reply: Reply, incoming: IncomingMessage, user: SimulatedUser | undefined): Bare {
  const text = reply.body === undefined ? "" : JSON.stringify(reply.body);
  const headers: Record<string, string> = { "content-type": "application/json", ...reply.headers };
  const reading = incoming.method === "GET" || incoming.method === "HEAD";
  if (!reading || reply.status !== 200) return { status: reply.status, headers, text };
  headers["etag"] = etagOf(text, headers["link"], user?.login);
  headers["cache-control"] = "max-age=0, private, must-revalidate";
  if (matchesEtag(incoming.headers["if-none-match"], headers["etag"])) return { status: 304, headers, text: "" };
  return { status: 200, headers, text: incoming.method === "HEAD" ? "" : text };
}
