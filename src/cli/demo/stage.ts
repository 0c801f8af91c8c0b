import { randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { stringify } from "yaml";
import { Handles } from "../../lib/handles.ts";
import { readyAddress, startProgram } from "./processes.ts";

/** Where the example manifests lie. */
export const exampleFolder = fileURLToPath(new URL("../../../config/examples/", import.meta.url));

/** Everything the demo runs on: a forge, a cluster and the product, each in a process of its own. */
export interface Stage extends AsyncDisposable {
  readonly folder: string;
  readonly forgeUrl: string;
  readonly apiUrl: string;
  readonly clusterUrl: string;
  readonly configFile: string;
  /** The person's token on the forge. */
  readonly token: string;
  readonly clusterPassword: string;
}

const repository = "acme/fleet";
/** Small stand-ins for the images in the manifests' bucket; larger than the toys that clusters refuse. */
const imageBytes = 1_048_576;

export async function setStage(folder: string): Promise<Stage> {
  const handles = new Handles();
  try {
    await mkdir(join(folder, "images"), { recursive: true });
    await writeImages(join(folder, "images"));
    const token = randomBytes(12).toString("hex");
    const botToken = randomBytes(12).toString("hex");
    const clusterPassword = randomBytes(12).toString("hex");
    const forge = handles.use(
      startProgram(
        [
          "simulate",
          "forge",
          "--data",
          join(folder, "forge"),
          "--repository",
          repository,
          "--user",
          `kraken-bot:${botToken}`,
          `alice:${token}`,
        ],
        join(folder, "forge.log"),
      ),
    );
    const cluster = handles.use(
      startProgram(
        [
          "simulate",
          "hypercore",
          "--state",
          join(folder, "cluster.jsonl"),
          "--password",
          clusterPassword,
          "--cluster-name",
          "lab",
        ],
        join(folder, "cluster.log"),
      ),
    );
    const { url: forgeUrl = "", apiUrl = "" } = await readyAddress(forge);
    const clusterUrl = (await readyAddress(cluster)).addresses?.[0] ?? "";
    const configFile = join(folder, "kraken-gitops.yaml");
    await writeFile(join(folder, "forge-token"), botToken, { mode: 0o600 });
    await writeFile(join(folder, "cluster-password"), clusterPassword, { mode: 0o600 });
    await writeFile(configFile, stringify(demoConfig(folder, forgeUrl, apiUrl, clusterUrl)));
    return {
      folder,
      forgeUrl,
      apiUrl,
      clusterUrl,
      configFile,
      token,
      clusterPassword,
      [Symbol.asyncDispose]: () => handles[Symbol.asyncDispose](),
    };
  } catch (error) {
    await handles[Symbol.asyncDispose]();
    throw error;
  }
}

/** Starts the product itself: `kraken-gitops run`, on its private Redis. */
export function startWatcher(stage: Stage): AsyncDisposable {
  return startProgram(["run", "--config", stage.configFile], join(stage.folder, "kraken-gitops.log"));
}

async function writeImages(folder: string): Promise<void> {
  const urls = new Set<string>();
  for (const name of await readdir(exampleFolder)) {
    const text = await readFile(join(exampleFolder, name), "utf8");
    for (const [url] of text.matchAll(/https:\/\/storage\.googleapis\.com\/demo-bucket\/[\w.-]+/g)) urls.add(url);
  }
  for (const url of urls) await writeFile(join(folder, url.slice(url.lastIndexOf("/") + 1)), randomBytes(imageBytes));
}

function demoConfig(folder: string, forgeUrl: string, apiUrl: string, clusterUrl: string): object {
  const names = ["public-net", "web-net", "app-net", "db-net", "domain-net", "k8s-net"];
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
    clusters: [
      {
        name: "lab",
        hypercore: { endpoints: [clusterUrl], username: "admin", passwordFile: join(folder, "cluster-password") },
        networks: Object.fromEntries(names.map((name, index) => [name, { vlan: 10 * (index + 1) }])),
      },
    ],
    assets: {
      mirrors: [
        { prefix: "https://storage.googleapis.com/demo-bucket/", to: `${pathToFileURL(join(folder, "images")).href}/` },
      ],
    },
    log: { level: "debug", format: "json" },
  };
}
