import { join } from "node:path";
import { WatcherError } from "../lib/errors.ts";
import { Handles } from "../lib/handles.ts";
import type { ClusterConfig, Config, RepositoryConfig, SecretReference } from "../config/config.ts";
import type { PlatformTraits } from "../plan/live-state.ts";
import type { Clock } from "../ports/clock.ts";
import type { AssetStore } from "../ports/asset-store.ts";
import type { Exclusive } from "../ports/exclusive.ts";
import type { Hypervisor } from "../ports/hypervisor.ts";
import type { JobQueue } from "../ports/job-queue.ts";
import type { Log } from "../ports/log.ts";
import type { StateStore } from "../ports/state-store.ts";
import { openAssetStore } from "../adapters/assets/asset-store.ts";
import { forgeToken, openForge } from "../adapters/forge/registry.ts";
import type { GitAuth } from "../adapters/git/git-environment.ts";
import { openGitSource } from "../adapters/git/simple-git-source.ts";
import { openHypercore } from "../adapters/hypercore/driver.ts";
import { hypercoreTraits } from "../adapters/hypercore/traits.ts";
import { openLibvirt } from "../adapters/libvirt/driver.ts";
import { libvirtTraits } from "../adapters/libvirt/traits.ts";
import { createNetworkProbe } from "../adapters/network-probe.ts";
import { openRedis } from "../adapters/redis/connection.ts";
import { openJobQueue } from "../adapters/redis/job-queue.ts";
import { openStateStore } from "../adapters/redis/state-store.ts";
import { systemClock } from "../adapters/system-clock.ts";
import type { Engine, Repository } from "./engine.ts";
import { exclusiveThrough } from "./process/exclusive.ts";
import { createManifests } from "./planning/manifests.ts";
import { openOnce } from "./process/open-once.ts";
import { sightedHypervisor } from "./planning/sighted-hypervisor.ts";

export interface ComposeOptions {
  readonly config: Config;
  readonly log: Log;
  readonly version: string;
  readonly clock?: Clock;
}

/** What the parts without state use of an engine's state. */
interface Shared {
  readonly exclusive?: Exclusive;
}

/** An engine with its handles. Disposing closes clusters, repositories, queue, store and a private Redis, in that order. */
export interface OpenEngine extends Engine, AsyncDisposable {
  /** Swaps the configuration whole; what changed is opened anew when it is used next. */
  reload(config: Config): void;
}

/** The parts of an engine that need no Redis. */
export interface World extends Pick<Engine, "config" | "hypervisor" | "repository" | "traits">, AsyncDisposable {
  reload(config: Config): void;
}

/** Opens the parts that need no state: clusters, repositories and assets, each when it is used first. */
export function composeWorld(options: ComposeOptions, shared: Shared = {}): World {
  let { config } = options;
  const { log } = options;
  const assets = openOnce((_name, settings: Config["assets"]) => openAssets(settings, config.dataDir, log));
  const clusters = openOnce(async (_name, settings: { readonly cluster: ClusterConfig; readonly instance: string }) =>
    openCluster(settings.cluster, {
      instance: settings.instance,
      assets: await assets.get("assets", config.assets),
      dataDir: config.dataDir,
      log: log.child({ cluster: settings.cluster.name }),
      ...shared,
    }),
  );
  const repositories = openOnce((_name, settings: RepositoryConfig) => openRepository(settings, config.dataDir, log));
  return {
    config: () => config,
    reload(next: Config) {
      config = next;
    },
    hypervisor(name: string): Promise<Hypervisor> {
      const cluster = config.clusters.find((candidate) => candidate.name === name);
      if (cluster === undefined)
        return Promise.reject(new WatcherError("config-invalid", `the configuration has no cluster ${name}`));
      return clusters.get(name, { cluster, instance: config.instance });
    },
    repository(name: string): Promise<Repository> {
      const settings = config.repositories.find((candidate) => candidate.name === name);
      if (settings === undefined)
        return Promise.reject(new WatcherError("config-invalid", `the configuration has no repository ${name}`));
      return repositories.get(name, settings);
    },
    traits: traitsOf,
    async [Symbol.asyncDispose]() {
      await repositories[Symbol.asyncDispose]();
      await clusters[Symbol.asyncDispose]();
      await assets[Symbol.asyncDispose]();
    },
  };
}

/** Opens an engine on its Redis (the embedded one when no URL is configured). */
export async function composeEngine(options: ComposeOptions): Promise<OpenEngine> {
  const { config, log } = options;
  const handles = new Handles();
  try {
    const connection = handles.use(await openRedis(config.redis, config.dataDir, log));
    const store = handles.use(await openStateStore({ connection, instance: config.instance }));
    const queue = handles.use(await openJobQueue({ connection, instance: config.instance, log }));
    const exclusive = exclusiveThrough(store, options.clock ?? systemClock);
    const world = handles.use(composeWorld(options, { exclusive }));
    return toEngine(options, { store, queue, world, handles });
  } catch (error) {
    await handles[Symbol.asyncDispose]();
    throw error;
  }
}

interface Parts {
  readonly store: StateStore;
  readonly queue: JobQueue;
  readonly world: World;
  readonly handles: Handles;
}

function toEngine(options: ComposeOptions, { store, queue, world, handles }: Parts): OpenEngine {
  return {
    version: options.version,
    clock: options.clock ?? systemClock,
    log: options.log,
    store,
    queue,
    probe: createNetworkProbe(),
    random: Math.random,
    config: world.config,
    reload: (config) => world.reload(config),
    repository: world.repository,
    hypervisor: async (name) => sightedHypervisor(await world.hypervisor(name), store, world.config().instance),
    traits: world.traits,
    [Symbol.asyncDispose]: () => handles[Symbol.asyncDispose](),
  };
}

async function openAssets(
  settings: Config["assets"],
  dataDir: string,
  log: Log,
): Promise<AssetStore & AsyncDisposable> {
  const { allowPrivate, maxAssetBytes, cache, ...rest } = settings;
  return openAssetStore({
    ...rest,
    cacheDir: join(dataDir, "assets"),
    denyPrivate: !allowPrivate,
    maxBytes: maxAssetBytes,
    cacheMaxBytes: cache.maxBytes,
    log,
  });
}

/** What every driver is opened with. */
interface DriverParts extends Shared {
  readonly instance: string;
  readonly assets: AssetStore;
  readonly dataDir: string;
  readonly log: Log;
}

async function openCluster(cluster: ClusterConfig, { log, dataDir, ...parts }: DriverParts): Promise<Hypervisor> {
  const { hypercore, libvirt } = cluster;
  const tell = (level: "debug" | "info" | "warn" | "error", fields: object, message: string): void =>
    log[level](fields, message);
  if (libvirt !== undefined)
    return openLibvirt({
      cluster: cluster.name,
      ...libvirt,
      ...parts,
      networks: Object.values(cluster.networks ?? { "*": { network: "default" } }),
      workDir: join(dataDir, "libvirt"),
      log: tell,
    });
  if (hypercore === undefined)
    throw new WatcherError("cluster-unsupported", `cluster ${cluster.name} names neither hypercore nor libvirt`);
  return openHypercore({
    cluster: cluster.name,
    endpoints: hypercore.endpoints,
    username: hypercore.username,
    password: () => hypercore.password.read(),
    auth: hypercore.auth,
    discoverNodes: hypercore.discoverNodes,
    tls: withoutUndefined(hypercore.tls),
    ...parts,
    log: tell,
  });
}

async function openRepository(
  settings: RepositoryConfig,
  dataDir: string,
  log: Log,
): Promise<Repository & AsyncDisposable> {
  const git = await openGitSource({
    url: settings.url,
    branch: settings.branch,
    path: settings.path,
    mirrorDir: join(dataDir, "git", `${settings.name}.git`),
    signersDir: join(dataDir, "signers", settings.name),
    auth: toGitAuth(settings),
    caFile: settings.caFile,
    proxy: settings.proxy,
  });
  const forge = openForge(settings.forge, log.child({ repository: settings.name }));
  return {
    config: settings,
    git,
    forge,
    manifests: createManifests(git, settings.path),
    [Symbol.asyncDispose]: () => git[Symbol.asyncDispose](),
  };
}

function toGitAuth({ auth, forge }: RepositoryConfig): GitAuth | undefined {
  if (auth?.kind === "forge-app") return { kind: "token", token: forgeToken(forge) };
  if (auth?.kind !== "token") return auth;
  const secret: SecretReference = auth.token;
  return { kind: "token", username: auth.username, token: () => secret.read() };
}

function withoutUndefined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

const traits = { hypercore: hypercoreTraits, libvirt: libvirtTraits } as const;

/** What planning knows of a driver without asking a cluster. */
export function traitsOf(driver: ClusterConfig["driver"]): PlatformTraits {
  return traits[driver];
}

/** The logger and the reading of folders, for the command line: commands reach adapters through this file only. */
export { createLog } from "../adapters/pino-log.ts";
export { type FolderFile, readCommittedFolder, readFolder } from "../adapters/git/working-tree.ts";
