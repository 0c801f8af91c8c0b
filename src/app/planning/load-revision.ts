import type { Cluster } from "../../fleet/cluster.ts";
import type { ClusterConfig, Config } from "../../config/config.ts";
import type { Engine, Repository } from "../engine.ts";
import type { FleetSettings, LoadedManifests } from "./manifests.ts";

/** The manifests of a commit (or tree) rendered for the configured clusters. */
export function loadRevision(
  engine: Pick<Engine, "config">,
  repository: Repository,
  treeish: string,
  signal: AbortSignal,
): Promise<LoadedManifests> {
  return repository.manifests.load(treeish, fleetSettings(engine.config(), repository), signal);
}

/** The same for a commit of a repository's branch that this process may not have seen yet: fetched where it is missing. */
export async function fetchRevision(
  engine: Pick<Engine, "config">,
  repository: Repository,
  revision: string,
  signal: AbortSignal,
): Promise<LoadedManifests> {
  await repository.git.ensureRevisions([{ revision, ref: `refs/heads/${repository.config.branch}` }], signal);
  return loadRevision(engine, repository, revision, signal);
}

type NamedRepository = { readonly config: { readonly name: string; readonly clusters: readonly string[] } };

const known = new WeakMap<Config, WeakMap<NamedRepository["config"], FleetSettings>>();

/**
 * What planning may know of the configuration: no addresses, no secrets. The same answer for the same configuration,
 * as every operation asks for it.
 */
export function fleetSettings(config: Config, repository: NamedRepository): FleetSettings {
  const ofConfig = known.get(config) ?? new WeakMap<NamedRepository["config"], FleetSettings>();
  known.set(config, ofConfig);
  const settings = ofConfig.get(repository.config) ?? toSettings(config, repository);
  ofConfig.set(repository.config, settings);
  return settings;
}

function toSettings(config: Config, repository: NamedRepository): FleetSettings {
  return {
    repository: repository.config.name,
    clusters: config.clusters.map(toCluster),
    defaultClusters: repository.config.clusters,
    allowHttp: config.assets.allowHttp,
  };
}

function toCluster({ name, id, driver, labels, variables, networks, limits }: ClusterConfig): Cluster {
  return {
    name,
    ...(id === undefined ? {} : { id }),
    driver,
    labels,
    variables,
    networks,
    ...(limits === undefined ? {} : { limits }),
  };
}
