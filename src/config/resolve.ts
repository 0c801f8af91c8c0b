import type { AssetsConfig, Config, RedisConfig, ServerConfig } from "./config.ts";
import type { RawConfig } from "./raw.ts";
import { resolveDrift } from "./resolve-drift.ts";
import { resolveCluster } from "./resolve-cluster.ts";
import type { ResolveContext } from "./resolve-context.ts";
import { resolveRepository } from "./resolve-repository.ts";

const defaultInstance = "kraken-gitops";
const defaultCacheBytes = 50 * 2 ** 30;

/** Fills in defaults, makes paths absolute and checks what a schema cannot. What is wrong is collected in the context. */
export function resolveConfig(raw: RawConfig, context: ResolveContext): Config {
  context.unique(
    raw.repositories.map((repository) => repository.name),
    "repositories",
    "a repository",
  );
  context.unique(
    raw.clusters.map((cluster) => cluster.name),
    "clusters",
    "a cluster",
  );
  const clusters = new Set(raw.clusters.map((cluster) => cluster.name));
  for (const [index, repository] of raw.repositories.entries()) {
    context.known(repository.clusters, clusters, ["repositories", index, "clusters"]);
  }
  const instance = raw.instance ?? defaultInstance;
  return {
    instance,
    statusPrefix: raw.statusPrefix ?? (raw.instance === undefined ? defaultInstance : `${defaultInstance}/${instance}`),
    redis: resolveRedis(raw.redis ?? {}, context),
    dataDir: context.file(raw.dataDir ?? "./var"),
    repositories: raw.repositories.map((entry, index) => resolveRepository(entry, ["repositories", index], context)),
    clusters: raw.clusters.map((entry, index) => resolveCluster(entry, ["clusters", index], context)),
    assets: resolveAssets(raw.assets ?? {}, clusters, context),
    server: resolveServer(raw, context),
    workers: { concurrency: raw.workers?.concurrency ?? 16, perCluster: raw.workers?.perCluster ?? 4 },
    drift: resolveDrift(raw.drift ?? {}, context),
    log: { level: raw.log?.level ?? "info", format: raw.log?.format ?? "auto" },
  };
}

function resolveServer(raw: RawConfig, context: ResolveContext): ServerConfig | undefined {
  if (raw.server === undefined) {
    for (const [index, { forge }] of raw.repositories.entries())
      if (forge?.webhookSecretFile !== undefined || forge?.webhookSecretEnv !== undefined)
        context.warning(
          ["repositories", index, "forge"],
          "a webhook secret, but no server.listen: nobody takes webhooks",
        );
    return undefined;
  }
  const [, host, port] = /^(\[[0-9a-fA-F:.]+\]|[^\s:/[\]]+):(\d{1,5})$/.exec(raw.server.listen) ?? [];
  if (host === undefined || Number(port) > 65_535)
    context.problem(["server", "listen"], "must be an address and a port, e.g. 127.0.0.1:8080 or [::1]:8080");
  return { host: (host ?? "").replace(/^\[|\]$/g, ""), port: Number(port) };
}

function resolveRedis(raw: NonNullable<RawConfig["redis"]>, context: ResolveContext): RedisConfig {
  return {
    url: context.optionalUrl(raw.url, ["redis", "url"], ["redis:", "rediss:", "unix:"]),
    password: context.secret(raw, "password", ["redis"], false),
    caFile: context.file(raw.caFile),
  };
}

function resolveAssets(
  raw: NonNullable<RawConfig["assets"]>,
  clusters: ReadonlySet<string>,
  context: ResolveContext,
): AssetsConfig {
  const mirrors = (raw.mirrors ?? []).map((mirror, index) => {
    const at = ["assets", "mirrors", index];
    context.url(mirror.prefix, [...at, "prefix"], ["https:", "http:", "file:"]);
    context.url(mirror.to, [...at, "to"], ["file:", "https:", "http:"]);
    context.known(mirror.clusters, clusters, [...at, "clusters"]);
    return { prefix: mirror.prefix, to: mirror.to, clusters: mirror.clusters };
  });
  return {
    mirrors,
    allowHttp: raw.allowHttp ?? false,
    caFile: context.file(raw.caFile),
    proxy: context.optionalUrl(raw.proxy, ["assets", "proxy"], ["http:", "https:"]),
    allowPrivate: raw.allowPrivate ?? true,
    maxAssetBytes: context.size(raw.maxAssetSize, ["assets", "maxAssetSize"]),
    cache: { maxBytes: context.size(raw.cache?.maxSize, ["assets", "cache", "maxSize"]) ?? defaultCacheBytes },
  };
}
