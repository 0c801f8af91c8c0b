import { ApiError } from "./api-error.ts";
import type { RateLimits } from "./options.ts";

interface Budget {
  used: number;
  resetAt: number;
  points: number;
  pointsResetAt: number;
}

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

/** GitHub's two limits, counted per credential. */
export class Limiter {
  readonly #limits: RateLimits | undefined;
  readonly #budgets = new Map<string, Budget>();

  constructor(limits: RateLimits | false) {
    this.#limits = limits === false ? undefined : limits;
  }

  get enabled(): boolean {
    return this.#limits !== undefined;
  }

  /** @throws ApiError 403 or 429 when the credential has used up one of its limits. */
  admit(credential: string, method: string): void {
    if (this.#limits === undefined) return;
    const budget = this.#budgetOf(credential);
    if (budget.used >= this.#primary()) {
      throw new ApiError(403, "API rate limit exceeded for user.", { headers: this.headers(credential) });
    }
    const cost = method === "GET" || method === "HEAD" ? 1 : 5;
    if (budget.points + cost > (this.#limits.secondaryPoints ?? Number.POSITIVE_INFINITY))
      throw this.#secondary(credential);
    budget.points += cost;
  }

  /** Counts an answered request; 304 answers are free and must not be counted. */
  count(credential: string): void {
    if (this.#limits !== undefined) this.#budgetOf(credential).used += 1;
  }

  headers(credential: string): Record<string, string> {
    if (this.#limits === undefined) return {};
    const { limit, remaining, used, reset } = this.summary(credential);
    return {
      "x-ratelimit-limit": `${limit}`,
      "x-ratelimit-remaining": `${remaining}`,
      "x-ratelimit-used": `${used}`,
      "x-ratelimit-reset": `${reset}`,
      "x-ratelimit-resource": "core",
    };
  }

  /** As in `GET /rate_limit`; `reset` in seconds since 1970. */
  summary(credential: string): { limit: number; remaining: number; used: number; reset: number } {
    const budget = this.#budgetOf(credential);
    const limit = this.#primary();
    return {
      limit,
      remaining: Math.max(0, limit - budget.used),
      used: budget.used,
      reset: Math.ceil(budget.resetAt / 1000),
    };
  }

  #primary(): number {
    return this.#limits?.primary ?? 5_000;
  }

  #secondary(credential: string): ApiError {
    const seconds = this.#limits?.retryAfterSeconds ?? 60;
    const retry: Record<string, string> = seconds === false ? {} : { "retry-after": `${seconds}` };
    const message = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.";
    return new ApiError(this.#limits?.secondaryStatus ?? 403, message, {
      headers: { ...this.headers(credential), ...retry },
    });
  }

  #budgetOf(credential: string): Budget {
    const now = Date.now();
    const budget = this.#budgets.get(credential) ?? { used: 0, resetAt: 0, points: 0, pointsResetAt: 0 };
    if (now >= budget.resetAt) Object.assign(budget, { used: 0, resetAt: now + (this.#limits?.windowMs ?? HOUR_MS) });
    if (now >= budget.pointsResetAt) Object.assign(budget, { points: 0, pointsResetAt: now + MINUTE_MS });
    this.#budgets.set(credential, budget);
    return budget;
  }
}
