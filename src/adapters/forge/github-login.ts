import type { Answer, ForgeHttp } from "./forge-http.ts";
import { parseUser, type WireUser } from "./wire.ts";

/** Who the token is, which decides whose comments may be edited. */
export interface OwnLogin {
  /** Undefined for tokens that may not ask (App installations, Actions) before they wrote anything. */
  find(signal: AbortSignal): Promise<string | undefined>;
  /** The author of something we just wrote is us. */
  learn(author: WireUser | undefined): void;
  isOurs(author: WireUser | undefined, signal: AbortSignal): Promise<boolean>;
  /** The answer to `GET /user`, or undefined when the token may not ask. */
  ask(signal: AbortSignal): Promise<Answer | undefined>;
}

/**
 * `GET /user` says who a personal token is. Tokens of Apps and Actions are refused there (403): they are known by the
 * author of the first comment they write, and until then a comment counts as ours when a bot wrote it. `known`: who we are
 * from elsewhere, for Apps that hold their own key.
 */
export function createOwnLogin(http: ForgeHttp, apiUrl: string, known?: () => Promise<string>): OwnLogin {
  let login: string | undefined;
  let refused = false;

  async function ask(signal: AbortSignal): Promise<Answer | undefined> {
    const answer = await http.get(`${apiUrl}/user`, signal, [403, 404]);
    return answer.status === 200 ? answer : undefined;
  }

  async function find(signal: AbortSignal): Promise<string | undefined> {
    if (known !== undefined) login ??= await known();
    if (login !== undefined || refused) return login;
    const answer = await ask(signal);
    refused = answer === undefined;
    if (answer !== undefined) login = parseUser(answer.body).login;
    return login;
  }

  return {
    find,
    ask,
    learn(author) {
      login ??= author?.login;
    },
    async isOurs(author, signal) {
      if (author === undefined) return false;
      const known = await find(signal);
      return known === undefined ? author.type === "Bot" : author.login.toLowerCase() === known.toLowerCase();
    },
  };
}
