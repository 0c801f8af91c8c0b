import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { openAssetStore } from "../../src/adapters/assets/asset-store.ts";
import { openLibvirt } from "../../src/adapters/libvirt/driver.ts";
import { consoleLogName } from "../../src/adapters/libvirt/storage/volume-names.ts";
import { ensureTinyGuest } from "../../bin/tiny-guest.js";
import type { LibvirtOptions } from "../../src/adapters/libvirt/options.ts";
import type { NetworkTarget } from "../../src/fleet/cluster.ts";
import type { DesiredAsset, DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import { contentHash } from "../../src/lib/canonical-json.ts";
import { Handles } from "../../src/lib/handles.ts";
import type { Hypervisor } from "../../src/ports/hypervisor.ts";
import { MiB } from "./desired-vm.ts";
import { type PrivateLibvirt, startPrivateLibvirt } from "../../src/cli/demo/private-libvirt.ts";

export const instance = "edge";
export const pool = "lab";

/** Waits short enough for tests; the meaning of each is the driver's own. */
export const quickTimeouts = { hostMs: 0, resendMs: 2_000, detachMs: 5_000, busyMs: 20_000 } as const;

export interface LibvirtLab extends AsyncDisposable {
  readonly driver: Hypervisor;
  readonly daemon: PrivateLibvirt;
  readonly folder: string;
  /** Another driver on the same host, as another process would have. */
  open(overrides?: Partial<LibvirtOptions>): Promise<Hypervisor>;
  image(name: string, bytes?: number): Promise<DesiredAsset>;
  iso(name: string): Promise<DesiredAsset>;
  /** A guest that boots, and says on its console what it finds. */
  guest(): DesiredAsset;
  /** Where the serial console of a VM is logged. */
  consoleOf(uuid: string): string;
  /** A file that is there already, as an asset. */
  asset(name: string, path: string, format: string): DesiredAsset;
  /** Names of all volumes of the pool. */
  volumes(): Promise<string[]>;
}

/** A libvirt daemon of its own with a pool and a driver on it. VMs are real, emulated where KVM does not work. */
export async function openLibvirtLab(overrides: Partial<LibvirtOptions> = {}): Promise<LibvirtLab> {
  const handles = new Handles();
  const folder = await mkdtemp(join(tmpdir(), "kg-lab-"));
  handles.use({ [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) });
  const daemon = handles.use(await startPrivateLibvirt());
  await daemon.virsh("pool-define-as", pool, "dir", "--target", daemon.poolDir);
  await daemon.virsh("pool-start", pool);
  const images = join(folder, "images");
  await mkdir(images);
  const assets = handles.use(
    await openAssetStore({
      cacheDir: join(folder, "cache"),
      mirrors: [
        { prefix: "https://images.example/", to: pathToFileURL(`${images}/`).href },
        { prefix: "https://files.example/", to: pathToFileURL("/").href },
      ],
      allowHttp: false,
    }),
  );
  const open = async (more: Partial<LibvirtOptions> = {}): Promise<Hypervisor> =>
    handles.use(
      await openLibvirt({
        cluster: "lab",
        uri: daemon.uri,
        pool,
        machine: "q35",
        accelerator: "auto",
        disks: "copy",
        maxCpus: undefined,
        secureBoot: false,
        seedBus: "scsi",
        consoleLogs: "pool",
        instance,
        workDir: join(folder, "work"),
        assets,
        timeouts: quickTimeouts,
        ...overrides,
        ...more,
      }),
    );
  const made = async (name: string, type: DesiredAsset["type"], bytes: number): Promise<DesiredAsset> => {
    const file = `${name}.${type === "iso" ? "iso" : "img"}`;
    await writeFile(join(images, file), Buffer.alloc(bytes, name));
    const url = `https://images.example/${file}`;
    return { name, type, format: type === "iso" ? "iso" : "raw", url, id: contentHash(url, 12) };
  };
  return {
    driver: await open(),
    daemon,
    folder,
    open,
    image: (name, bytes = 2 * MiB) => made(name, "virtual_disk", bytes),
    iso: (name) => made(name, "iso", MiB),
    guest: () => fileAsset("guest", ensureTinyGuest(), "raw"),
    consoleOf: (uuid) => join(daemon.poolDir, consoleLogName(instance, uuid)),
    asset: fileAsset,
    async volumes() {
      await daemon.virsh("pool-refresh", pool);
      const listed = await daemon.virsh("-q", "vol-list", pool);
      return listed.split("\n").flatMap((line) => line.trim().split(/\s+/)[0] || []);
    },
    [Symbol.asyncDispose]: () => handles[Symbol.asyncDispose](),
  };
}

function fileAsset(name: string, path: string, format: string): DesiredAsset {
  const url = `https://files.example${path}`;
  return { name, type: "virtual_disk", format, url, id: contentHash(url, 12) };
}

/** NICs on what a session daemon offers without rights on the host: user-mode networking in place of a VLAN. */
export function onUserNetwork(desired: DesiredVirdomain): DesiredVirdomain {
  return { ...desired, nics: desired.nics.map((nic) => ({ ...nic, network: userNetwork(nic.network) })) };
}

function userNetwork({ vlan }: NetworkTarget): NetworkTarget {
  return vlan === 30 ? { network: "vlan30" } : { user: true };
}
