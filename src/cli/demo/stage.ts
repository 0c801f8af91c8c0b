import { randomBytes } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { stringify } from "yaml";
import type { DemoVm } from "./cluster-client.ts";
import { readyAddress, startProgram } from "./processes.ts";

/** Where the example manifests lie. */
export const exampleFolder = fileURLToPath(new URL("../../../config/examples/", import.meta.url));

/** What the VMs of a demo run on. */
export interface DemoCluster extends AsyncDisposable {
  /** Its entry under `clusters` in the configuration. */
  readonly config: object;
  /** Settings of `assets`: where the images of the examples really are. */
  readonly images: string;
  /** For a person who wants to look around. */
  readonly about: string;
  /** Every VM as the cluster itself shows it, past the product. */
  vms(): Promise<DemoVm[]>;
}

/** Everything the demo runs on: a forge, a cluster and the product, each in a process of its own. */
export interface Stage extends AsyncDisposable {
  readonly folder: string;
  readonly forgeUrl: string;
  readonly apiUrl: string;
  readonly configFile: string;
  /** The person's token on the forge. */
  readonly token: string;
}

const repository = "acme/fleet";

export async function setStage(folder: string, cluster: DemoCluster): Promise<Stage> {
  const token = randomBytes(12).toString("hex");
  const botToken = randomBytes(12).toString("hex");
  const users = ["--user", `kraken-bot:${botToken}`, `alice:${token}`];
  const args = ["simulate", "forge", "--data", join(folder, "forge"), "--repository", repository, ...users];
  const forge = startProgram(args, join(folder, "forge.log"));
  try {
    const { url: forgeUrl = "", apiUrl = "" } = await readyAddress(forge);
    const configFile = join(folder, "kraken-gitops.yaml");
    await writeFile(join(folder, "forge-token"), botToken, { mode: 0o600 });
    await writeFile(configFile, stringify(demoConfig(folder, forgeUrl, apiUrl, cluster)));
    return { folder, forgeUrl, apiUrl, configFile, token, [Symbol.asyncDispose]: () => forge[Symbol.asyncDispose]() };
  } catch (error) {
    await forge[Symbol.asyncDispose]();
    throw error;
  }
}

/** Starts the product itself: `kraken-gitops run`, on its private Redis. */
export function startWatcher(stage: Stage): AsyncDisposable {
  return startProgram(["run", "--config", stage.configFile], join(stage.folder, "kraken-gitops.log"));
}

/** The URLs of all images in the examples. */
export async function exampleImages(): Promise<Set<string>> {
  const urls = new Set<string>();
  for (const name of await readdir(exampleFolder)) {
    const text = await readFile(join(exampleFolder, name), "utf8");
    for (const [url] of text.matchAll(/https:\/\/storage\.googleapis\.com\/demo-bucket\/[\w.-]+/g)) urls.add(url);
  }
  return urls;
}

function demoConfig(folder: string, forgeUrl: string, apiUrl: string, cluster: DemoCluster): object {
  return {
    dataDir: join(folder, "data"),
    repositories: [
      {
        name: "fleet",
        url: `${forgeUrl}/${repository}.git`,
        branch: "main",
        path: "manifests/",
        poll: "1s",
        forge: { type: "github", apiUrl, tokenFile: join(folder, "forge-token") },
        clusters: ["lab"],
      },
    ],
    clusters: [{ name: "lab", ...cluster.config }],
    assets: {
      mirrors: [
        { prefix: "https://storage.googleapis.com/demo-bucket/", to: `${pathToFileURL(cluster.images).href}/` },
      ],
    },
    log: { level: "debug", format: "json" },
  };
}
