import type { IncomingMessage, ServerResponse } from "node:http";
import type { Exchange, Intake } from "./exchange.ts";
import type { Reply } from "./route.ts";

/** What is done with a request in the end. Without a reply the client is left waiting, or cut off. */
export interface Outcome {
  readonly deliver: "whole" | "half" | "cut" | "never";
  readonly reply?: Reply;
}

export function toExchange(
  node: number,
  message: IncomingMessage,
  url: URL,
  intake: Intake,
  { deliver, reply }: Outcome,
): Exchange {
  return {
    node,
    method: message.method ?? "",
    path: url.pathname,
    query: [...url.searchParams],
    headers: message.headers,
    body: intake.body,
    bodyBytes: intake.bytes,
    status: reply?.status ?? 0,
    answerType: reply?.type ?? "",
    answer: reply?.body ?? "",
    delivered: deliver === "whole",
  };
}

export function deliver({ deliver: how, reply }: Outcome, message: IncomingMessage, response: ServerResponse): void {
  if (how === "never") return;
  if (how === "cut" || reply === undefined) message.socket.destroy();
  else if (how === "half") truncate(response, reply);
  else write(response, reply, message);
}

/** A body nobody has read is drained, so that the client gets to see the answer. */
function write(response: ServerResponse, reply: Reply, message: IncomingMessage): void {
  message.resume();
  const body = Buffer.from(reply.body);
  const headers = { "content-type": reply.type, "content-length": body.length, ...reply.headers };
  response.writeHead(reply.status, headers).end(body);
}

/** Announces the whole answer and cuts the connection in its middle. */
function truncate(response: ServerResponse, reply: Reply): void {
  const body = Buffer.from(reply.body);
  response.writeHead(reply.status, { "content-type": reply.type, "content-length": body.length });
  response.write(body.subarray(0, Math.floor(body.length / 2)), () => response.destroy());
}
