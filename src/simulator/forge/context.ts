import type { Accounts } from "./accounts.ts";
import type { Apps } from "./apps.ts";
import type { Calls } from "./calls.ts";
import type { Dialect } from "./dialect.ts";
import type { Faults } from "./faults.ts";
import type { Limiter } from "./limits.ts";
import type { Mergeability } from "./mergeability.ts";
import type { RestExchange } from "./options.ts";
import type { PullRefresh } from "./pull-refresh.ts";
import type { Repositories } from "./repositories.ts";
import type { Store } from "./store.ts";
import type { Webhooks } from "./webhooks.ts";

/** The parts of one forge, put together once in simulator.ts and handed to every route. */
export interface ForgeContext {
  readonly dialect: Dialect;
  readonly store: Store;
  readonly repositories: Repositories;
  readonly accounts: Accounts;
  readonly apps: Apps;
  readonly limiter: Limiter;
  readonly faults: Faults;
  readonly calls: Calls;
  readonly webhooks: Webhooks;
  readonly mergeability: Mergeability;
  readonly refresh: PullRefresh;
  readonly maxPerPage: number;
  readonly observe: ((exchange: RestExchange) => void) | undefined;
  readonly enterpriseVersion: string | undefined;
  /** Aborted when the forge closes. */
  readonly closing: AbortSignal;
  /** Base of pages and git addresses, without a slash at the end. */
  readonly siteUrl: () => string;
}
