import { subscribe } from "node:diagnostics_channel";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** From the arrival of a request to the last byte of its answer, in milliseconds since 1970. */
export interface Interval {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The clock of intervals: the same in all processes of a machine, and finer than Date.now(). */
export function preciseNow(): number {
  return performance.timeOrigin + performance.now();
}

/** Notes when requests reach servers of this process. */
export function noteArrivals(isNoted: (request: IncomingMessage) => boolean): { readonly arrivals: number[] } {
  const arrivals: number[] = [];
  subscribe("http.server.request.start", (message) => {
    const { request } = message as { readonly request: IncomingMessage };
    if (isNoted(request)) arrivals.push(preciseNow());
  });
  return { arrivals };
}

/**
 * Runs in the forge's process: notes how long it is at work for the owner of `token` (its API and git), and serves that to
 * the bench. What git sends before it is asked to log in counts as well; the bench itself never fetches.
 */
export async function serveForgeTimes(port: number, token: string): Promise<{ url: string; close(): void }> {
  let intervals: Interval[] = [];
  const began = new WeakMap<IncomingMessage, number>();
  subscribe("http.server.request.start", (message) => {
    const { request, socket } = message as { request: IncomingMessage; socket: { localPort?: number } };
    if (socket.localPort === port && isOf(request, token)) began.set(request, preciseNow());
  });
  subscribe("http.server.response.finish", (message) => {
    const { request } = message as { request: IncomingMessage; response: ServerResponse };
    const fromMs = began.get(request);
    if (fromMs !== undefined) intervals.push({ fromMs, toMs: preciseNow() });
  });
  const server = createServer((_request, response) => {
    response.end(JSON.stringify(intervals));
    intervals = [];
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port: own } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${own}`, close: () => server.close() };
}

function isOf({ headers, url = "" }: IncomingMessage, token: string): boolean {
  return url.includes("git-upload-pack") || headers.authorization === `Bearer ${token}`;
}

/** What was noted since the last question. */
export async function takeForgeTimes(url: string): Promise<readonly Interval[]> {
  return (await (await fetch(url)).json()) as Interval[];
}

/** How much of a span is covered by intervals, which may overlap each other. */
export function coveredMs(intervals: readonly Interval[], span: Interval): number {
  let covered = 0;
  let untilMs = span.fromMs;
  for (const { fromMs, toMs } of intervals.toSorted((a, b) => a.fromMs - b.fromMs)) {
    const endMs = Math.min(toMs, span.toMs);
    covered += Math.max(0, endMs - Math.max(fromMs, untilMs));
    untilMs = Math.max(untilMs, endMs);
  }
  return covered;
}
