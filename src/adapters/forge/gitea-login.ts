import type { ForgeHttp } from "./forge-http.ts";
import { parseGiteaUser } from "./gitea-wire.ts";
import type { OwnLogin } from "./github-login.ts";

/**
 * `GET /user` says who the token is. Without the right to ask (`read:user`) no comment could be told to be our own after
 * a restart, so the refusal, which names the missing scope, is an error here.
 */
export function createGiteaLogin(http: ForgeHttp, apiUrl: string): OwnLogin {
  let login: string | undefined;
  const ask = (signal: AbortSignal) => http.get(`${apiUrl}/user`, signal);

  async function find(signal: AbortSignal): Promise<string> {
    login ??= parseGiteaUser((await ask(signal)).body).login;
    return login;
  }

  return {
    find,
    ask,
    learn: () => undefined,
    async isOurs(author, signal) {
      return author !== undefined && author.login.toLowerCase() === (await find(signal)).toLowerCase();
    },
  };
}
