import { open } from "node:fs/promises";

const pieceBytes = 1024 * 1024;

/**
 * A file in pieces of a MiB, the next one being read while one is worked on; faster than a stream, whose pieces arrive
 * through several hands. `reused`: a piece is valid until the next one is asked for, which makes no garbage.
 */
export async function* filePieces(path: string, how: "fresh" | "reused"): AsyncGenerator<Buffer> {
  await using file = await open(path);
  const pair = [Buffer.allocUnsafe(pieceBytes), Buffer.allocUnsafe(pieceBytes)] as const;
  const bufferFor = (turn: number): Buffer =>
    how === "fresh" ? Buffer.allocUnsafe(pieceBytes) : pair[turn % 2 === 0 ? 0 : 1];
  let reading = file.read(bufferFor(0), 0, pieceBytes, 0);
  for (let position = 0, turn = 1; ; turn++) {
    const { bytesRead, buffer } = await reading;
    if (bytesRead === 0) return;
    position += bytesRead;
    reading = file.read(bufferFor(turn), 0, pieceBytes, position);
    // Whoever stops early leaves a read behind, whose end is nobody's business.
    reading.catch(() => undefined);
    yield buffer.subarray(0, bytesRead);
  }
}
