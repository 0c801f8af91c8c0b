import { request } from "undici";
import { WatcherError } from "../../lib/errors.ts";

export interface DemoVm {
  readonly name: string;
  readonly state: string;
  readonly memoryBytes: number;
  readonly disks: number;
  readonly tags: readonly string[];
}

/** Looks at the cluster from outside, past the product, as an operator at the HyperCore UI would. */
export async function listVms(endpoint: string, username: string, password: string): Promise<DemoVm[]> {
  const answer = await request(`${endpoint}/rest/v1/VirDomain`, {
    headers: { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` },
    signal: AbortSignal.timeout(15_000),
  });
  if (answer.statusCode !== 200)
    throw new WatcherError("cluster-failed", `the demo's cluster answered ${answer.statusCode}`);
  const found = (await answer.body.json()) as {
    name: string;
    state: string;
    mem: number;
    tags: string;
    blockDevs: { type: string }[];
  }[];
  return found
    .map(({ name, state, mem, tags, blockDevs }) => ({
      name,
      state,
      memoryBytes: mem,
      disks: blockDevs.filter((device) => device.type === "VIRTIO_DISK").length,
      tags: tags.split(","),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
