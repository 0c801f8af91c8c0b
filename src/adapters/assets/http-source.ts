import type { Dispatcher } from "undici";
import { WatcherError, messageOf } from "../../lib/errors.ts";
import { ForbiddenAddress, forbiddenAddress } from "./address-guard.ts";
import { openDispatchers } from "./dispatchers.ts";
import { type AssetSource, describeSource, plainUrl, refused } from "./mirror.ts";
import type { AssetStoreOptions } from "./options.ts";

const mostRedirects = 5;

/** What a server says of an asset. */
export interface RemoteFacts {
  readonly sizeBytes: number | undefined;
  readonly etag: string | undefined;
  readonly lastModified: string | undefined;
  /** What `If-Range` takes to mean exactly this content; undefined when nothing is strict enough. */
  readonly validator: string | undefined;
}

export interface RemoteBody extends RemoteFacts {
  /** Where in the content the body begins. */
  readonly offset: number;
  readonly body: Dispatcher.ResponseData["body"];
}

/** Where a download broke off, and of which content. */
export interface ResumePoint {
  readonly offset: number;
  readonly sizeBytes: number;
  readonly validator: string;
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

  /** The content, or what follows of it when the server still has the one `from` speaks of; the whole of it otherwise. */
  async open(source: AssetSource, url: URL, signal: AbortSignal, from?: ResumePoint): Promise<RemoteBody> {
    if (from !== undefined) {
      const headers = { range: `bytes=${from.offset}-`, "if-range": from.validator };
      const answer = await this.#request(source, url, "GET", headers, signal);
      if (answer.statusCode === 200) return { ...factsOf(answer), offset: 0, body: answer.body };
      if (answer.statusCode === 206 && startOf(answer) === from.offset && agrees(answer, from))
        return { ...factsOf(answer), offset: from.offset, body: answer.body };
      answer.body.on("error", () => {}).destroy();
    }
    const answer = await this.#request(source, url, "GET", {}, signal);
    if (answer.statusCode === 200) return { ...factsOf(answer), offset: 0, body: answer.body };
    await answer.body.dump();
    throw this.#failed(source, answer.statusCode);
  }

  /** A small text. Throws `asset-refused` when it has more than `maxBytes`. */
  async readText(source: AssetSource, url: URL, maxBytes: number, signal: AbortSignal): Promise<string> {
    // A server that sends a byte now and then must not hold us for ever.
    const limited = AbortSignal.any([signal, AbortSignal.timeout(this.#options.stallMs ?? 60_000)]);
    const { body, sizeBytes } = await this.open(source, url, limited);
    const chunks: Buffer[] = [];
    let bytes = 0;
    try {
      for await (const chunk of body as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        bytes += chunk.length;
        if (Math.max(bytes, sizeBytes ?? 0) > maxBytes)
          throw refused(source.asset, `${plainUrl(source.asset.url)} is larger than ${maxBytes} bytes`);
      }
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof WatcherError ? error : this.#broken(source, url, error);
    }
    return Buffer.concat(chunks).toString("utf8");
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
  return {
    sizeBytes: sizeOf(answer.statusCode, header),
    etag: header("etag"),
    lastModified: header("last-modified"),
    validator: validatorOf(header),
  };
}

/** A strong ETag; a date only when it was no longer news, as a file may change twice within a second (RFC 9110, 8.8.2.2). */
function validatorOf(header: (name: string) => string | undefined): string | undefined {
  const etag = header("etag");
  if (etag?.startsWith('"') === true) return etag;
  const lastModified = header("last-modified");
  const ageMs = Date.parse(header("date") ?? "") - Date.parse(lastModified ?? "");
  return ageMs >= 1_000 ? lastModified : undefined;
}

function startOf(answer: Dispatcher.ResponseData): number | undefined {
  const text = /^bytes (\d+)-/.exec(String(answer.headers["content-range"] ?? ""))?.[1];
  return text === undefined ? undefined : Number(text);
}

/** Some servers answer with a part whatever `If-Range` says. */
function agrees(answer: Dispatcher.ResponseData, from: ResumePoint): boolean {
  const { sizeBytes, etag, lastModified } = factsOf(answer);
  const same = from.validator.startsWith('"') ? (etag ?? from.validator) : (lastModified ?? from.validator);
  return sizeBytes === from.sizeBytes && same === from.validator;
}

function sizeOf(status: number, header: (name: string) => string | undefined): number | undefined {
  const text = status === 206 ? /\/(\d+)$/.exec(header("content-range") ?? "")?.[1] : header("content-length");
  return text === undefined || !/^\d+$/.test(text) ? undefined : Number(text);
}
