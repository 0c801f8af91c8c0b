import { setTimeout as sleep } from "node:timers/promises";
import { backoffDelayMs } from "../../lib/backoff.ts";
import { contentHash } from "../../lib/canonical-json.ts";
import { messageOf, WatcherError } from "../../lib/errors.ts";
import { notJson, type RequestPlace, toForgeError, toNetworkError } from "./http-errors.ts";
import { Lanes } from "./lanes.ts";
import { isScarce, RequestCounter, type RequestUsage } from "./request-usage.ts";
import { createTransport, type RawAnswer, type RawRequest, type TransportOptions } from "./transport.ts";

export interface ForgeHttpOptions extends TransportOptions {
  /** Name in error texts. */
  readonly forge: string;
  /** Addresses that answers point to (next pages, redirects) must have this origin, or the token would leave. */
  readonly apiUrl: string;
  /** Read anew for every request, so that a rotated token is picked up; told which one was `refused` with 401. */
  readonly token: (refused?: string) => Promise<string>;
  readonly headers: Readonly<Record<string, string>>;
  /** Header that carries the token, and what stands before it there; `authorization: Bearer TOKEN` unless given. */
  readonly credential?: { readonly header: string; readonly prefix: string };
  /** Told once an hour what the token was used for. */
  readonly onUsage?: ((usage: RequestUsage) => void) | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: RawAnswer["headers"];
  /** Parsed JSON; undefined for an empty body. */
  readonly body: unknown;
}

/**
 * The manners every forge client needs. Reads are conditional, follow redirects and are tried again after network
 * errors and 500, 502, 503, 504. Writes go out once, one at a time for each token. Rate limits are respected: until the
 * forge's time is over every call fails at once without asking.
 */
export interface ForgeHttp {
  /** A read; `accept` names statuses besides 2xx that are answers, not errors. */
  get(url: string, signal: AbortSignal, accept?: readonly number[]): Promise<Answer>;
  /** A list, page after page as `Link: rel="next"` says. */
  pages(url: string, signal: AbortSignal, accept?: readonly number[]): AsyncGenerator<Answer>;
  /** A write; redirects are answers when accepted, never followed. */
  send(
    method: WriteMethod,
    url: string,
    body: object | undefined,
    signal: AbortSignal,
    accept?: readonly number[],
  ): Promise<Answer>;
  /** Whether few requests are left to the token, as the last answer told. */
  isScarce(): boolean;
}

export type WriteMethod = Exclude<RawRequest["method"], "GET">;

interface CachedAnswer {
  readonly etag: string;
  readonly answer: Answer;
}

const readTries = 4;
const retryDelay = { baseMs: 200, maxMs: 5_000, random: Math.random };
const maxRedirects = 3;
const maxCached = 500;
const maxPages = 1_000;
const redirects = [301, 302, 307, 308];

const bearer = { header: "authorization", prefix: "Bearer " };

/** Shared by all forges of this process: limits count per token, not per repository. */
const writeLanes = new Lanes();
const requests = new RequestCounter();

export function createForgeHttp(options: ForgeHttpOptions): ForgeHttp {
  const transport = createTransport(options);
  const cache = new Map<string, CachedAnswer>();
  let cachedFor = "";
  let blockedUntilMs = 0;
  let limitHits = 0;
  let lastCredential = "";

  async function exchange(raw: Omit<RawRequest, "headers">, etag: string | undefined, signal: AbortSignal) {
    signal.throwIfAborted();
    refuseWhileBlocked();
    const token = await readToken(options);
    const first = await exchangeAs(token, raw, etag, signal);
    if (first.status !== 401) return { answer: first, token };
    const renewed = await readToken(options, token);
    if (renewed === token) return { answer: first, token };
    return { answer: await exchangeAs(renewed, raw, etag, signal), token: renewed };
  }

  async function exchangeAs(
    token: string,
    raw: Omit<RawRequest, "headers">,
    etag: string | undefined,
    signal: AbortSignal,
  ): Promise<RawAnswer> {
    const content = raw.body === undefined ? {} : { "content-type": "application/json" };
    // What one token was shown is no answer for another.
    const conditional = etag === undefined || credentialOf(token) !== cachedFor ? {} : { "if-none-match": etag };
    const { header, prefix } = options.credential ?? bearer;
    const headers = { ...options.headers, ...content, ...conditional, [header]: `${prefix}${token}` };
    try {
      const answer = await transport({ ...raw, headers }, signal);
      lastCredential = credentialOf(token);
      const hour = requests.count(lastCredential, answer, Date.now());
      if (hour !== undefined) options.onUsage?.(hour);
      return answer;
    } catch (cause) {
      signal.throwIfAborted();
      throw toNetworkError(cause, { forge: options.forge, ...raw }, token);
    }
  }

  function refuseWhileBlocked(): void {
    const retryAfterMs = blockedUntilMs - Date.now();
    if (retryAfterMs <= 0) return;
    const seconds = Math.ceil(retryAfterMs / 1_000);
    throw new WatcherError("forge-rate-limited", `${options.forge} asked to wait; ${seconds} s are left`, {
      retryAfterMs,
    });
  }

  /** Turns an answer into a value or an error, and remembers limits. */
  function conclude(answer: RawAnswer, place: RequestPlace, token: string, accept: readonly number[]): Answer {
    if (answer.status >= 200 && answer.status < 300) {
      limitHits = 0;
      return { status: answer.status, headers: answer.headers, body: parseBody(answer, place, token, accept) };
    }
    const error = toForgeError(answer, place, { secret: token, limitHits, nowMs: Date.now() });
    if (error.code === "forge-rate-limited") {
      limitHits += 1;
      blockedUntilMs = Date.now() + (error.retryAfterMs ?? 0);
    } else if (accept.includes(answer.status)) {
      return { status: answer.status, headers: answer.headers, body: parseBody(answer, place, token, accept) };
    }
    throw error;
  }

  async function readOnce(url: string, signal: AbortSignal, accept: readonly number[]): Promise<Answer> {
    let place: RequestPlace & { method: "GET" } = { forge: options.forge, method: "GET", url };
    for (let hop = 0; hop <= maxRedirects; hop += 1) {
      const known = cache.get(url);
      const { answer, token } = await exchange({ method: "GET", url: place.url, body: undefined }, known?.etag, signal);
      if (answer.status === 304 && known !== undefined) {
        keep(url, known);
        return known.answer;
      }
      if (!redirects.includes(answer.status)) {
        const concluded = conclude(answer, place, token, accept);
        remember(url, concluded, token);
        return concluded;
      }
      place = { ...place, url: sameOrigin(answer.headers["location"] ?? "", place.url, options) };
    }
    throw new WatcherError("forge-refused", `${options.forge} sends GET ${new URL(url).pathname} round in circles`);
  }

  function remember(url: string, answer: Answer, token: string): void {
    const credential = credentialOf(token);
    if (credential !== cachedFor) cache.clear();
    cachedFor = credential;
    const { etag } = answer.headers;
    if (etag === undefined || answer.status !== 200) return;
    keep(url, { etag, answer });
  }

  /** What was asked for the longest time ago makes room. */
  function keep(url: string, cached: CachedAnswer): void {
    cache.delete(url);
    cache.set(url, cached);
    const oldest = cache.keys().next().value;
    if (cache.size > maxCached && oldest !== undefined) cache.delete(oldest);
  }

  async function get(url: string, signal: AbortSignal, accept: readonly number[] = []): Promise<Answer> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await readOnce(url, signal, accept);
      } catch (error) {
        const delayMs = retryDelayMs(error, attempt);
        if (delayMs === undefined) throw error;
        await sleep(delayMs, undefined, { signal }).catch(() => signal.throwIfAborted());
      }
    }
  }

  async function* pages(url: string, signal: AbortSignal, accept?: readonly number[]): AsyncGenerator<Answer> {
    let next: string | undefined = url;
    for (let page = 0; next !== undefined && page < maxPages; page += 1) {
      const answer: Answer = await get(next, signal, accept);
      yield answer;
      const following = nextPage(answer.headers["link"]);
      next = following === undefined ? undefined : sameOrigin(following, next, options);
    }
  }

  async function send(
    method: WriteMethod,
    url: string,
    body: object | undefined,
    signal: AbortSignal,
    accept: readonly number[] = [],
  ): Promise<Answer> {
    const lane = contentHash([new URL(url).origin, await readToken(options)], 16);
    return writeLanes.run(lane, async () => {
      const { answer, token } = await exchange(
        { method, url, body: body === undefined ? undefined : JSON.stringify(body) },
        undefined,
        signal,
      );
      return conclude(answer, { forge: options.forge, method, url }, token, accept);
    });
  }

  return { get, pages, send, isScarce: () => isScarce(requests.usage(lastCredential)) };
}

function credentialOf(token: string): string {
  return contentHash(token, 16);
}

/** How long to wait before a read is tried again, or undefined when it should not be. */
function retryDelayMs(error: unknown, attempt: number): number | undefined {
  if (!(error instanceof WatcherError) || error.code !== "forge-unreachable" || attempt >= readTries) return undefined;
  const delayMs = backoffDelayMs(attempt, retryDelay);
  if (error.retryAfterMs === undefined) return delayMs;
  return error.retryAfterMs > retryDelay.maxMs ? undefined : Math.max(delayMs, error.retryAfterMs);
}

async function readToken({ token, forge }: ForgeHttpOptions, refused?: string): Promise<string> {
  const value = await token(refused)
    .then((text) => text.trim())
    .catch((cause: unknown) => {
      if (cause instanceof WatcherError) throw cause;
      throw new WatcherError("forge-auth-failed", `the token for ${forge} cannot be read: ${messageOf(cause)}`, {
        cause,
      });
    });
  if (/^[\x21-\x7E]+$/.test(value)) return value;
  const wrong = value === "" ? "is empty" : "holds characters no token has";
  throw new WatcherError("forge-auth-failed", `the token for ${forge} ${wrong}`);
}

function parseBody(answer: RawAnswer, place: RequestPlace, token: string, accept: readonly number[]): unknown {
  if (answer.text === "") return undefined;
  try {
    return JSON.parse(answer.text) as unknown;
  } catch {
    if (accept.includes(answer.status)) return undefined;
    throw notJson(answer, place, token);
  }
}

/** Address of the next page in a Link header. */
function nextPage(link: string | undefined): string | undefined {
  for (const part of (link ?? "").split(/,\s*(?=<)/)) {
    const match = /^<([^<>]+)>(.*)$/.exec(part.trim());
    if (match !== null && /;\s*rel="?next"?/.test(match[2] ?? "")) return match[1];
  }
  return undefined;
}

function sameOrigin(target: string, from: string, { apiUrl, forge }: ForgeHttpOptions): string {
  const url = URL.canParse(target, from) ? new URL(target, from) : undefined;
  if (url?.origin === new URL(apiUrl).origin) return url.href;
  throw new WatcherError(
    "forge-refused",
    `${forge} points to another address (${url?.origin ?? "unreadable"}); the token is sent to ${new URL(apiUrl).origin} only`,
  );
}
