import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Pool } from "undici";
import { parse } from "yaml";

/** The part of the example's manifest a script needs. */
interface Manifest {
  readonly spec: {
    readonly assets: readonly { readonly name: string; readonly url: string }[];
    readonly resources: readonly { readonly name: string; readonly spec: VmSpec }[];
  };
}

interface VmSpec {
  readonly description: string;
  readonly cpu: number;
  readonly memory: string;
  readonly tags: readonly string[];
  readonly storage_devices: readonly { readonly source?: string; readonly capacity: number; readonly boot?: number }[];
  readonly network_devices: readonly object[];
  readonly cloud_init_data: { readonly user_data: string; readonly meta_data: string };
}

const lookEveryMs = 5;
const authorization = `Basic ${Buffer.from("admin:admin").toString("base64")}`;

/**
 * What somebody in a hurry would write: the calls that make the example's VMs, with nothing of the product and none of
 * its care. Images are uploaded side by side, VMs made side by side; a VM takes one change at a time, and so does an
 * image. Answers the milliseconds until every VM runs.
 */
export async function bareDeploy(url: string, manifestFile: string, images: string): Promise<number> {
  const manifest = parse(await readFile(manifestFile, "utf8")) as Manifest;
  const script = new Script(url);
  try {
    const began = performance.now();
    const uploads = new Map(
      manifest.spec.assets.map(({ name, url: address }) => [name, script.upload(join(images, basename(address)))]),
    );
    await Promise.all(manifest.spec.resources.map(({ name, spec }) => script.makeVm(name, spec, uploads)));
    return performance.now() - began;
  } finally {
    await script.close();
  }
}

class Script {
  readonly #pool: Pool;
  /** When the last attachment of an image is over. */
  readonly #attached = new Map<string, Promise<unknown>>();

  constructor(url: string) {
    this.#pool = new Pool(url, { connections: 16 });
  }

  async upload(file: string): Promise<string> {
    const { size } = await stat(file);
    const name = basename(file);
    const path = `VirtualDisk/upload?filename=${name}&filesize=${size}`;
    const uuid = await this.#change("PUT", path, createReadStream(file, { highWaterMark: 2 ** 20 }), size);
    await this.#until(`VirtualDisk/${uuid}`, (disk) => disk["name"] === name);
    return uuid;
  }

  async makeVm(name: string, spec: VmSpec, uploads: ReadonlyMap<string, Promise<string>>): Promise<void> {
    const sources = await Promise.all(spec.storage_devices.map(async ({ source }) => uploads.get(source ?? "")));
    const base64 = (text: string): string => Buffer.from(text).toString("base64");
    const vm = await this.#change("POST", "VirDomain", {
      dom: {
        name,
        description: spec.description,
        mem: Number(spec.memory),
        numVCPU: spec.cpu,
        tags: spec.tags.join(","),
        operatingSystem: "os_other",
        netDevs: spec.network_devices.map(() => ({ type: "VIRTIO", vlan: 0 })),
        blockDevs: [{ type: "NVRAM", capacity: 0 }],
        bootDevices: [],
        cloudInitData: {
          userData: base64(spec.cloud_init_data.user_data),
          metaData: base64(spec.cloud_init_data.meta_data),
        },
      },
      options: { attachGuestToolsISO: false, machineTypeKeyword: "uefi" },
    });
    const disks: string[] = [];
    for (const [slot, { capacity }] of spec.storage_devices.entries()) {
      const device = { virDomainUUID: vm, type: "VIRTIO_DISK", capacity, slot, cacheMode: "WRITETHROUGH" };
      const source = sources[slot];
      disks.push(
        source === undefined
          ? await this.#change("POST", "VirDomainBlockDevice", device)
          : await this.#attach(source, { options: { regenerateDiskID: false, readOnly: false }, template: device }),
      );
    }
    const bootDevices = disks.filter((_disk, slot) => spec.storage_devices[slot]?.boot !== undefined);
    await this.#change("PATCH", `VirDomain/${vm}`, { bootDevices });
    await this.#change("POST", "VirDomain/action", [{ virDomainUUID: vm, actionType: "START" }]);
    await this.#until(`VirDomain/${vm}`, ({ state }) => state === "RUNNING");
  }

  async close(): Promise<void> {
    await this.#pool.close();
  }

  /** The cluster attaches an image to one VM at a time. */
  #attach(image: string, body: object): Promise<string> {
    const before = this.#attached.get(image) ?? Promise.resolve();
    const mine = before.then(() => this.#change("POST", `VirtualDisk/${image}/attach`, body));
    this.#attached.set(image, mine);
    return mine;
  }

  /** Sends a change and waits for its task; answers what was made. */
  async #change(method: "POST" | "PATCH" | "PUT", path: string, body: object, bytes?: number): Promise<string> {
    const headers = {
      authorization,
      ...(bytes === undefined ? { "content-type": "application/json" } : { "content-length": String(bytes) }),
    };
    const text = bytes === undefined ? JSON.stringify(body) : (body as ReturnType<typeof createReadStream>);
    const answer = await this.#pool.request({ method, path: `/rest/v1/${path}`, headers, body: text });
    if (answer.statusCode !== 200)
      throw new Error(`${method} ${path}: ${answer.statusCode} ${await answer.body.text()}`);
    const { taskTag, createdUUID } = (await answer.body.json()) as { taskTag: string; createdUUID: string };
    await this.#until(`TaskTag/${taskTag}`, ({ state }) => {
      if (state === "ERROR") throw new Error(`${method} ${path}: its task failed`);
      return state === "COMPLETE";
    });
    return createdUUID;
  }

  async #until(path: string, reached: (object: Readonly<Record<string, unknown>>) => boolean): Promise<void> {
    for (;;) {
      const answer = await this.#pool.request({ method: "GET", path: `/rest/v1/${path}`, headers: { authorization } });
      const [found] = (await answer.body.json()) as Readonly<Record<string, unknown>>[];
      if (found !== undefined && reached(found)) return;
      await pause(lookEveryMs);
    }
  }
}
