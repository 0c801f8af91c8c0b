import type { Call, Reply } from "../router.ts";

const DEFAULT_PER_PAGE = 20;

/** A list answer with GitLab's headers: the page as numbers in `X-*`, and as addresses in `Link`. */
export async function pagedReply<Item>(
  call: Call,
  items: readonly Item[],
  render: (item: Item) => unknown,
): Promise<Reply> {
  const perPage = Math.min(positive(call.query.get("per_page")) ?? DEFAULT_PER_PAGE, call.maxPerPage);
  const page = positive(call.query.get("page")) ?? 1;
  const last = Math.max(1, Math.ceil(items.length / perPage));
  const next = page < last ? page + 1 : undefined;
  const before = page > 1 ? page - 1 : undefined;
  const link = (to: number | undefined, relation: string): string[] =>
    to === undefined ? [] : [`<${pageUrl(call, to, perPage)}>; rel="${relation}"`];
  const shown = items.slice((page - 1) * perPage, page * perPage);
  return {
    status: 200,
    body: await Promise.all(shown.map((item) => render(item))),
    headers: {
      link: [...link(before, "prev"), ...link(next, "next"), ...link(1, "first"), ...link(last, "last")].join(", "),
      "x-next-page": `${next ?? ""}`,
      "x-page": `${page}`,
      "x-per-page": `${perPage}`,
      "x-prev-page": `${before ?? ""}`,
      "x-total": `${items.length}`,
      "x-total-pages": `${last}`,
    },
  };
}

function pageUrl(call: Call, page: number, perPage: number): string {
  const query = new URLSearchParams(call.query);
  query.set("page", `${page}`);
  query.set("per_page", `${perPage}`);
  return `${call.apiUrl}${call.path}?${query.toString()}`;
}

function positive(text: string | null): number | undefined {
  return text !== null && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}
