import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Accounts } from "./accounts.ts";
import { Apps, botOf } from "./apps.ts";
import { Calls } from "./calls.ts";
import type { ForgeContext } from "./context.ts";
import type { Dialect } from "./dialect.ts";
import { Faults } from "./faults.ts";
import { githubDialect } from "./github-dialect.ts";
import { gitlabDialect } from "./gitlab/dialect.ts";
import { Limiter } from "./limits.ts";
import { Mergeability } from "./mergeability.ts";
import { DEFAULT_USERS, type DialectName, type ForgeSimulatorOptions } from "./options.ts";
import { PullRefresh } from "./pull-refresh.ts";
import { Repositories } from "./repositories.ts";
import { makeRepository } from "./repositories-api.ts";
import { forgeListener } from "./server.ts";
import { Store } from "./store.ts";
import { Webhooks } from "./webhooks.ts";

const dialects: Readonly<Record<DialectName, Dialect>> = { github: githubDialect, gitlab: gitlabDialect };

export interface ForgeSimulator {
  /** Base of pages and clone addresses (`URL/OWNER/REPO.git`); REST also answers here, as on api.github.com. */
  readonly url: string;
  /** Base of REST: `URL/api/v3` as on a GitHub Enterprise Server, `URL/api/v4` as on GitLab. */
  readonly apiUrl: string;
  close(): Promise<void>;
}

/**
 * Starts a small GitHub-like forge: real bare repositories over git's smart HTTP and the part of GitHub's REST that a
 * GitOps tool uses. One process, one port. What was answered survives SIGKILL and is there after a start on the same folder.
 */
export async function startForgeSimulator(options: ForgeSimulatorOptions): Promise<ForgeSimulator> {
  let url = options.publicUrl?.replace(/\/+$/, "") ?? "";
  const closing = new AbortController();
  const context = buildContext(options, closing.signal, () => url);
  for (const repository of context.store.repositories.all()) {
    await context.repositories.ensureOnDisk(repository);
    await context.refresh.run(repository, repository.owner);
  }
  for (const wanted of options.repositories ?? []) {
    if (context.repositories.find(wanted.owner, wanted.name) === undefined) await makeRepository(context, wanted);
  }
  const requests = new Set<Promise<void>>();
  const server = createServer(forgeListener(context, requests));
  const address = await listen(server, options.port ?? 0, options.host ?? "127.0.0.1");
  url ||= `http://${address.family === "IPv6" ? `[${address.address}]` : address.address}:${address.port}`;
  const close = async (): Promise<void> => {
    closing.abort();
    await closeServer(server);
    await Promise.allSettled(requests);
    await context.webhooks.close();
    await context.mergeability.settle();
    context.store.close();
  };
  return { url, apiUrl: `${url}${context.dialect.apiPath}`, close };
}

function buildContext(options: ForgeSimulatorOptions, closing: AbortSignal, siteUrl: () => string): ForgeContext {
  const store = new Store(join(options.dataDir, "forge.jsonl"));
  const repositories = new Repositories(join(options.dataDir, "repositories"), store);
  const dialect = dialects[options.dialect ?? "github"];
  const apps = new Apps(options.apps ?? []);
  const users = [...(options.users ?? DEFAULT_USERS), ...(options.apps ?? []).map((app) => botOf(app))];
  const context: ForgeContext = {
    dialect,
    store,
    repositories,
    accounts: new Accounts(users, options.anonymousRead ?? false, (token) => apps.userOf(token)),
    apps,
    limiter: new Limiter(options.rateLimits ?? {}),
    faults: new Faults(),
    calls: new Calls(),
    webhooks: new Webhooks(store, options.webhookTimeoutMs ?? 10_000, dialect.hookHeaders),
    mergeability: new Mergeability(store, repositories, dialect.pullRefs),
    refresh: new PullRefresh(() => context),
    observe: options.observe,
    maxPerPage: options.maxPerPage ?? 100,
    enterpriseVersion: options.enterpriseVersion,
    closing,
    siteUrl,
  };
  return context;
}

function listen(server: Server, port: number, host: string): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve(server.address() as AddressInfo);
    });
  });
}

/** Cuts every connection, hanging ones too. */
function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}

/**
 * The body of `kraken-gitops simulate forge`: starts, prints one JSON line with the addresses through `print`, and
 * resolves after the signal to stop has been followed.
 */
export async function runForgeSimulator(
  options: ForgeSimulatorOptions,
  print: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const forge = await startForgeSimulator(options);
  print(JSON.stringify({ ready: true, url: forge.url, apiUrl: forge.apiUrl }));
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
  await forge.close();
}
