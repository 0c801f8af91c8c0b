import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

/** Which changing call loses its connection: before the cluster sees it, or after the cluster has done it. */
export interface Drop {
  /** Counted from 0 over all changing calls. */
  readonly index: number;
  readonly moment: "before" | "after";
}

export interface DroppingProxy extends AsyncDisposable {
  readonly address: string;
  /** Changing calls seen so far, in order, as `METHOD path`. */
  readonly calls: readonly string[];
}

/** Stands between a driver and a cluster and cuts exactly one connection. */
export async function startDroppingProxy(target: string, drop: Drop | undefined): Promise<DroppingProxy> {
  const calls: string[] = [];
  const server = createServer((message, response) => {
    const index = message.method === "GET" ? -1 : calls.push(`${message.method} ${message.url}`) - 1;
    const moment = index >= 0 && index === drop?.index ? drop.moment : undefined;
    if (moment === "before") message.socket.destroy();
    else forward(target, message, response, moment === "after");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

function forward(target: string, message: IncomingMessage, response: ServerResponse, cut: boolean): void {
  const onward = request(`${target}${message.url}`, { method: message.method, headers: message.headers }, (answer) => {
    if (cut) {
      answer.resume().on("end", () => message.socket.destroy());
    } else {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.on("error", () => message.socket.destroy()).pipe(response);
    }
  });
  onward.on("error", () => message.socket.destroy());
  message.pipe(onward);
}
