import type { Call, Reply } from "./router.ts";

const DEFAULT_PER_PAGE = 30;

export interface Page<Item> {
  readonly items: readonly Item[];
  /** Value of the `Link` header; undefined when everything fits on one page. */
  readonly link: string | undefined;
}

/**
 * Cuts out the page that was asked for. As on github.com the links lead to `/repositories/ID/...` and not to the path
 * of the request: whoever builds page addresses by hand is on their own. `prev` and `first` are missing on page 1,
 * `next` and `last` on the last.
 */
export function paginate<Item>(call: Call, repositoryId: number, items: readonly Item[]): Page<Item> {
  const perPage = Math.min(positive(call.query.get("per_page")) ?? DEFAULT_PER_PAGE, call.maxPerPage);
  const page = positive(call.query.get("page")) ?? 1;
  const last = Math.max(1, Math.ceil(items.length / perPage));
  const links = [
    page > 1 ? pageLink(call, repositoryId, Math.min(page - 1, last), "prev") : undefined,
    page < last ? pageLink(call, repositoryId, page + 1, "next") : undefined,
    page < last ? pageLink(call, repositoryId, last, "last") : undefined,
    page > 1 ? pageLink(call, repositoryId, 1, "first") : undefined,
  ].filter((link) => link !== undefined);
  return {
    items: items.slice((page - 1) * perPage, page * perPage),
    link: links.length > 0 ? links.join(", ") : undefined,
  };
}

/** A list answer: the page, each item rendered, with its links. */
export async function pagedReply<Item>(
  call: Call,
  repositoryId: number,
  items: readonly Item[],
  render: (item: Item) => unknown,
): Promise<Reply> {
  const page = paginate(call, repositoryId, items);
  const body = await Promise.all(page.items.map((item) => render(item)));
  return { status: 200, body, headers: page.link === undefined ? {} : { link: page.link } };
}

function pageLink(call: Call, repositoryId: number, page: number, relation: string): string {
  const query = new URLSearchParams(call.query);
  query.set("page", `${page}`);
  const path = call.path.replace(/^\/repos\/[^/]+\/[^/]+/, `/repositories/${repositoryId}`);
  return `<${call.apiUrl}${path}?${query.toString()}>; rel="${relation}"`;
}

function positive(text: string | null): number | undefined {
  return text !== null && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}
