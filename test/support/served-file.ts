import type { IncomingMessage, ServerResponse } from "node:http";
import type { Page } from "./web-server.ts";

/** A file as a good web server gives it, with ranges, and what goes wrong with it. May be changed between requests. */
export interface ServedFile {
  content: Buffer;
  /** Validators and the like. */
  headers: Readonly<Record<string, string>>;
  readonly knowsRanges?: boolean;
  /** After so many bytes each GET breaks off, one after another; then they go through. */
  readonly breaks?: number[];
  /** After so many bytes a GET waits for `release`. */
  readonly hold?: { readonly afterBytes: number; readonly release: Promise<void> };
  /** What GETs were answered: status, `Range` asked for, bytes meant to be sent. */
  readonly answers: { readonly status: number; readonly range: string | undefined; readonly bytes: number }[];
}

export function serveFile(content: Buffer, more: Partial<ServedFile> = {}): ServedFile {
  return { content, headers: { etag: '"one"' }, answers: [], ...more };
}

export function servedPage(file: ServedFile): Page {
  return (message, response) => void answer(file, message, response);
}

async function answer(file: ServedFile, message: IncomingMessage, response: ServerResponse): Promise<void> {
  const { content, headers } = file;
  const { range } = message.headers;
  const from = file.knowsRanges === false ? undefined : /^bytes=(\d+)-$/.exec(range ?? "")?.[1];
  const validator = message.headers["if-range"];
  const fresh = validator === undefined || [headers["etag"], headers["last-modified"]].includes(String(validator));
  const begin = from === undefined || !fresh ? 0 : Number(from);
  if (message.method === "HEAD") {
    response.writeHead(200, { ...headers, "content-length": content.length }).end();
    return;
  }
  const body = content.subarray(begin);
  const status = begin === 0 ? 200 : 206;
  file.answers.push({ status, range, bytes: body.length });
  const part = status === 206 ? { "content-range": `bytes ${begin}-${content.length - 1}/${content.length}` } : {};
  response.writeHead(status, { ...headers, ...part, "content-length": body.length });
  const breakAt = file.breaks?.shift();
  if (breakAt !== undefined) {
    await send(response, body.subarray(0, breakAt));
    response.socket?.destroySoon();
    return;
  }
  const holdAt = file.hold?.afterBytes ?? body.length;
  await send(response, body.subarray(0, holdAt));
  if (holdAt < body.length) await file.hold?.release;
  response.end(body.subarray(holdAt));
}

function send(response: ServerResponse, bytes: Buffer): Promise<void> {
  return new Promise((resolve) => response.write(bytes, () => resolve()));
}
