import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { ClusterConfig, Config, ForgeConfig, RepositoryConfig } from "../../../src/config/config.ts";
import { secret } from "../../support/world.ts";
import { imageNames } from "./fleet-files.ts";

export const benchInstance = "bench";

/** What a row decides about the product's configuration; everything else is its default. */
export interface BenchSettings {
  readonly folder: string;
  readonly repositoryUrl: string;
  /** Cluster name -> where it answers. */
  readonly clusters: ReadonlyMap<string, string>;
  readonly repository?: Partial<RepositoryConfig>;
  readonly workers?: Config["workers"];
  /** Size of each image. Default 64 KiB. */
  readonly imageBytes?: number;
}

export async function benchConfig(settings: BenchSettings): Promise<Config> {
  return {
    instance: benchInstance,
    statusPrefix: "kraken-gitops",
    redis: { url: undefined, password: undefined, caFile: undefined },
    drift: { intervalMs: 0, pauseMs: 60_000, corrections: 5, withinMs: 86_400_000 },
    dataDir: join(settings.folder, "data"),
    repositories: [
      {
        name: "fleet",
        url: settings.repositoryUrl,
        branch: "main",
        path: "manifests",
        pollMs: 15_000,
        auth: undefined,
        caFile: undefined,
        proxy: undefined,
        forge: { type: "none" },
        clusters: [],
        ...settings.repository,
      },
    ],
    clusters: [...settings.clusters].map(([name, url]) => clusterConfig(name, url)),
    assets: {
      mirrors: [{ ...(await imageMirror(settings.folder, settings.imageBytes)), clusters: undefined }],
      allowHttp: false,
      caFile: undefined,
      proxy: undefined,
      allowPrivate: true,
      maxAssetBytes: undefined,
      cache: { maxBytes: 2 ** 30 },
    },
    workers: settings.workers ?? { concurrency: 16, perCluster: 4 },
    log: { level: "silent", format: "json" },
  };
}

export function githubForge(apiUrl: string): ForgeConfig {
  const token = secret("bot-token");
  return { type: "github", apiUrl, owner: "acme", repository: "fleet", token, caFile: undefined, proxy: undefined };
}

function clusterConfig(name: string, url: string): ClusterConfig {
  return {
    name,
    driver: "hypercore",
    labels: {},
    variables: {},
    networks: undefined,
    hypercore: {
      endpoints: [url],
      username: "admin",
      password: secret("admin"),
      auth: "basic",
      discoverNodes: true,
      tls: { insecure: false, caFile: undefined, fingerprint: undefined },
    },
    libvirt: undefined,
  };
}

/** Small images in place of the ones the examples download. */
export async function imageMirror(
  folder: string,
  imageBytes = 65_536,
): Promise<{ readonly prefix: string; readonly to: string }> {
  const images = join(folder, "images");
  await mkdir(images, { recursive: true });
  for (const name of await imageNames()) await writeFile(join(images, name), Buffer.alloc(imageBytes, name));
  const prefix = "https://storage.googleapis.com/demo-bucket/";
  return { prefix, to: `${pathToFileURL(images).href}/` };
}
