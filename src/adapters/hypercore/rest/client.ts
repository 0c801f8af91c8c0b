import { WatcherError } from "../../../lib/errors.ts";
import { parseJsonText } from "./json.ts";
import { NodeConnection, NodeFailure, type RawReply, type RawRequest } from "./node-connection.ts";
import { NodeSet } from "./nodes.ts";
import type { HypercoreOptions, HypercoreTimeouts } from "../options.ts";
import { pause } from "../../pause.ts";
import { explainRefusal, isFull } from "./refusal.ts";
import { type Credentials, authFailed, openCredentials } from "./session.ts";
import { openConnector } from "./tls.ts";
import { type ChangeReply, UnexpectedShape, toChangeReply, toLanIp } from "./wire.ts";

const readRounds = 3;

/** What one node said to a request that every node is asked. */
export interface NodeAnswer {
  readonly origin: string;
  readonly reply: RawReply | undefined;
  readonly failure: string | undefined;
  /** For how long it has been silent, when it is. */
  readonly silentMs: number;
}

/** Answered without credentials. */
export const updateStatusPath = "/update/update_status.json";

type ReadOutcome =
  | { readonly items: readonly unknown[] }
  | { readonly failure: string; readonly status: number | undefined };

/**
 * REST v1 of one cluster through any of its nodes. Reads go to the next node at once when one fails, and round again
 * with growing pauses. Changes are sent once: they move to another node only while nothing was sent, and a lost answer
 * is `cluster-outcome-unknown`, which callers settle by looking at the object.
 */
export class HypercoreClient {
  readonly #options: HypercoreOptions;
  readonly #nodes: NodeSet;
  readonly #credentials: Credentials;
  readonly #timeouts: HypercoreTimeouts;
  readonly #closing = new AbortController();
  #learnAtMs: number;
  #learnt = false;

  private constructor(options: HypercoreOptions, timeouts: HypercoreTimeouts, nodes: NodeSet) {
    this.#options = options;
    this.#timeouts = timeouts;
    this.#nodes = nodes;
    this.#credentials = openCredentials(options);
    this.#learnAtMs = performance.now() + timeouts.learnMs / 10;
  }

  static async open(options: HypercoreOptions, timeouts: HypercoreTimeouts): Promise<HypercoreClient> {
    if (options.endpoints.length === 0)
      throw new WatcherError("config-invalid", `cluster ${options.cluster} has no endpoints`);
    const connect = await openConnector(options, timeouts.connectMs);
    for (const endpoint of options.endpoints) requireAddress(options.cluster, endpoint);
    const open = (endpoint: string): NodeConnection => new NodeConnection(endpoint, connect, timeouts.readMs);
    return new HypercoreClient(options, timeouts, new NodeSet(options.endpoints, open));
  }

  /** GET below `/rest/v1/`: always a list, empty when the object does not exist. */
  async list<T>(path: string, read: (value: unknown) => T, signal: AbortSignal): Promise<T[]> {
    const items = await this.#readList(path, signal);
    return this.#checked(`GET ${path}`, () => items.map(read));
  }

  async #readList(path: string, signal: AbortSignal): Promise<readonly unknown[]> {
    const failures = new Map<string, { failure: string; status: number | undefined }>();
    for (let round = 0; round < readRounds; round++) {
      if (round > 0) await pause(this.#timeouts.backoffMs * 3 ** (round - 1) * (0.75 + Math.random() / 2), signal);
      for (const node of this.#nodes.inTurn()) {
        const outcome = await this.#tryRead(node, `/rest/v1/${path}`, signal);
        if ("items" in outcome) {
          this.#nodes.prefer(node);
          this.#learnInBackground(path);
          return outcome.items;
        }
        failures.set(node.origin, outcome);
        this.#options.log?.(
          "debug",
          { cluster: this.#options.cluster, node: node.origin, failure: outcome.failure },
          "node failed a read",
        );
      }
      // Asking again and again with a wrong password may lock its user out.
      if ([...failures.values()].every(({ status }) => status === 401)) break;
    }
    throw this.#readFailed([...failures.values()]);
  }

  /** POST, PATCH or DELETE below `/rest/v1/`, sent once. The answer names a task to wait for, or none. */
  async change(
    method: "POST" | "PATCH" | "DELETE",
    path: string,
    body: unknown,
    signal: AbortSignal,
  ): Promise<ChangeReply> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const content =
      text === undefined
        ? {}
        : { headers: { "content-type": "application/json" }, body: text, bodyBytes: Buffer.byteLength(text) };
    return this.#toChange(await this.send({ method, path, ...content }, signal));
  }

  /** A changing request of any content; answers only when the cluster accepted it. */
  async send(request: RawRequest, signal: AbortSignal): Promise<RawReply> {
    const failures: NodeFailure[] = [];
    for (const node of this.#nodes.inTurn()) {
      const reply = await this.#trySend(node, { ...request, path: `/rest/v1/${request.path}` }, signal);
      if (!(reply instanceof NodeFailure)) {
        this.#nodes.prefer(node);
        return this.#accepted(request, reply);
      }
      failures.push(reply);
    }
    if (failures.every(({ status }) => status === 401)) throw authFailed(this.#options);
    throw this.#unreachable(failures.map(({ message }) => message));
  }

  /** A changing request with a streamed body: limited by standing still, not by its whole duration. */
  async upload(request: RawRequest, signal: AbortSignal): Promise<ChangeReply> {
    return this.#toChange(await this.send({ ...request, limitMs: this.#timeouts.stallMs }, signal));
  }

  /** The same unauthenticated or authenticated GET on every node, side by side, each asked once. */
  async askEveryNode(path: string, authenticated: boolean, signal: AbortSignal): Promise<NodeAnswer[]> {
    return Promise.all(this.#nodes.known.map(async (node) => this.#ask(node, path, authenticated, signal)));
  }

  async #ask(node: NodeConnection, path: string, authenticated: boolean, signal: AbortSignal): Promise<NodeAnswer> {
    const { origin } = node;
    try {
      const headers = authenticated ? await this.#credentials.headers(node) : {};
      const reply = await node.request({ method: "GET", path, headers }, signal);
      return { origin, reply, failure: undefined, silentMs: 0 };
    } catch (error) {
      if (!(error instanceof NodeFailure)) throw error;
      return { origin, reply: undefined, failure: error.message, silentMs: node.silentMs };
    }
  }

  /**
   * Learns the addresses of all nodes from the cluster, unless that was done lately. New ones are tried in the
   * background, without credentials and under the cluster's own rules of trust, and join once they answer.
   */
  async learnNodes(signal: AbortSignal): Promise<void> {
    if (this.#options.discoverNodes === false || (this.#learnt && performance.now() < this.#learnAtMs)) return;
    this.#learnt = true;
    this.#learnAtMs = performance.now() + this.#timeouts.learnMs;
    try {
      const addresses = await this.list("Node", toLanIp, signal);
      for (const node of this.#nodes.learn(addresses)) void this.#tryLearnt(node);
    } catch (error) {
      signal.throwIfAborted();
      // The configured nodes do without; whatever is wrong with them will be told by what is asked of them next.
      this.#options.log?.("debug", { cluster: this.#options.cluster, err: error }, "nodes cannot be learnt now");
    }
  }

  async #tryLearnt(node: NodeConnection): Promise<void> {
    const request = { method: "GET", path: updateStatusPath, limitMs: this.#timeouts.readMs } as const;
    const { cluster, log } = this.#options;
    try {
      await node.request(request, this.#closing.signal);
      log?.("info", { cluster, node: node.origin }, "node learnt from the cluster");
    } catch (error) {
      log?.("debug", { cluster, node: node.origin, err: error }, "node of the cluster does not answer us");
    }
  }

  /** Reading alone must not depend on the configured addresses for ever, nor wait for others to be learnt. */
  #learnInBackground(path: string): void {
    if (path === "Node" || performance.now() < this.#learnAtMs) return;
    // Only the end of this client can make it fail.
    void this.learnNodes(this.#closing.signal).catch(() => undefined);
  }

  async close(): Promise<void> {
    this.#closing.abort(new Error("the client is closed"));
    await this.#credentials.close(this.#nodes.all);
    await Promise.all(this.#nodes.all.map(async (node) => node.close()));
  }

  async #tryRead(node: NodeConnection, path: string, signal: AbortSignal): Promise<ReadOutcome> {
    try {
      const reply = await this.#authenticated(node, { method: "GET", path }, signal);
      if (reply.status === 400 || reply.status === 403) throw this.#refused(reply);
      if (reply.status !== 200) return { failure: `${node.origin}: ${explainRefusal(reply)}`, status: reply.status };
      const items = parseJsonText(reply.body);
      return Array.isArray(items)
        ? { items }
        : { failure: `${node.origin}: its answer is not a JSON list`, status: reply.status };
    } catch (error) {
      // Whoever asked gave up waiting; the next reader should not begin with the same wait.
      if (signal.aborted) this.#nodes.avoid(node);
      if (error instanceof NodeFailure) return { failure: error.message, status: error.status };
      throw error;
    }
  }

  /** The reply, or why this node cannot have received the request. */
  async #trySend(node: NodeConnection, request: RawRequest, signal: AbortSignal): Promise<RawReply | NodeFailure> {
    try {
      return await this.#authenticated(node, request, signal);
    } catch (error) {
      if (!(error instanceof NodeFailure)) throw error;
      this.#nodes.avoid(node);
      if (!error.sent) return error;
      throw this.#outcomeUnknown(
        `the answer to ${request.method} ${request.path.split("?")[0]} was lost (${error.message})`,
        error,
      );
    }
  }

  /** A refused session or a rotated password is renewed once; nothing was done by a refused request. */
  async #authenticated(node: NodeConnection, request: RawRequest, signal: AbortSignal): Promise<RawReply> {
    for (let renewed = false; ; renewed = true) {
      const credentials = await this.#login(node);
      const reply = await node.request({ ...request, headers: { ...credentials, ...request.headers } }, signal);
      const stale = reply.status === 401 || (reply.status === 503 && reply.body.includes("EInvalidSession"));
      if (!stale) return reply;
      // Refused twice, the second time with fresh credentials: nothing was done, and another node may be in a better state.
      if (renewed) throw new NodeFailure(`${node.origin}: ${explainRefusal(reply)}`, false, undefined, reply.status);
      await this.#credentials.renew(node, credentials);
    }
  }

  /** A login that went wrong says nothing about the request behind it, which was not sent. */
  async #login(node: NodeConnection): Promise<Readonly<Record<string, string>>> {
    try {
      return await this.#credentials.headers(node);
    } catch (error) {
      if (error instanceof NodeFailure) throw new NodeFailure(error.message, false, error);
      throw error;
    }
  }

  #accepted(request: RawRequest, reply: RawReply): RawReply {
    if (reply.status >= 200 && reply.status < 300) return reply;
    const text = `${request.method} ${request.path.split("?")[0]}: ${explainRefusal(reply)}`;
    const where = `cluster ${this.#options.cluster}`;
    if (isFull(text) || reply.status === 507) throw new WatcherError("cluster-full", `${where}: ${text}`);
    // Missing objects and impossible moments look alike; callers read the object and decide.
    if (reply.status === 500 || reply.status === 404) throw new WatcherError("cluster-busy", `${where}: ${text}`);
    if (reply.status > 500) throw this.#outcomeUnknown(text);
    throw this.#refused(reply);
  }

  #toChange(reply: RawReply): ChangeReply {
    if (reply.body.trim() === "") return { taskTag: "", createdUUID: "" };
    const parsed = parseJsonText(reply.body);
    if (typeof parsed !== "object" || parsed === null) throw this.#outcomeUnknown("its answer to a change is not JSON");
    return this.#checked("a change", () => toChangeReply(parsed));
  }

  #checked<T>(question: string, read: () => T): T {
    try {
      return read();
    } catch (cause) {
      if (!(cause instanceof UnexpectedShape)) throw cause;
      const text = `cluster ${this.#options.cluster}: the answer to ${question} is not HyperCore REST v1 (${cause.message})`;
      throw new WatcherError("cluster-failed", text, { cause });
    }
  }

  #refused(reply: RawReply): WatcherError {
    const hint = reply.status === 403 ? ` (user "${this.#options.username}" lacks the right)` : "";
    return new WatcherError("cluster-refused", `cluster ${this.#options.cluster}: ${explainRefusal(reply)}${hint}`);
  }

  #outcomeUnknown(what: string, cause?: unknown): WatcherError {
    return new WatcherError("cluster-outcome-unknown", `cluster ${this.#options.cluster}: ${what}`, { cause });
  }

  #unreachable(failures: readonly string[]): WatcherError {
    return new WatcherError(
      "cluster-unreachable",
      `cluster ${this.#options.cluster} cannot be reached: ${failures.join("; ")}`,
    );
  }

  #readFailed(failures: readonly { failure: string; status: number | undefined }[]): WatcherError {
    const texts = failures.map(({ failure }) => failure);
    if (failures.every(({ status }) => status === 401)) return authFailed(this.#options);
    if (failures.every(({ status }) => status === 404)) {
      return new WatcherError(
        "cluster-unsupported",
        `cluster ${this.#options.cluster}: no HyperCore REST API there (${texts.join("; ")})`,
      );
    }
    if (failures.every(({ status }) => status === 500))
      return new WatcherError("cluster-failed", `cluster ${this.#options.cluster}: ${texts.join("; ")}`);
    return this.#unreachable(texts);
  }
}

function requireAddress(cluster: string, endpoint: string): void {
  if (URL.canParse(endpoint) && /^https?:$/.test(new URL(endpoint).protocol)) return;
  throw new WatcherError("config-invalid", `cluster ${cluster}: endpoint "${endpoint}" is not an http(s) address`);
}
