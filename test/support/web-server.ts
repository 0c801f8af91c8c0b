import { once } from "node:events";
import { type IncomingMessage, type ServerResponse, createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A web server under test control; what it was asked is kept as `METHOD path`. */
export interface WebServer extends AsyncDisposable {
  readonly origin: string;
  readonly asked: string[];
}

export type Page = (message: IncomingMessage, response: ServerResponse) => void;

export async function startWebServer(pages: Readonly<Record<string, Page>>): Promise<WebServer> {
  const asked: string[] = [];
  const server = createServer((message, response) => {
    const path = new URL(message.url ?? "/", "http://localhost").pathname;
    asked.push(`${message.method} ${path}`);
    const page = pages[path];
    if (page === undefined) response.writeHead(404).end("<html>not here</html>");
    else page(message, response);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    [Symbol.asyncDispose]: async () => {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A file as a static web server gives it. */
export function filePage(content: Buffer, headers: Readonly<Record<string, string>> = {}): Page {
  return (message, response) => {
    response.writeHead(200, { "content-length": String(content.length), ...headers });
    response.end(message.method === "HEAD" ? undefined : content);
  };
}

/** A file of a server that knows no HEAD but knows ranges. */
export function rangesOnlyPage(content: Buffer): Page {
  return (message, response) => {
    if (message.method === "HEAD") response.writeHead(405).end();
    else if (message.headers.range === "bytes=0-0") {
      response
        .writeHead(206, { "content-range": `bytes 0-0/${content.length}`, "content-length": "1", etag: '"r"' })
        .end(content.subarray(0, 1));
    } else response.writeHead(200, { "content-length": String(content.length), etag: '"r"' }).end(content);
  };
}

export function redirectPage(location: string): Page {
  return (_message, response) => {
    response.writeHead(302, { location }).end();
  };
}

export function statusPage(status: number): Page {
  return (_message, response) => {
    response.writeHead(status).end();
  };
}
