import { WatcherError } from "../../lib/errors.ts";
import type { Answer, ForgeHttp, WriteMethod } from "./forge-http.ts";
import { parseRepository } from "./wire.ts";

/** The repository's address on the forge, which changes when somebody renames or transfers it. */
export interface RepositoryPlace {
  /** Address of `/repos/OWNER/NAME` plus `suffix`. */
  url(suffix: string): string;
  /** A write below the repository; after a redirect the repository is looked up anew and the write sent there. */
  write(
    method: WriteMethod,
    suffix: string,
    body: object | undefined,
    signal: AbortSignal,
    accept?: readonly number[],
  ): Promise<Answer>;
}

const redirects = [301, 302, 307, 308];

export function createRepositoryPlace(
  http: ForgeHttp,
  apiUrl: string,
  named: { readonly owner: string; readonly repository: string },
): RepositoryPlace {
  let fullName = `${encodeURIComponent(named.owner)}/${encodeURIComponent(named.repository)}`;
  const url = (suffix: string): string => `${apiUrl}/repos/${fullName}${suffix}`;

  async function resolveAgain(signal: AbortSignal): Promise<void> {
    const { fullName: current } = parseRepository((await http.get(url(""), signal)).body);
    fullName = current.split("/").map(encodeURIComponent).join("/");
  }

  return {
    url,
    async write(method, suffix, body, signal, accept = []) {
      const first = await http.send(method, url(suffix), body, signal, [...accept, ...redirects]);
      if (!redirects.includes(first.status)) return first;
      await resolveAgain(signal);
      const second = await http.send(method, url(suffix), body, signal, [...accept, ...redirects]);
      if (!redirects.includes(second.status)) return second;
      throw new WatcherError(
        "forge-refused",
        `the repository ${named.owner}/${named.repository} moved and cannot be found again`,
      );
    },
  };
}
