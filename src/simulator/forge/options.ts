/** What a user may do in a repository. `none`: a private repository does not exist for them. */
export type Permission = "none" | "read" | "write" | "admin";

export interface SimulatedUser {
  readonly login: string;
  /** The only credential of this user, for REST and for git. Never logged or shown. */
  readonly token: string;
  /** In every repository they do not own; default `write`. Owners are `admin` in their own. */
  readonly permission?: Permission;
  /** Exceptions by `owner/name`. */
  readonly repositories?: Readonly<Record<string, Permission>>;
  /**
   * Makes the token fine-grained: what is not listed is refused with 403, e.g. `{ statuses: "write" }`.
   * Names as GitHub has them: contents, statuses, pull_requests, issues, deployments, administration, webhooks. Default: everything.
   */
  readonly grants?: Readonly<Record<string, "read" | "write">>;
  /** Shown as `type` of the user; default `User`. */
  readonly type?: "User" | "Bot";
  /** GitLab: what the token may do; default `api`, which is everything. */
  readonly scopes?: readonly string[];
  /** GitLab: the day the token ends, such as 2027-01-31; one that is past is refused. Default: a day in a year. */
  readonly expiresAt?: string;
}

/** A GitHub App with one installation. */
export interface SimulatedApp {
  readonly id: number;
  /** It writes as `slug[bot]`. */
  readonly slug: string;
  /** PEM; proves its JWTs. */
  readonly publicKey: string;
  readonly installationId: number;
  /** Repositories (`owner/name`) it is installed on. */
  readonly installedOn: readonly string[];
  /** What it was granted, as `grants` of a user. */
  readonly permissions: Readonly<Record<string, "read" | "write">>;
  /** How long an installation token lives, in milliseconds; default one hour. */
  readonly tokenLifeMs?: number;
}

export interface RateLimits {
  /** Requests per token and window; 304 answers are free. Default 5,000. */
  readonly primary?: number;
  /** Length of the primary window in milliseconds; default one hour. */
  readonly windowMs?: number;
  /** Points per token and minute (GET 1, anything else 5). Default: no such limit. GitHub: 900. */
  readonly secondaryPoints?: number;
  /** Answer of the secondary limit; GitHub uses both. Default 403. */
  readonly secondaryStatus?: 403 | 429;
  /** Seconds in `retry-after` of the secondary limit; default 60. `false` leaves the header out. */
  readonly retryAfterSeconds?: number | false;
}

/** Whose REST and webhooks are spoken. */
export const DIALECTS = ["github", "gitlab"] as const;
export type DialectName = (typeof DIALECTS)[number];

/** One REST request that reached a route, and what it was answered. */
export interface RestExchange {
  readonly method: string;
  /** Path without the `/api/v3` prefix. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly userAgent: string;
  readonly body: unknown;
  readonly status: number;
  readonly answer: string;
}

export interface ForgeSimulatorOptions {
  /** Default `github`. */
  readonly dialect?: DialectName;
  /** Folder for bare repositories and the journal; created when missing. A second start on it goes on where the first ended. */
  readonly dataDir: string;
  /** Address to listen on; default 127.0.0.1. The control API answers loopback clients only, whatever is given here. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Base of every address in answers, when the forge is reached under another one than it listens on. */
  readonly publicUrl?: string;
  /** Default: `kraken-bot` (token `bot-token`, type Bot) and `alice` (token `alice-token`), both with write permission. */
  readonly users?: readonly SimulatedUser[];
  /** GitHub Apps. Default: none. */
  readonly apps?: readonly SimulatedApp[];
  /** Repositories made at the start when they are missing. */
  readonly repositories?: readonly { readonly owner: string; readonly name: string; readonly private?: boolean }[];
  /** Whether public repositories can be read without a token, over REST and git. Default false. */
  readonly anonymousRead?: boolean;
  /** `false`: as on GitHub Enterprise Server by default, no headers and no `/rate_limit`. */
  readonly rateLimits?: RateLimits | false;
  /** Makes the forge answer as a GitHub Enterprise Server of this version (header and `/meta`). */
  readonly enterpriseVersion?: string;
  /** Most entries of one page, whatever a client asks for; default 100 as on github.com. Small values make tests page. */
  readonly maxPerPage?: number;
  /** Shown every REST request and its answer, for tests that compare both with GitHub's own description. */
  readonly observe?: (exchange: RestExchange) => void;
  /** How long a webhook receiver may take, in milliseconds; default 10,000 as on github.com. */
  readonly webhookTimeoutMs?: number;
}

export const DEFAULT_USERS: readonly SimulatedUser[] = [
  { login: "kraken-bot", token: "bot-token", type: "Bot" },
  { login: "alice", token: "alice-token" },
];
