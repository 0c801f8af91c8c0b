import type { Call, Reply } from "../router.ts";

/** `DEFAULT_PAGING_NUM` and `MAX_RESPONSE_ITEMS`. */
const DEFAULT_LIMIT = 30;
const MAX_LIMIT = 50;

/** One page of a list, with the number of all. Only some lists say in `Link` where the next page is. */
export async function pagedReply<Item>(
  call: Call,
  items: readonly Item[],
  render: (item: Item) => unknown,
  options: { readonly link: boolean },
): Promise<Reply> {
  const limit = Math.min(positive(call.query.get("limit")) ?? DEFAULT_LIMIT, MAX_LIMIT, call.maxPerPage);
  const page = positive(call.query.get("page")) ?? 1;
  const last = Math.max(1, Math.ceil(items.length / limit));
  const links = [
    ...(page < last ? [link(call, page + 1, "next"), link(call, last, "last")] : []),
    ...(page > 1 ? [link(call, 1, "first"), link(call, page - 1, "prev")] : []),
  ];
  return {
    status: 200,
    body: await Promise.all(items.slice((page - 1) * limit, page * limit).map((item) => render(item))),
    headers: {
      "x-total-count": `${items.length}`,
      ...(options.link && links.length > 0 ? { link: links.join(",") } : {}),
    },
  };
}

/** A list that is never cut, however long it is. */
export async function wholeReply<Item>(items: readonly Item[], render: (item: Item) => unknown): Promise<Reply> {
  const body = await Promise.all(items.map((item) => render(item)));
  return { status: 200, body, headers: { "x-total-count": `${items.length}` } };
}

function link(call: Call, page: number, relation: string): string {
  const query = new URLSearchParams(call.query);
  query.set("page", `${page}`);
  return `<${call.apiUrl}${call.path}?${query.toString()}>; rel="${relation}"`;
}

function positive(text: string | null): number | undefined {
  return text !== null && /^[1-9]\d{0,8}$/.test(text) ? Number(text) : undefined;
}
