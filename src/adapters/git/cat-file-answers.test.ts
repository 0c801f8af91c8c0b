import { describe, expect, it } from "vitest";
import { AnswerReader } from "./cat-file-answers.ts";

const id = "a".repeat(40);
const output = Buffer.from(`${id} blob 4\n\n\0x\n\nnothing missing\n${id} blob 0\n\n`);

function readInPieces(size: number): AnswerReader {
  const reader = new AnswerReader(3, true);
  for (let offset = 0; offset < output.length; offset += size) reader.push(output.subarray(offset, offset + size));
  return reader;
}

describe("answers of git cat-file", () => {
  it.each([1, 2, 3, 7, 1_000])("are the same when they arrive in pieces of %i bytes", (size) => {
    const [first, second, third] = readInPieces(size).answers;
    expect(Buffer.from(first?.bytes ?? []).toString()).toBe("\n\0x\n");
    expect(second).toBeUndefined();
    expect(third).toMatchObject({ id, type: "blob", sizeBytes: 0 });
  });

  it("are complete only with the last line feed", () => {
    const reader = new AnswerReader(1, true);
    expect(reader.push(Buffer.from(`${id} blob 1\nx`))).toBe(false);
    expect(reader.push(Buffer.from("\n"))).toBe(true);
  });

  it("have no bytes when only sizes were asked", () => {
    const reader = new AnswerReader(2, false);
    expect(reader.push(Buffer.from(`${id} blob 9\n${id} tree 1\n`))).toBe(true);
    expect(reader.answers.map((answer) => answer?.sizeBytes)).toEqual([9, 1]);
  });

  it("are refused when they are none", () => {
    expect(() => new AnswerReader(1, false).push(Buffer.from("usage: git cat-file\n"))).toThrow("unexpected line");
  });
});
