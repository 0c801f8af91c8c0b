import { afterEach, describe, expect, it, vi } from "vitest";
import { receivedBytes, TransferLimits } from "./transfer-limits.ts";

describe("transfer limits", () => {
  afterEach(() => {
    vi.useRealTimers();
  });

  it("read the largest amount out of git's progress", () => {
    const text =
      "Receiving objects:  75% (3/4), 516.00 KiB | 510.00 KiB/s\rReceiving objects:  75% (3/4), 1.50 MiB | 572.00 KiB/s  \r";
    expect(receivedBytes(text)).toBe(1.5 * 2 ** 20);
    expect(receivedBytes("Receiving objects: 100% (3/3), 264 bytes | 264.00 KiB/s, done.")).toBe(264);
    expect(receivedBytes("remote: Counting objects: 100% (4/4), done.")).toBe(0);
  });

  it("abort with the error to show when too much arrives", () => {
    using limits = new TransferLimits({ remote: "r", deadlineMs: 60_000, silenceMs: 60_000, maxBytes: 1_000 });
    limits.onProgress("Receiving objects:  1% (1/100), 900 bytes | 1.00 KiB/s");
    expect(limits.signal.aborted).toBe(false);
    limits.onProgress("Receiving objects:  2% (2/100), 1.00 KiB | 1.00 KiB/s");
    expect(limits.signal.reason).toMatchObject({ code: "git-failed" });
  });

  it("count every word of progress as life, and the whole duration all the same", () => {
    vi.useFakeTimers();
    using limits = new TransferLimits({ remote: "r", deadlineMs: 1_000, silenceMs: 150, maxBytes: undefined });
    for (let word = 0; word < 9; word += 1) {
      vi.advanceTimersByTime(100);
      limits.onProgress("Receiving objects");
    }
    expect(limits.signal.aborted).toBe(false);
    vi.advanceTimersByTime(100);
    expect(limits.signal.reason).toMatchObject({
      code: "git-unreachable",
      message: "r did not finish within 1 s; it is tried again.",
    });
  });

  it("end what fell silent", () => {
    vi.useFakeTimers();
    using limits = new TransferLimits({ remote: "r", deadlineMs: 1_000, silenceMs: 150, maxBytes: undefined });
    vi.advanceTimersByTime(151);
    expect(limits.signal.reason).toMatchObject({ code: "git-unreachable" });
  });
});
