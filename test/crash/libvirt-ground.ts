import { createHash } from "node:crypto";
import { copyFile, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { ensureTinyGuest } from "../../bin/tiny-guest.js";
import { startPrivateLibvirt, type PrivateLibvirt } from "../../src/cli/demo/private-libvirt.ts";
import type { RawVm } from "./fleet.ts";
import type { Ground } from "./rig.ts";

const pool = "crash";
/** VLANs of the manifests' NICs, all of which are on the user-mode network here. */
const vlanOfNic: Readonly<Record<string, number>> = { front: 10, back: 20 };

/** A libvirt daemon with real VMs, which go on when it is killed. Read with virsh alone, not with the product's driver. */
export async function openLibvirtGround(folder: string, images: readonly string[]): Promise<Ground> {
  for (const name of images) await copyFile(ensureTinyGuest(), join(folder, "images", `${name}.img`));
  const daemon = await startPrivateLibvirt();
  await daemon.virsh("pool-define-as", pool, "dir", "--target", daemon.poolDir);
  await daemon.virsh("pool-start", pool);
  await daemon.virsh("pool-autostart", pool);
  return {
    config: {
      libvirt: { uri: daemon.uri, pool, accelerator: "auto" },
      networks: { "*": { user: true } },
    },
    logName: undefined,
    kill: daemon.kill,
    start: daemon.start,
    isBusy: () => isChanging(daemon),
    vms: async () => {
      const uuids = words(await daemon.virsh("-q", "list", "--all", "--uuid"));
      return Promise.all(uuids.map((uuid) => readVm(daemon, uuid)));
    },
    leftovers: () => findLeftovers(daemon),
    surprises: () => [],
    [Symbol.asyncDispose]: () => daemon[Symbol.asyncDispose](),
  };
}

const changing =
  /^(define|undefine|vol-(create|upload|resize|delete).*|start|shutdown|destroy|attach-device|detach-device|blockresize|snapshot-create.*)$/;

/** A process of the product is telling the daemon to change something. */
async function isChanging({ uri }: PrivateLibvirt): Promise<boolean> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
    if (line.startsWith("virsh") && line.includes(uri) && line.split(/\0| /).some((word) => changing.test(word)))
      return true;
  }
  return false;
}

async function readVm({ virsh }: PrivateLibvirt, uuid: string): Promise<RawVm> {
  const definition = await virsh("dumpxml", uuid);
  const config = await virsh("dumpxml", "--inactive", uuid);
  const first = (pattern: RegExp, text = definition): string => pattern.exec(text)?.[1] ?? "";
  const sizes = new Map<string, number>();
  for (const volume of namesOf(definition)) sizes.set(volume, await capacityOf(virsh, volume));
  const disks = [...definition.matchAll(/<disk type='volume' device='disk'[^]*?<\/disk>/g)].map(([text]) => ({
    id: idOf(first(/volume='([^']+)'/, text)),
    volume: first(/volume='([^']+)'/, text),
    boots: text.includes("<boot order='1'/>"),
    slot: first(/<target dev='vd(.)'/, text).charCodeAt(0),
  }));
  const nics = [...definition.matchAll(/<interface[^]*?<\/interface>/g)].map(([text]) =>
    first(/mac address='([^']+)'/, text),
  );
  const owner = first(/<kg:owner ([^>]*)\/>/, config);
  const attribute = (name: string): string => first(new RegExp(`\\b${name}="([^"]*)"`), owner);
  const diskNames = [...config.matchAll(/<kg:disk name="([^"]+)" source="[^"/]+\/([^"]+)"([^>]*)\/>/g)];
  const nicNames = new Map(
    [...config.matchAll(/<kg:nic name="([^"]+)" mac="([^"]+)"/g)].map(([, name, mac]) => [mac, name]),
  );
  const tags = [
    ...[...config.matchAll(/<kg:tag>([^<]*)</g)].map(([, tag]) => tag ?? ""),
    `kg-own:${["instance", "repository", "application", "resource"].map(attribute).join("/")}`,
    ...(config.includes("<kg:building/>") ? ["kg-building"] : []),
    ...diskNames.map(([, name, volume]) => `kg-disk:${name}=${idOf(volume ?? "")}`),
    ...nics.map((mac) => `kg-nic:${nicNames.get(mac)}=${idOf(mac)}`),
  ];
  return {
    uuid,
    name: first(/<name>([^<]*)</),
    state: (await virsh("domstate", uuid)).trim() === "running" ? "RUNNING" : "SHUTOFF",
    mem: Number(first(/<memory unit='KiB'>(\d+)</)) * 1024,
    numVCPU: Number(first(/<vcpu[^>]*>(\d+)</)),
    description: first(/<description>([^<]*)</, config),
    tags: tags.join(","),
    bootDevices: disks.filter(({ boots }) => boots).map(({ id }) => id),
    blockDevs: disks.map(({ id, volume, slot }) => ({
      uuid: id,
      type: "VIRTIO_DISK",
      slot,
      capacity: sizes.get(volume) ?? 0,
    })),
    netDevs: nics.map((mac) => ({ uuid: idOf(mac), vlan: vlanOfNic[nicNames.get(mac) ?? ""] ?? 0 })),
  };
}

function namesOf(definition: string): string[] {
  return [...definition.matchAll(/volume='([^']+\.qcow2)'/g)].map(([, volume]) => volume ?? "");
}

async function capacityOf(virsh: PrivateLibvirt["virsh"], volume: string): Promise<number> {
  const told = await virsh("vol-info", "--bytes", volume, "--pool", pool);
  return Number(/^Capacity:\s+(\d+)/m.exec(told)?.[1]);
}

/** Devices have UUIDs on the platform whose words are used here. */
function idOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 32);
}

/** Volumes of no VM, of a VM that does not use them, and uploads that are not whole. */
async function findLeftovers({ virsh, poolDir }: PrivateLibvirt): Promise<string[]> {
  const uuids = words(await virsh("-q", "list", "--all", "--uuid"));
  const used = (await Promise.all(uuids.map((uuid) => virsh("dumpxml", "--inactive", uuid)))).join("\n");
  const there = await readdir(poolDir);
  const known = (name: string): boolean => {
    if (name.includes("-asset-")) return name.endsWith(".complete") || there.includes(`${name}.complete`);
    return used.includes(name.replace(/\.log\.\d+$/, ".log"));
  };
  return there.filter((name) => !known(name)).map((name) => `volume ${name} was left behind`);
}

function words(text: string): string[] {
  return text.split(/\s+/).filter((word) => word !== "");
}
