import { copyFile, link, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ensureTinyGuest } from "../../../bin/tiny-guest.js";
import type { DemoVm } from "./cluster-client.ts";
import { startPrivateLibvirt, type PrivateLibvirt } from "./private-libvirt.ts";
import { type DemoCluster, exampleImages } from "./stage.ts";

const pool = "demo";

/** A libvirt daemon of the demo's own, on which real VMs boot. */
export interface LibvirtHost extends DemoCluster {
  /** What a guest has said on its serial console, over all its lives. */
  console(vm: string): Promise<string>;
  /** Everything in the storage pool. */
  volumes(): Promise<string[]>;
}

/** The tiny guest stands in for every image of the examples; its disks are as large as the manifests say, and sparse. */
export async function startLibvirtHost(folder: string): Promise<LibvirtHost> {
  const images = join(folder, "images");
  await mkdir(images, { recursive: true });
  const guest = ensureTinyGuest();
  for (const url of await exampleImages()) {
    const image = join(images, url.slice(url.lastIndexOf("/") + 1));
    await link(guest, image).catch(() => copyFile(guest, image));
  }
  const daemon = await startPrivateLibvirt();
  try {
    await daemon.virsh("pool-define-as", pool, "dir", "--target", daemon.poolDir);
    await daemon.virsh("pool-start", pool);
  } catch (error) {
    await daemon[Symbol.asyncDispose]();
    throw error;
  }
  return {
    config: {
      libvirt: { uri: daemon.uri, pool, accelerator: "auto" },
      // The manifests ask for up to 16 GiB and 4 CPUs a VM; the guest needs a fraction.
      limits: { memory: "256 MiB", cpu: 2 },
      networks: { "*": { user: true } },
    },
    images,
    about: `virsh -c '${daemon.uri}'`,
    vms: () => listDomains(daemon),
    console: (vm) => readConsole(daemon, vm),
    volumes: async () => {
      await daemon.virsh("pool-refresh", pool);
      return (await readdir(daemon.poolDir)).sort();
    },
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}

async function listDomains({ virsh }: PrivateLibvirt): Promise<DemoVm[]> {
  const names = words(await virsh("-q", "list", "--all", "--name"));
  return Promise.all(
    names.sort().map(async (name) => {
      const definition = await virsh("dumpxml", name);
      return {
        name,
        state: (await virsh("domstate", name)).trim().toUpperCase(),
        memoryBytes: Number(/<memory unit='KiB'>(\d+)</.exec(definition)?.[1]) * 1024,
        disks: definition.match(/<disk [^>]*device='disk'/g)?.length ?? 0,
        tags: [...definition.matchAll(/<kg:tag>([^<]*)</g)].map(([, tag]) => tag ?? ""),
      };
    }),
  );
}

async function readConsole({ virsh, poolDir }: PrivateLibvirt, vm: string): Promise<string> {
  const uuid = (await virsh("domuuid", vm)).trim();
  const log = (await readdir(poolDir)).find((name) => name.endsWith(`${uuid}-console.log`));
  if (log === undefined) return "";
  return readFile(join(poolDir, log), "utf8");
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}
