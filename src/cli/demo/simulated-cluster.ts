import { randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { listVms } from "./cluster-client.ts";
import { readyAddress, startProgram } from "./processes.ts";
import { type DemoCluster, exampleImages } from "./stage.ts";

/** Small stand-ins for the images in the manifests' bucket; larger than the toys that clusters refuse. */
const imageBytes = 1_048_576;
const networks = ["public-net", "web-net", "app-net", "db-net", "domain-net", "k8s-net"];

/** A HyperCore cluster in a process of its own. */
export async function startSimulatedCluster(folder: string): Promise<DemoCluster> {
  const images = join(folder, "images");
  await mkdir(images, { recursive: true });
  for (const url of await exampleImages())
    await writeFile(join(images, url.slice(url.lastIndexOf("/") + 1)), randomBytes(imageBytes));
  const password = randomBytes(12).toString("hex");
  const passwordFile = join(folder, "cluster-password");
  await writeFile(passwordFile, password, { mode: 0o600 });
  const state = join(folder, "cluster.jsonl");
  const args = ["simulate", "hypercore", "--state", state, "--password", password, "--cluster-name", "lab"];
  const simulator = startProgram(args, join(folder, "cluster.log"));
  try {
    const url = (await readyAddress(simulator)).addresses?.[0] ?? "";
    return {
      config: {
        hypercore: { endpoints: [url], username: "admin", passwordFile },
        networks: Object.fromEntries(networks.map((name, index) => [name, { vlan: 10 * (index + 1) }])),
      },
      images,
      about: `${url} (admin, password in ${passwordFile})`,
      vms: () => listVms(url, "admin", password),
      [Symbol.asyncDispose]: () => simulator[Symbol.asyncDispose](),
    };
  } catch (error) {
    await simulator[Symbol.asyncDispose]();
    throw error;
  }
}
