import type { IncomingMessage } from "node:http";
import type { ForgeContext } from "./context.ts";
import type { RefChange } from "./events.ts";
import type { CommentRecord, HookRecord, PullRecord, RepositoryRecord } from "./records.ts";
import type { RestAnswer } from "./rest.ts";
import type { Router } from "./router.ts";

/** What differs between the forges that are played here: REST, names of refs, webhooks. Repositories and records are the same. */
export interface Dialect {
  /** Below it are `N/head` and `N/merge` of every pull request. */
  readonly pullRefs: string;
  /** Where REST begins. */
  readonly apiPath: string;
  readonly addRoutes: (router: Router, context: ForgeContext) => void;
  readonly answer: (context: ForgeContext, router: Router, url: URL, incoming: IncomingMessage) => Promise<RestAnswer>;
  readonly hookHeaders: (hook: HookRecord, event: string, guid: string, body: string) => Record<string, string>;
  /** What happens when something happened; left out: the events of GitHub. */
  readonly events?: ForgeEvents;
}

export interface ForgeEvents {
  push(context: ForgeContext, repository: RepositoryRecord, change: RefChange, login: string): Promise<void>;
  /** `action` in GitHub's words: opened, edited, synchronize, closed, reopened. */
  pull(context: ForgeContext, pull: PullRecord, action: string, login: string, extra: Record<string, unknown>): void;
  comment(context: ForgeContext, comment: CommentRecord, pull: PullRecord, action: string, login: string): void;
}
