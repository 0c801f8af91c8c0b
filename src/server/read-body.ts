import type { IncomingMessage } from "node:http";

/** The body's bytes, or that there are more than allowed; then the rest is not read. */
export async function readBody(request: IncomingMessage, maxBytes: number): Promise<Buffer | "too-large"> {
  if (Number(request.headers["content-length"] ?? 0) > maxBytes) return "too-large";
  const chunks: Buffer[] = [];
  let size = 0;
  // Leaving the loop early would destroy the connection, and the answer with it.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    const bytes = chunk as Buffer;
    size += bytes.length;
    if (size > maxBytes) return "too-large";
    chunks.push(bytes);
  }
  return Buffer.concat(chunks);
}
