import { readFile } from "node:fs/promises";
import { rootCertificates } from "node:tls";
import { Agent, type Dispatcher, ProxyAgent } from "undici";
import { WatcherError, messageOf } from "../../lib/errors.ts";
import { ForbiddenAddress, forbiddenAddress, guardedLookup } from "./address-guard.ts";
import { type AssetSource, describeSource, plainUrl, refused } from "./mirror.ts";
import type { AssetStoreOptions } from "./options.ts";

const mostRedirects = 5;

/** What a server says of an asset. */
export interface RemoteFacts {
  readonly sizeBytes: number | undefined;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
}

export interface RemoteBody extends RemoteFacts {
  readonly body: Dispatcher.ResponseData["body"];
}

/** Reads assets over HTTP(S). Follows a few redirects, each checked like the first address. */
export class HttpSource {
  readonly #options: AssetStoreOptions;
  #dispatchers: Promise<ReadonlyMap<boolean, Dispatcher>> | undefined;

  constructor(options: AssetStoreOptions) {
    this.#options = options;
  }

  /** HEAD; servers that do not know it, or do not say a length, are asked for a single byte. */
  async describe(source: AssetSource, url: URL, signal: AbortSignal): Promise<RemoteFacts> {
    const head = await this.#request(source, url, "HEAD", {}, signal);
    await head.body.dump();
    if (head.statusCode === 200 && factsOf(head).sizeBytes !== undefined) return factsOf(head);
    if (head.statusCode !== 200 && ![403, 405, 501].includes(head.statusCode))
      throw this.#failed(source, head.statusCode);
    const ranged = await this.#request(source, url, "GET", { range: "bytes=0-0" }, signal);
    // The body of a server that ignores ranges would be the whole image.
    ranged.body.on("error", () => {}).destroy();
    if (ranged.statusCode !== 200 && ranged.statusCode !== 206) throw this.#failed(source, ranged.statusCode);
    return factsOf(ranged);
  }

  async open(source: AssetSource, url: URL, signal: AbortSignal): Promise<RemoteBody> {
    const answer = await this.#request(source, url, "GET", {}, signal);
    if (answer.statusCode === 200) return { ...factsOf(answer), body: answer.body };
    await answer.body.dump();
    throw this.#failed(source, answer.statusCode);
  }

  async #request(
    source: AssetSource,
    start: URL,
    method: "HEAD" | "GET",
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    let url = start;
    for (let hop = 0; hop <= mostRedirects; hop++) {
      const answer = await this.#hop(source, url, method, headers, signal);
      const location = answer.headers.location;
      if (answer.statusCode < 300 || answer.statusCode >= 400 || typeof location !== "string") return answer;
      await answer.body.dump();
      url = this.#redirected(source, url, location);
    }
    throw new WatcherError("asset-unavailable", `${describeSource(source)}: more than ${mostRedirects} redirects`);
  }

  #redirected(source: AssetSource, from: URL, location: string): URL {
    if (!URL.canParse(location, from.href))
      throw new WatcherError("asset-unavailable", `${describeSource(source)}: redirected to nowhere`);
    const url = new URL(location, from);
    const safe =
      url.protocol === "https:" || (url.protocol === "http:" && (from.protocol === "http:" || this.#options.allowHttp));
    if (!safe) throw refused(source.asset, `redirected to ${plainUrl(url.href)}, which is not allowed`);
    return url;
  }

  async #hop(
    source: AssetSource,
    url: URL,
    method: "HEAD" | "GET",
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Dispatcher.ResponseData> {
    const denyPrivate = source.mirror === undefined && this.#options.denyPrivate === true;
    const complaint = forbiddenAddress(url.hostname, denyPrivate);
    if (complaint !== undefined) throw refused(source.asset, complaint);
    const dispatcher = (await this.#open()).get(denyPrivate);
    if (dispatcher === undefined) throw new Error("no dispatcher");
    try {
      return await dispatcher.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method,
        headers: { "accept-encoding": "identity", "user-agent": "kraken-gitops", ...authorization(url), ...headers },
        signal,
      });
    } catch (error) {
      signal.throwIfAborted();
      throw this.#broken(source, url, error);
    }
  }

  #broken(source: AssetSource, url: URL, cause: unknown): WatcherError {
    const forbidden = [cause, cause instanceof Error ? cause.cause : undefined].find(
      (error) => error instanceof ForbiddenAddress,
    );
    if (forbidden !== undefined) return refused(source.asset, messageOf(forbidden));
    return new WatcherError("asset-unavailable", `${describeSource(source)}: ${url.host}: ${messageOf(cause)}`, {
      cause,
    });
  }

  #failed(source: AssetSource, status: number): WatcherError {
    const missing = status === 404 || status === 410;
    const hint = status === 401 || status === 403 ? " (it needs credentials, or does not exist)" : "";
    const code = missing
      ? "asset-missing"
      : status < 500 && status !== 408 && status !== 429
        ? "asset-refused"
        : "asset-unavailable";
    return new WatcherError(code, `${describeSource(source)}: the server answers ${status}${hint}`);
  }

  #open(): Promise<ReadonlyMap<boolean, Dispatcher>> {
    this.#dispatchers ??= openDispatchers(this.#options);
    return this.#dispatchers;
  }

  async close(): Promise<void> {
    const open = (await this.#dispatchers) ?? new Map<boolean, Dispatcher>();
    await Promise.all([...open.values()].map(async (dispatcher) => dispatcher.destroy()));
  }
}

/** One set of connections per rule on private addresses, so that a guarded request never rides on an unguarded socket. */
async function openDispatchers(options: AssetStoreOptions): Promise<ReadonlyMap<boolean, Dispatcher>> {
  const ca = options.caFile === undefined ? {} : { ca: [...rootCertificates, await readFile(options.caFile, "utf8")] };
  const limits = { headersTimeout: options.stallMs ?? 60_000, bodyTimeout: options.stallMs ?? 60_000 };
  const open = (denyPrivate: boolean): Dispatcher => {
    if (options.proxy !== undefined) return new ProxyAgent({ uri: options.proxy, requestTls: ca, ...limits });
    return new Agent({
      ...limits,
      connect: { timeout: options.connectMs ?? 10_000, lookup: guardedLookup(denyPrivate), ...ca },
    });
  };
  return new Map([false, true].map((denyPrivate) => [denyPrivate, open(denyPrivate)]));
}

function authorization(url: URL): Readonly<Record<string, string>> {
  if (url.username === "") return {};
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString("base64")}` };
}

function factsOf(answer: Dispatcher.ResponseData): RemoteFacts {
  const header = (name: string): string | undefined => {
    const value = answer.headers[name];
    return typeof value === "string" ? value : undefined;
  };
  return { sizeBytes: sizeOf(answer.statusCode, header), etag: header("etag"), lastModified: header("last-modified") };
}

function sizeOf(status: number, header: (name: string) => string | undefined): number | undefined {
  const text = status === 206 ? /\/(\d+)$/.exec(header("content-range") ?? "")?.[1] : header("content-length");
  return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
}
