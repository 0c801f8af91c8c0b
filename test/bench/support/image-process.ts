import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/**
 * A web server with one large image, `image-process.ts <bytes>`, made up as it is sent: no MiB of it is like another. Prints
 * its origin and stays until SIGTERM.
 */
const totalBytes = Number(process.argv[2]);
const pieceBytes = 2 ** 20;

const server = createServer((message, response) => {
  response.writeHead(200, { "content-length": String(totalBytes), etag: `"image-${totalBytes}"` });
  if (message.method === "HEAD") response.end();
  else void send(response);
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
await once(process, "SIGTERM");
server.closeAllConnections();
server.close();

async function send(response: ServerResponse): Promise<void> {
  for (let at = 0; at < totalBytes && !response.destroyed; at += pieceBytes) {
    const piece = Buffer.alloc(Math.min(pieceBytes, totalBytes - at), "kraken ");
    piece.writeDoubleLE(at);
    if (!response.write(piece)) await once(response, "drain");
  }
  response.end();
}
