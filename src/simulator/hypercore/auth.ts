import { createHash, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { checkBody } from "./body.ts";
import { Refusal } from "./refusal.ts";
import { json, type Reply } from "./route.ts";
import type { ClusterState } from "./state.ts";

/** Who may speak: Basic on every request, or a session by cookie. Sessions do not survive a restart. */
export class Doorkeeper {
  readonly #state: ClusterState;
  readonly #sessions = new Map<string, number>();

  constructor(state: ClusterState) {
    this.#state = state;
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  expireSessions(): void {
    this.#sessions.clear();
  }

  /** The session's id, or "" for Basic. Wrong credentials are 401; a missing or dead session is 503. */
  authenticate(message: IncomingMessage, node: number): string {
    const basic = /^Basic (.+)$/i.exec(message.headers.authorization ?? "")?.[1];
    if (basic !== undefined) {
      const [username, ...password] = Buffer.from(basic, "base64").toString("utf8").split(":");
      if (!this.#knows(username ?? "", password.join(":"))) throw unauthorized();
      return "";
    }
    const sessionID = sessionOf(message);
    const home = this.#sessions.get(sessionID);
    if (home === undefined || (home !== node && !this.#state.settings.sharedSessions)) throw invalidSession();
    return sessionID;
  }

  login(body: unknown, node: number): Reply {
    const checked = checkBody(body, this.#state.contract.login) as {
      username: string;
      password: string;
      useOIDC?: boolean;
    };
    if (checked.useOIDC === true || !this.#knows(checked.username, checked.password)) throw unauthorized();
    if (this.#sessions.size >= this.#state.settings.sessionLimit) throw new Refusal(403, "Session limit reached");
    const sessionID = this.#state.random.uuid();
    this.#sessions.set(sessionID, node);
    return {
      ...json(JSON.stringify({ sessionID })),
      headers: { "set-cookie": `sessionID=${sessionID}; Path=/; HttpOnly` },
    };
  }

  logout(message: IncomingMessage): Reply {
    this.#sessions.delete(sessionOf(message));
    return json("{}");
  }

  #knows(username: string, password: string): boolean {
    const { settings } = this.#state;
    return sameText(username, settings.username) && sameText(password, settings.password);
  }
}

export function unauthorized(): Refusal {
  return new Refusal(401, "Unauthorized");
}

export function invalidSession(): Refusal {
  return new Refusal(503, "EInvalidSession");
}

function sessionOf(message: IncomingMessage): string {
  return /(?:^|;\s*)sessionID=([^;]+)/.exec(message.headers.cookie ?? "")?.[1] ?? "";
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

function sameText(left: string, right: string): boolean {
  return timingSafeEqual(digest(left), digest(right));
}
