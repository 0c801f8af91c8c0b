import { WatcherError } from "../lib/errors.ts";

/** What to do after an operation failed once. */
export type RetryDecision =
  | { readonly kind: "again"; readonly inMs: number }
  | {
      readonly kind: "give-up";
      readonly code: string;
      readonly message: string;
      readonly fault: "change" | "platform";
    };

/** Attempts of one operation before a transient error becomes a failure. */
export const maxAttempts = 8;

/** Terminal errors that the manifest is answerable for; every other failure is ours or the cluster's. */
const changeFaults: ReadonlySet<string> = new Set([
  "asset-missing",
  "asset-corrupt",
  "asset-refused",
  "virdomain-conflict",
  "cluster-unsupported",
  "manifest-invalid",
  "readiness-timeout",
  "cloud-init-failed",
]);

/**
 * Transient errors are tried again with growing pauses, waits for as long as they last, terminal ones and bugs end the
 * operation. `random` is in [0, 1).
 */
export function decideRetry(error: unknown, attempt: number, random: number): RetryDecision {
  if (!(error instanceof WatcherError)) {
    const message = error instanceof Error ? error.message : String(error);
    if (attempt < 3) return { kind: "again", inMs: backoff(attempt, random) };
    return { kind: "give-up", code: "internal", message: `internal error: ${message}`, fault: "platform" };
  }
  if (error.retry === "wait") return { kind: "again", inMs: error.retryAfterMs ?? 2_000 + 2_000 * random };
  if (error.retry === "transient" && attempt < maxAttempts)
    return { kind: "again", inMs: error.retryAfterMs ?? backoff(attempt, random) };
  return {
    kind: "give-up",
    code: error.code,
    message: error.message,
    fault: changeFaults.has(error.code) ? "change" : "platform",
  };
}

/** 0.25 s to 30 s, doubling, with half of it random. */
function backoff(attempt: number, random: number): number {
  const ceiling = Math.min(30_000, 500 * 2 ** (attempt - 1));
  return ceiling / 2 + (ceiling / 2) * random;
}
