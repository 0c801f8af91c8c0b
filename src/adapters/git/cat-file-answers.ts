export interface ObjectInfo {
  readonly id: string;
  readonly type: string;
  readonly sizeBytes: number;
}

export interface ObjectContents extends ObjectInfo {
  /** Empty for an `info` answer. */
  readonly bytes: Uint8Array;
}

const nothing = new Uint8Array(0);

/**
 * Reads the answers of `git cat-file --batch*` (git-cat-file manual, "BATCH OUTPUT"): a line `<id> <type> <size>`, for
 * contents followed by so many bytes and a line feed; or `<name> missing`.
 */
export class AnswerReader {
  readonly answers: (ObjectContents | undefined)[] = [];
  readonly #wanted: number;
  readonly #withContents: boolean;
  #chunks: Buffer[] = [];
  #length = 0;
  #header: ObjectInfo | undefined;

  constructor(wanted: number, withContents: boolean) {
    this.#wanted = wanted;
    this.#withContents = withContents;
  }

  /** Takes the next piece of output; true when every answer is there. Throws on output that cannot be an answer. */
  push(chunk: Buffer): boolean {
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    // Large contents arrive in many pieces: joining them once, when they are complete, keeps this linear.
    if (this.#header && this.#length < this.#header.sizeBytes + 1) return false;
    let rest = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    for (let next = this.#take(rest); next !== undefined; next = this.#take(rest)) rest = next;
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#length = rest.length;
    return this.answers.length === this.#wanted;
  }

  /** Takes one header or one body off the front; undefined when it is not complete yet. */
  #take(buffer: Buffer): Buffer | undefined {
    return this.#header ? this.#takeBody(buffer, this.#header) : this.#takeHeader(buffer);
  }

  #takeBody(buffer: Buffer, header: ObjectInfo): Buffer | undefined {
    if (buffer.length < header.sizeBytes + 1) return undefined;
    // A copy, so that a small file does not hold the whole chunk it came in.
    this.answers.push({ ...header, bytes: new Uint8Array(buffer.subarray(0, header.sizeBytes)) });
    this.#header = undefined;
    return buffer.subarray(header.sizeBytes + 1);
  }

  #takeHeader(buffer: Buffer): Buffer | undefined {
    const end = buffer.indexOf(10);
    if (end < 0) return undefined;
    const line = buffer.toString("utf8", 0, end);
    const found = /^([0-9a-f]{40,64}) (commit|tree|blob|tag) (\d+)$/.exec(line);
    if (found?.[1] && found[2]) this.#accept({ id: found[1], type: found[2], sizeBytes: Number(found[3]) });
    else if (/ (missing|ambiguous)$/.test(line)) this.answers.push(undefined);
    else throw new Error(`git cat-file printed an unexpected line: ${line.slice(0, 200)}`);
    return buffer.subarray(end + 1);
  }

  #accept(header: ObjectInfo): void {
    if (this.#withContents) this.#header = header;
    else this.answers.push({ ...header, bytes: nothing });
  }
}
