import type { ForgeHttp } from "./forge-http.ts";
import { parseList } from "./wire.ts";

/** Gitea's `MAX_RESPONSE_ITEMS` unless somebody changed it; a server that gives less is fine. */
const pageSize = 50;
const maxPages = 1_000;

/**
 * A list, page after page by number. Some lists (comments of a repository) come without a Link header, and where there is
 * one it leads to the address the server was told it has, which behind a proxy is often a wrong one. `X-Total-Count` says
 * when all is there; without it an empty page does. `url` has a query already.
 */
export async function* numberedPages<T>(
  http: ForgeHttp,
  url: string,
  parse: (member: unknown) => T,
  signal: AbortSignal,
): AsyncGenerator<readonly T[]> {
  let seen = 0;
  for (let page = 1; page <= maxPages; page += 1) {
    const { body, headers } = await http.get(`${url}&limit=${pageSize}&page=${page}`, signal);
    // An empty list may be null.
    const members = parseList(body ?? [], parse);
    yield members;
    seen += members.length;
    if (members.length === 0 || seen >= Number(headers["x-total-count"] ?? Number.NaN)) return;
  }
}
