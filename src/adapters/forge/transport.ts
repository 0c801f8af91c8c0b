import { readFile } from "node:fs/promises";
import { Agent, type Dispatcher, ProxyAgent, request } from "undici";
import { messageOf, WatcherError } from "../../lib/errors.ts";

export interface TransportOptions {
  /** PEM file with the authorities to trust in place of the built-in ones, for private installations. */
  readonly caFile?: string | undefined;
  /** `http://user:password@proxy:3128`; credentials go into the proxy's own header. */
  readonly proxy?: string | undefined;
  /** For one request, reading the whole body included. */
  readonly timeoutMs: number;
}

export interface RawRequest {
  readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
}

export interface RawAnswer {
  readonly status: number;
  /** By lower-case name; of several values the first. */
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly text: string;
}

export type Transport = (request: RawRequest, signal: AbortSignal) => Promise<RawAnswer>;

const maxAnswerBytes = 32 * 1024 * 1024;

/** One HTTP exchange, never repeated here. Fails with whatever the network says; a deadline covers the body too. */
export function createTransport(options: TransportOptions): Transport {
  let opening: Promise<Dispatcher> | undefined;
  return async ({ method, url, headers, body }, signal) => {
    opening ??= openDispatcher(options);
    const dispatcher = await opening.catch((error: unknown) => {
      opening = undefined;
      throw error;
    });
    const deadline = AbortSignal.any([signal, AbortSignal.timeout(options.timeoutMs)]);
    const answer = await request(url, { method, headers, dispatcher, signal: deadline, body: body ?? null });
    return { status: answer.statusCode, headers: firstValues(answer.headers), text: await answer.body.text() };
  };
}

async function openDispatcher(options: TransportOptions): Promise<Dispatcher> {
  const tls = options.caFile === undefined ? {} : { ca: await readAuthorities(options.caFile) };
  const limits = {
    headersTimeout: options.timeoutMs,
    bodyTimeout: options.timeoutMs,
    maxResponseSize: maxAnswerBytes,
  };
  const connect = { ...tls, timeout: Math.min(options.timeoutMs, 10_000) };
  if (options.proxy === undefined) return new Agent({ ...limits, connect });
  const proxy = new URL(options.proxy);
  const credentials = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  const token = proxy.username === "" ? {} : { token: `Basic ${Buffer.from(credentials).toString("base64")}` };
  return new ProxyAgent({ ...limits, uri: `${proxy.protocol}//${proxy.host}`, requestTls: connect, ...token });
}

async function readAuthorities(caFile: string): Promise<string> {
  try {
    return await readFile(caFile, "utf8");
  } catch (cause) {
    throw new WatcherError("config-invalid", `caFile ${caFile} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

function firstValues(headers: Readonly<Record<string, string | string[] | undefined>>): RawAnswer["headers"] {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name.toLowerCase(), Array.isArray(value) ? value[0] : value]),
  );
}
