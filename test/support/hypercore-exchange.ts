import type { Exchange } from "../../src/simulator/hypercore/exchange.ts";

/** An exchange as a cluster would have it, to hold rules against: accepted, with credentials, its body read. */
export function exchangeOf(
  call: string,
  body?: unknown,
  answer: unknown = [],
  other: Partial<Exchange> = {},
): Exchange {
  const [method = "", address = ""] = call.split(" ");
  const [path = "", search = ""] = address.split("?");
  return {
    node: 0,
    method,
    path: path.startsWith("/") ? path : `/rest/v1/${path}`,
    query: [...new URLSearchParams(search)],
    headers: {
      authorization: "Basic Z2l0b3BzOnNlY3JldA==",
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    },
    body,
    bodyBytes: body === undefined ? 0 : JSON.stringify(body).length,
    status: 200,
    answerType: "application/json",
    answer: typeof answer === "string" ? answer : JSON.stringify(answer),
    delivered: true,
    ...other,
  };
}

/** The answer to a change. */
export function accepted(taskTag: string, createdUUID = ""): unknown {
  return { taskTag, createdUUID };
}

/** A UUID made of one digit. */
export function uuidOf(digit: string): string {
  return "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx".replaceAll("x", digit);
}
