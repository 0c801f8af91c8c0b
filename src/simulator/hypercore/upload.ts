import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Intake } from "./exchange.ts";
import { badRequest } from "./refusal.ts";

export interface Received {
  readonly bytes: number;
  readonly sha256: string;
  /** The first bytes, enough to recognise a format. */
  readonly head: Buffer;
}

const headBytes = 64;

/** The exact length a raw body announces. Chunked encoding, which announces none, is refused. */
export function announcedLength(message: IncomingMessage): number {
  const length = message.headers["content-length"];
  if (message.headers["transfer-encoding"] !== undefined || length === undefined) {
    throw badRequest("Content-Length is required, chunked encoding is not allowed");
  }
  return Number(length);
}

/** Reads a raw body to its end without keeping it. Rejects when the connection breaks off. */
export async function receive(message: IncomingMessage, intake: Intake): Promise<Received> {
  const hash = createHash("sha256");
  const head: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    if (bytes < headBytes) head.push(chunk.subarray(0, headBytes - bytes));
    hash.update(chunk);
    bytes += chunk.length;
  }
  intake.bytes = bytes;
  return { bytes, sha256: hash.digest("hex"), head: Buffer.concat(head) };
}

/** Size of the disk inside an image: qcow2 says so in its header (big-endian at byte 24), everything else counts as raw. */
export function virtualSize(received: Received, qcow2: boolean): number {
  const { head, bytes } = received;
  const isQcow2 = qcow2 && head.length >= 32 && head.readUInt32BE(0) === 0x51_46_49_fb;
  return isQcow2 ? Number(head.readBigUInt64BE(24)) : bytes;
}
