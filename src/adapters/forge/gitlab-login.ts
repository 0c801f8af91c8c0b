import type { ForgeHttp } from "./forge-http.ts";
import { type GitlabUser, parseGitlabUser } from "./gitlab-wire.ts";

/** Who the token is. Asked each time: a token that was replaced may belong to another bot. */
export async function findOwn(http: ForgeHttp, apiUrl: string, signal: AbortSignal): Promise<GitlabUser> {
  return parseGitlabUser((await http.get(`${apiUrl}/user`, signal)).body);
}
