import { messageOf, WatcherError } from "../../lib/errors.ts";
import { maskSecrets } from "../../lib/redact.ts";
import type { RawAnswer } from "./transport.ts";

const maxServerText = 300;
/** GitHub asks for at least a minute when a secondary limit gives no time. */
const secondaryLimitMs = 60_000;
const maxSecondaryMs = 15 * 60_000;

/** What an error text may say of a request: never its headers. */
export interface RequestPlace {
  readonly forge: string;
  readonly method: string;
  readonly url: string;
}

/** The error for an answer that is neither a success nor expected. */
export function toForgeError(
  answer: RawAnswer,
  place: RequestPlace,
  known: { readonly secret: string; readonly limitHits: number; readonly nowMs: number },
): WatcherError {
  const said = hide(serverText(answer), known.secret);
  const what = `${place.forge} answered ${answer.status} to ${describe(place)}`;
  if (isRateLimit(answer, said)) {
    const retryAfterMs = limitDelayMs(answer, known);
    const seconds = Math.ceil(retryAfterMs / 1_000);
    return new WatcherError("forge-rate-limited", `${what}: ${said}. Asked to wait ${seconds} s`, { retryAfterMs });
  }
  if (answer.status === 401) {
    return new WatcherError("forge-auth-failed", `${what}: ${said}. The token is wrong, expired or revoked`);
  }
  if (answer.status >= 500) {
    const retryAfterMs = retryAfterOf(answer, known.nowMs);
    return new WatcherError("forge-unreachable", `${what}: ${said}`, { retryAfterMs });
  }
  return new WatcherError("forge-refused", `${what}: ${said}${advice(answer, said)}`);
}

/** The error for a request that got no answer: broken connection, timeout, unknown name, bad certificate. */
export function toNetworkError(cause: unknown, place: RequestPlace, secret: string): WatcherError {
  if (cause instanceof WatcherError) return cause;
  const message = hide(networkText(cause), secret);
  return new WatcherError("forge-unreachable", `${place.forge} did not answer ${describe(place)}: ${message}`, {
    cause,
  });
}

/** A success whose body is no JSON: a sign-in page, a proxy's notice, a wrong address. */
export function notJson(answer: RawAnswer, place: RequestPlace, secret: string): WatcherError {
  const said = hide(serverText(answer), secret);
  return new WatcherError(
    "forge-unreachable",
    `${place.forge} answered ${describe(place)} with something that is no JSON: ${said}. Is the API address right, and is a proxy in between?`,
  );
}

/** Milliseconds of a Retry-After header (seconds or a date), or undefined. */
export function retryAfterOf(answer: RawAnswer, nowMs: number): number | undefined {
  const value = answer.headers["retry-after"];
  if (value === undefined) return undefined;
  if (/^\d{1,7}$/.test(value.trim())) return Number(value) * 1_000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - serverTime(answer, nowMs));
}

function isRateLimit(answer: RawAnswer, said: string): boolean {
  if (answer.status === 429) return true;
  if (answer.status !== 403) return false;
  const exhausted = answer.headers["x-ratelimit-remaining"] === "0" || answer.headers["retry-after"] !== undefined;
  return exhausted || /rate limit|abuse detection/i.test(said);
}

function limitDelayMs(answer: RawAnswer, known: { readonly limitHits: number; readonly nowMs: number }): number {
  const asked = retryAfterOf(answer, known.nowMs);
  if (asked !== undefined) return asked;
  const reset = Number(answer.headers["x-ratelimit-reset"]);
  if (answer.headers["x-ratelimit-remaining"] === "0" && reset > 0) {
    return Math.max(1_000, reset * 1_000 - serverTime(answer, known.nowMs));
  }
  return Math.min(maxSecondaryMs, secondaryLimitMs * 2 ** Math.min(known.limitHits, 10));
}

/** The forge's clock, as its limits are told in it. */
function serverTime(answer: RawAnswer, nowMs: number): number {
  const date = Date.parse(answer.headers["date"] ?? "");
  return Number.isNaN(date) ? nowMs : date;
}

function advice(answer: RawAnswer, said: string): string {
  const accepted = answer.headers["x-accepted-github-permissions"];
  if (answer.status === 403 && accepted !== undefined) return `. The token needs one of these permissions: ${accepted}`;
  if (answer.status === 403 && /\blocked\b/i.test(said))
    return ". The conversation is locked: unlock it, or give this account the right to write there";
  if (answer.status === 410) return ". It is gone, or comments are switched off there";
  if (answer.status === 404) return ". It does not exist, or the token may not see it";
  return "";
}

/** The forge's own words from a JSON or HTML body, on one line. */
function serverText(answer: RawAnswer): string {
  const text = jsonText(answer.text) ?? htmlText(answer.text);
  const line = text.replaceAll(/[\p{Cc}\s]+/gu, " ").trim();
  if (line === "") return "no explanation";
  return line.length > maxServerText ? `${line.slice(0, maxServerText)}…` : line;
}

function jsonText(text: string): string | undefined {
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body !== "object" || body === null) return undefined;
    const { message, errors } = body as { message?: unknown; errors?: unknown };
    const details = (Array.isArray(errors) ? errors : [])
      .map((entry: unknown) => (typeof entry === "string" ? entry : detailOf(entry)))
      .filter((detail) => detail !== "");
    const parts = [typeof message === "string" ? message : "", details.join(", ")].filter((part) => part !== "");
    return parts.join(": ");
  } catch {
    return undefined;
  }
}

function detailOf(entry: unknown): string {
  if (typeof entry !== "object" || entry === null) return "";
  const { message, field, code } = entry as Record<string, unknown>;
  if (typeof message === "string") return message;
  return [field, code].filter((part) => typeof part === "string").join(" ");
}

function htmlText(text: string): string {
  const head = text.slice(0, 20_000);
  const title = /<title[^>]{0,200}>([^<]{1,300})/i.exec(head)?.[1];
  return title ?? head.replaceAll(/<[^<>]{0,2000}>/g, " ");
}

function networkText(cause: unknown): string {
  if (cause instanceof Error && cause.name === "TimeoutError") return "timeout";
  const inner =
    cause instanceof AggregateError ? cause.errors[0] : cause instanceof Error ? (cause.cause ?? cause) : cause;
  const text = messageOf(inner) || messageOf(cause);
  const code = codeOf(cause) ?? codeOf(inner);
  return code === undefined || text.includes(code) ? text || "unknown error" : `${text} (${code})`;
}

function codeOf(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

function describe({ method, url }: RequestPlace): string {
  return `${method} ${new URL(url).pathname}`;
}

function hide(text: string, secret: string): string {
  return maskSecrets(secret === "" ? text : text.replaceAll(secret, "(masked)"));
}
