import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { absent, type CacheFiles, readText, writeWhole } from "./cache-files.ts";

/** Everything up to here is on the disk for good at least this often, so that a crash costs little. */
const syncBytes = 32 * 2 ** 20;

/** What is known of a download that is not whole; kept beside it. */
export interface PartFacts {
  /** Hash of the address its bytes came from: they go on from nowhere else. */
  readonly origin: string;
  /** What `If-Range` must say to get more of the same content; undefined when the server has no word for it. */
  readonly validator: string | undefined;
  readonly sizeBytes: number;
  /** So many bytes are on the disk whatever happens; more may be in the file, and mean nothing. */
  readonly safeBytes: number;
}

/** The facts of a part, or undefined when there are none that make sense. */
export async function readPartFacts(files: CacheFiles, key: string): Promise<PartFacts | undefined> {
  const text = await readText(join(files.parts, `${key}.json`));
  if (text === undefined) return undefined;
  try {
    const value = JSON.parse(text) as Partial<PartFacts>;
    const { origin, validator, sizeBytes, safeBytes } = value;
    const sound = typeof origin === "string" && ["string", "undefined"].includes(typeof validator);
    if (!sound || !Number.isSafeInteger(sizeBytes) || !Number.isSafeInteger(safeBytes)) return undefined;
    return { origin, validator, sizeBytes: sizeBytes ?? 0, safeBytes: safeBytes ?? 0 };
  } catch {
    return undefined;
  }
}

/**
 * A download on its way to the disk. Belongs to who holds its content's lock. It writes at explicit places: should a
 * process that stood still wake up after its lock was taken over, it writes the same bytes to the same places.
 */
export class PartialDownload {
  readonly path: string;
  readonly #factsPath: string;
  #facts: PartFacts;
  #handle: FileHandle | undefined;
  #hash: Hash = createHash("sha256");
  #doneBytes = 0;

  private constructor(files: CacheFiles, key: string, facts: PartFacts) {
    this.path = join(files.parts, `${key}.part`);
    this.#factsPath = join(files.parts, `${key}.json`);
    this.#facts = facts;
  }

  /** Reserves room for a download, or takes up one that broke off. Called under the room lock. */
  static async open(
    files: CacheFiles,
    key: string,
    wanted: { readonly origin: string; readonly sizeBytes: number },
  ): Promise<PartialDownload> {
    const before = await readPartFacts(files, key);
    const goesOn = before?.origin === wanted.origin && before.sizeBytes === wanted.sizeBytes;
    const facts = goesOn ? before : { ...wanted, validator: undefined, safeBytes: 0 };
    const part = new PartialDownload(files, key, facts);
    // Also renews the time of change, so that nobody takes it for a leftover.
    await part.#save();
    return part;
  }

  get sizeBytes(): number {
    return this.#facts.sizeBytes;
  }

  get doneBytes(): number {
    return this.#doneBytes;
  }

  /** Whether a later attempt has something to go on with. */
  get canGoOn(): boolean {
    return this.#facts.validator !== undefined && Math.max(this.#doneBytes, this.#facts.safeBytes) > 0;
  }

  get validator(): string | undefined {
    return this.#facts.validator;
  }

  /** Reads again what an earlier process has written for good; the bytes that need not be fetched. */
  async takeUp(signal: AbortSignal): Promise<number> {
    const { validator, safeBytes } = this.#facts;
    const present = (await stat(this.path).catch(absent))?.size ?? 0;
    if (validator === undefined || safeBytes === 0 || present < safeBytes) return 0;
    const stream = createReadStream(this.path, { end: safeBytes - 1, highWaterMark: 2 ** 20, signal });
    for await (const chunk of stream as AsyncIterable<Buffer>) this.#hash.update(chunk);
    this.#handle = await open(this.path, "r+");
    await this.#handle.truncate(safeBytes);
    this.#doneBytes = safeBytes;
    return safeBytes;
  }

  /** Forgets what was fetched; what follows is the content from its beginning. */
  async startOver(validator: string | undefined): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
    this.#hash = createHash("sha256");
    this.#doneBytes = 0;
    this.#facts = { ...this.#facts, validator, safeBytes: 0 };
    await this.#save();
    this.#handle = await open(this.path, "w");
  }

  async write(chunk: Buffer): Promise<void> {
    if (this.#handle === undefined) throw new Error("a download is written to before it began");
    this.#hash.update(chunk);
    for (let from = 0; from < chunk.length; ) {
      const { bytesWritten } = await this.#handle.write(chunk, from, chunk.length - from, this.#doneBytes);
      from += bytesWritten;
      this.#doneBytes += bytesWritten;
    }
    if (this.#doneBytes - this.#facts.safeBytes >= syncBytes) await this.sync();
  }

  /** Makes what was written last. */
  async sync(): Promise<void> {
    if (this.#handle === undefined) return;
    await this.#handle.datasync();
    this.#facts = { ...this.#facts, safeBytes: this.#doneBytes };
    await this.#save();
  }

  /** The sha256 of everything written, which is on the disk then. */
  async finish(): Promise<string> {
    await this.#handle?.sync();
    await this.close();
    return this.#hash.digest("hex");
  }

  async close(): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
    await this.forget();
  }

  /** Removes what was noted beside the file, which is somewhere else by now. */
  async forget(): Promise<void> {
    await rm(this.#factsPath, { force: true });
  }

  async #save(): Promise<void> {
    await writeWhole(this.#factsPath, JSON.stringify(this.#facts));
  }
}
