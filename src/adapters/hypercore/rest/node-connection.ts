import { Readable } from "node:stream";
import { type Dispatcher, Pool, type buildConnector } from "undici";
import { ConnectFailure } from "./tls.ts";
import { type Deadline, deadline } from "../../pause.ts";

/** A whole answer of one node, whatever its status. */
export interface RawReply {
  readonly status: number;
  readonly body: string;
}

/** One request: method, path from the root, extra headers and a body with its exact length. */
export interface RawRequest {
  readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A streamed body calls `touch` whenever a piece was taken, which restarts the clock. */
  readonly body?: string | BodyStream;
  readonly bodyBytes?: number;
  /** Overrides the time without an answer, for uploads. */
  readonly limitMs?: number;
}

export type BodyStream = (touch: () => void) => AsyncIterable<Buffer>;

/** A node did not answer. `sent` says whether it may have got the request: then the outcome is unknown. */
export class NodeFailure extends Error {
  override readonly name = "NodeFailure";
  readonly sent: boolean;
  /** What it answered, when it answered in a way that says that nothing was done. */
  readonly status: number | undefined;

  constructor(message: string, sent: boolean, cause?: unknown, status?: number) {
    super(message, cause === undefined ? undefined : { cause });
    this.sent = sent;
    this.status = status;
  }
}

/** Kept-alive connections to one node. Knows HTTP and deadlines, nothing of HyperCore. */
export class NodeConnection {
  readonly origin: string;
  readonly #pool: Pool;
  readonly #limitMs: number;
  #answered = false;
  #silentSinceMs: number | undefined;

  constructor(endpoint: string, connect: buildConnector.connector, limitMs: number) {
    this.origin = new URL(endpoint).origin;
    this.#limitMs = limitMs;
    // The limits below are our own deadlines, which cover the body; undici's would cut long uploads.
    this.#pool = new Pool(this.origin, { connect, connections: 16, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
  }

  /** Whether this node ever answered us, whatever it said. */
  get hasAnswered(): boolean {
    return this.#answered;
  }

  /** For how long every request to it has gone unanswered; 0 when the last one was answered, or none was sent. */
  get silentMs(): number {
    return this.#silentSinceMs === undefined ? 0 : performance.now() - this.#silentSinceMs;
  }

  async request(request: RawRequest, signal: AbortSignal): Promise<RawReply> {
    signal.throwIfAborted();
    const limit = deadline(request.limitMs ?? this.#limitMs, signal);
    try {
      const answer = await this.#pool.request(toDispatch(request, limit));
      const body = await answer.body.text();
      this.#answered = true;
      this.#silentSinceMs = undefined;
      return { status: answer.statusCode, body };
    } catch (error) {
      signal.throwIfAborted();
      this.#silentSinceMs ??= performance.now();
      throw this.#toFailure(error, limit);
    } finally {
      limit.done();
    }
  }

  #toFailure(error: unknown, limit: Deadline): NodeFailure {
    const refused = error instanceof ConnectFailure;
    const reason = limit.expired()
      ? "did not answer in time"
      : error instanceof Error
        ? error.message || error.name
        : String(error);
    return new NodeFailure(`${this.origin}: ${reason}`, !refused, error);
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

function toDispatch(request: RawRequest, limit: Deadline): Dispatcher.RequestOptions {
  const { body } = request;
  const length =
    body === undefined || request.bodyBytes === undefined ? {} : { "content-length": String(request.bodyBytes) };
  return {
    method: request.method,
    path: request.path,
    headers: { accept: "application/json", ...request.headers, ...length },
    signal: limit.signal,
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : readable(body, limit) }),
  };
}

function readable(body: BodyStream, limit: Deadline): Readable {
  return Readable.from(
    body(() => limit.touch()),
    { objectMode: false },
  );
}
