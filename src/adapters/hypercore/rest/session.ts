import { WatcherError } from "../../../lib/errors.ts";
import { parseJsonText } from "./json.ts";
import { type NodeConnection, NodeFailure, type RawReply } from "./node-connection.ts";
import type { HypercoreOptions } from "../options.ts";
import { explainRefusal } from "./refusal.ts";
import { members, text } from "./wire.ts";

/** How requests to a node prove who we are. */
export interface Credentials {
  headers(node: NodeConnection): Promise<Readonly<Record<string, string>>>;
  /** Called when a node refused what `headers` gave for this request. */
  renew(node: NodeConnection, refused: Readonly<Record<string, string>>): Promise<void>;
  close(nodes: readonly NodeConnection[]): Promise<void>;
}

export function openCredentials(options: HypercoreOptions): Credentials {
  return options.auth === "session" ? new SessionCredentials(options) : new BasicCredentials(options);
}

/** The password is asked for once and again after a refusal, so that a rotated secret needs no restart. */
class BasicCredentials implements Credentials {
  readonly #options: HypercoreOptions;
  #header: Promise<string> | undefined;

  constructor(options: HypercoreOptions) {
    this.#options = options;
  }

  async headers(): Promise<Readonly<Record<string, string>>> {
    this.#header ??= this.#options
      .password()
      .then((password) => `Basic ${Buffer.from(`${this.#options.username}:${password}`).toString("base64")}`);
    try {
      return { authorization: await this.#header };
    } catch (error) {
      this.#header = undefined;
      throw error;
    }
  }

  async renew(): Promise<void> {
    this.#header = undefined;
  }

  async close(): Promise<void> {}
}

/** One session per node: whether another node would honour it is not documented. */
class SessionCredentials implements Credentials {
  readonly #options: HypercoreOptions;
  readonly #cookies = new Map<NodeConnection, Promise<string>>();

  constructor(options: HypercoreOptions) {
    this.#options = options;
  }

  async headers(node: NodeConnection): Promise<Readonly<Record<string, string>>> {
    const known = this.#cookies.get(node) ?? this.#login(node);
    this.#cookies.set(node, known);
    try {
      return { cookie: await known };
    } catch (error) {
      if (this.#cookies.get(node) === known) this.#cookies.delete(node);
      throw error;
    }
  }

  /** Of many requests refused at once only the first ends the session; the others find the new one. */
  async renew(node: NodeConnection, refused: Readonly<Record<string, string>>): Promise<void> {
    const known = this.#cookies.get(node);
    if (known === undefined) return;
    const cookie = await known.catch(() => undefined);
    if (this.#cookies.get(node) === known && cookie === refused["cookie"]) this.#cookies.delete(node);
  }

  /** Shared by all requests that wait for it, so no single one of them may abort it. */
  async #login(node: NodeConnection): Promise<string> {
    const body = JSON.stringify({
      username: this.#options.username,
      password: await this.#options.password(),
      useOIDC: false,
    });
    const reply = await node.request(
      {
        method: "POST",
        path: "/rest/v1/login",
        headers: { "content-type": "application/json" },
        body,
        bodyBytes: Buffer.byteLength(body),
      },
      new AbortController().signal,
    );
    if (reply.status === 401) throw authFailed(this.#options);
    const session = sessionOf(reply);
    // A node that is starting, or a user with too many sessions: another node may do better.
    if (session === "")
      throw new NodeFailure(`${node.origin}: no session (${explainRefusal(reply)}; auth: basic needs none)`, false);
    return `sessionID=${session}`;
  }

  /** Users have a session limit, so what was opened is closed; a node that is away forgets by itself. */
  async close(nodes: readonly NodeConnection[]): Promise<void> {
    const open = nodes.filter((node) => this.#cookies.has(node));
    await Promise.allSettled(open.map(async (node) => this.#logout(node)));
    this.#cookies.clear();
  }

  async #logout(node: NodeConnection): Promise<void> {
    const cookie = (await this.#cookies.get(node)) ?? "";
    await node.request(
      { method: "POST", path: "/rest/v1/logout", headers: { cookie }, limitMs: 2_000 },
      AbortSignal.timeout(2_000),
    );
  }
}

function sessionOf(reply: RawReply): string {
  if (reply.status >= 300) return "";
  const answer = parseJsonText(reply.body);
  return typeof answer === "object" && answer !== null ? text(members(answer, "login").sessionID) : "";
}

/** The user is named, the password never. */
export function authFailed(options: HypercoreOptions): WatcherError {
  return new WatcherError(
    "cluster-auth-failed",
    `cluster ${options.cluster} refuses user "${options.username}": check the user name and the password`,
  );
}
