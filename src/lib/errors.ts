/**
 * What kind of trouble an error is, which decides what happens next:
 * `transient`: retry with backoff; `terminal`: only a commit, a configuration change or a person helps;
 * `wait`: nothing is wrong, come back later (costs no retry).
 */
export type Retry = "transient" | "terminal" | "wait";

/** Every code the product can show, with its kind. docs/errors.md explains each; a test holds the two together. */
export const errorCatalogue = {
  "config-invalid": "terminal",
  "manifest-invalid": "terminal",
  usage: "terminal",
  "git-unreachable": "transient",
  "git-auth-failed": "terminal",
  "git-repository-missing": "terminal",
  "git-branch-missing": "terminal",
  "git-revision-missing": "transient",
  "git-failed": "transient",
  "signatures-unavailable": "transient",
  "forge-unreachable": "transient",
  "forge-auth-failed": "terminal",
  "forge-rate-limited": "wait",
  "forge-refused": "terminal",
  "cluster-unreachable": "transient",
  "cluster-auth-failed": "terminal",
  "cluster-updating": "wait",
  "cluster-unsupported": "terminal",
  "cluster-refused": "terminal",
  "cluster-full": "terminal",
  "cluster-busy": "transient",
  "cluster-failed": "transient",
  "cluster-outcome-unknown": "transient",
  "cluster-emptied": "wait",
  "task-failed": "transient",
  "virdomain-conflict": "terminal",
  "virdomain-changed": "transient",
  "virdomain-running": "transient",
  "asset-unavailable": "transient",
  "asset-missing": "terminal",
  "asset-corrupt": "terminal",
  "asset-refused": "terminal",
  "asset-no-room": "transient",
  "readiness-timeout": "terminal",
  "cloud-init-failed": "terminal",
  "shutdown-timeout": "terminal",
  "redis-unavailable": "transient",
  "redis-missing": "terminal",
  "server-failed": "terminal",
  "lease-lost": "transient",
  stopped: "wait",
} as const satisfies Record<string, Retry>;

export type ErrorCode = keyof typeof errorCatalogue;

/**
 * The one error class for trouble an operator can understand. Anything else that is thrown is a bug.
 * The message says what failed, on what, and what to do next; it never holds a secret.
 */
export class WatcherError extends Error {
  override readonly name = "WatcherError";
  readonly code: ErrorCode;
  readonly retry: Retry;
  /** Earliest time to try again, in milliseconds from now, when the other side said so (Retry-After). */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown; retryAfterMs?: number | undefined }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.retry = errorCatalogue[code];
    this.retryAfterMs = options?.retryAfterMs;
  }
}

/** The message of anything thrown, for people. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
