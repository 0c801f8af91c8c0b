import { describe, expect, it } from "vitest";
import { WatcherError } from "../lib/errors.ts";
import { decideRetry, maxAttempts } from "./retry.ts";

describe("decideRetry", () => {
  it("tries a transient error again with growing pauses, until it is enough", () => {
    const error = new WatcherError("cluster-unreachable", "no answer");
    const pauses = Array.from({ length: maxAttempts - 1 }, (_unused, index) => decideRetry(error, index + 1, 0.5));
    expect(pauses.every((decision) => decision.kind === "again")).toBe(true);
    const times = pauses.map((decision) => (decision.kind === "again" ? decision.inMs : 0));
    expect(times).toEqual([...times].sort((a, b) => a - b));
    expect(decideRetry(error, maxAttempts, 0.5)).toMatchObject({
      kind: "give-up",
      fault: "platform",
      message: "no answer",
    });
  });

  it("waits for what is nobody's fault as long as it lasts", () => {
    expect(decideRetry(new WatcherError("cluster-updating", "updating"), 1_000, 0)).toMatchObject({ kind: "again" });
  });

  it("waits as long as the other side asked for", () => {
    expect(decideRetry(new WatcherError("forge-rate-limited", "slow down", { retryAfterMs: 42_000 }), 1, 0)).toEqual({
      kind: "again",
      inMs: 42_000,
    });
  });

  it.each([
    ["asset-missing", "change"],
    ["virdomain-conflict", "change"],
    ["cluster-auth-failed", "platform"],
    ["cluster-full", "platform"],
  ] as const)("stops at once at %s and blames the %s", (code, fault) => {
    expect(decideRetry(new WatcherError(code, "why"), 1, 0)).toEqual({ kind: "give-up", code, message: "why", fault });
  });

  it("gives a bug a second chance, not an endless one", () => {
    expect(decideRetry(new TypeError("x is undefined"), 1, 0)).toMatchObject({ kind: "again" });
    expect(decideRetry(new TypeError("x is undefined"), 3, 0)).toMatchObject({
      kind: "give-up",
      message: "internal error: x is undefined",
    });
  });
});
