import { mkdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { DesiredVirdomain } from "../../../src/fleet/desired-state.ts";
import { blankDisk, cloudInit, desiredVm, imageDisk, markOf, MiB } from "../../support/desired-vm.ts";
import { instance, type LibvirtLab, onUserNetwork, openLibvirtLab } from "../../support/libvirt-lab.ts";
import { type BenchRow, repeat, spread } from "../bench-row.ts";
import { bareLibvirt } from "../support/bare-libvirt.ts";
import { memoryMB, watched } from "../support/memory.ts";

const freeContext = {
  signal: new AbortController().signal,
  stop: new AbortController().signal,
  beforeChange() {},
  progress() {},
};

/** Live state costs what every plan costs. */
export const libvirtRead: BenchRow = {
  name: "libvirt-read",
  measures:
    "Reading 200 VMs of two disks each, made by the driver itself, from a libvirt daemon on this machine: definitions, marks, " +
    "power and disk sizes, parsed. VMs are off.",
  async run() {
    await using lab = await openLibvirtLab();
    const first = await create(lab, "vm-0");
    await multiply(lab, first, 199);
    const read = async (): Promise<void> => {
      const { virdomains } = await lab.driver.readLiveState(AbortSignal.timeout(60_000));
      if (virdomains.length !== 200) throw new Error(`${virdomains.length} VMs were read`);
    };
    const sorted = await repeat(7, read);
    return [{ what: "200 VMs", value: sorted[3] ?? Number.NaN, unit: "ms", aim: 1_000, note: spread(sorted) }];
  },
};

/** Copies the definition of one VM under other names and UUIDs, with volumes of their own. */
async function multiply(lab: LibvirtLab, id: string, times: number): Promise<void> {
  const { virsh } = lab.daemon;
  const definition = await virsh("dumpxml", "--inactive", id);
  const volumes = [...definition.matchAll(/volume='([^']+qcow2)'/g)].map(([, volume]) => volume ?? "");
  for (let copy = 1; copy <= times; copy += 1) {
    const uuid = crypto.randomUUID();
    const text = definition.replaceAll(id, uuid).replace("<name>vm-0</name>", `<name>vm-${copy}</name>`);
    const file = join(lab.folder, "copy.xml");
    await writeFile(file, text);
    const made = volumes.map((volume) => `vol-create-as lab ${volume.replaceAll(id, uuid)} 1MiB --format qcow2`);
    await virsh([...made, `define ${file}`].join("; "));
  }
}

/** The driver beside what a person would script. */
export const libvirtCreate: BenchRow = {
  name: "libvirt-create",
  measures:
    "20 VMs brought into being and started, four at a time, on a libvirt daemon on this machine: a copied and enlarged image (24 MiB, which " +
    "no guest boots from, so that emulated processors do not stand in the way), an empty disk, a cloud-init seed, definition, start. By the driver (upload of the image, ownership, leftovers and reading back " +
    "included), and by a script of `qemu-img`, `xorriso` and `virsh` that writes straight into the pool's folder. In turn, best of two each.",
  async run() {
    const driver: number[] = [];
    const script: number[] = [];
    for (let turn = 0; turn < 2; turn += 1) {
      driver.push(await seconds(byDriver));
      script.push(await seconds(byScript));
    }
    const [ours, theirs] = [Math.min(...driver), Math.min(...script)];
    return [
      { what: "driver", value: ours, unit: "s", aim: undefined, note: all(driver) },
      { what: "script", value: theirs, unit: "s", aim: undefined, note: all(script) },
      { what: "driver / script", value: ours / theirs, unit: "x", aim: 1.3, note: "" },
    ];
  },
};

const names = Array.from({ length: 20 }, (_, index) => `vm-${index}`);
const atOnce = 4;
const imageBytes = 24 * MiB;

async function seconds(work: (lab: LibvirtLab) => Promise<void>): Promise<number> {
  await using lab = await openLibvirtLab({ accelerator: "tcg", timeouts: {} });
  const began = performance.now();
  await work(lab);
  return (performance.now() - began) / 1_000;
}

async function byDriver(lab: LibvirtLab): Promise<void> {
  const waiting = [...names];
  const worker = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift())
      await lab.driver.start(await create(lab, name), freeContext);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

async function byScript(lab: LibvirtLab): Promise<void> {
  const folder = join(lab.folder, "script");
  await mkdir(folder);
  await lab.image("noise", imageBytes);
  await bareLibvirt(lab.daemon, join(lab.folder, "images", "noise.img"), folder, names, atOnce);
}

async function create(lab: LibvirtLab, name: string): Promise<string> {
  const desired: DesiredVirdomain = onUserNetwork(
    desiredVm(name, {
      cpu: 1,
      memoryBytes: 64 * MiB,
      disks: [
        imageDisk("root", await lab.image("noise", imageBytes), { capacityBytes: 1024 * MiB }),
        blankDisk("data", 1024 * MiB),
      ],
      cloudInit: cloudInit(`#cloud-config\n# ${name}\n`),
    }),
  );
  return (await lab.driver.create(desired, markOf(desired, instance), freeContext)).id;
}

function all(values: readonly number[]): string {
  return values.map((value) => `${value.toFixed(1)} s`).join(", ");
}

const largeBytes = 4 * 2 ** 30;

/** Memory must not grow with the image. */
export const libvirtUpload: BenchRow = {
  name: "libvirt-upload",
  measures:
    "An image of 4 GiB, a quarter of it data, uploaded into a pool of a libvirt daemon on this machine. Peak of our resident memory over " +
    "what it was before; the bytes go through virsh, a process of its own.",
  async run() {
    await using lab = await openLibvirtLab();
    const path = join(lab.folder, "large.img");
    await writeFile(path, Buffer.alloc(2 ** 30, "kraken"));
    await truncate(path, largeBytes);
    const disk = imageDisk("root", lab.asset("large", path, "raw"));
    await lab.driver.readLiveState(AbortSignal.timeout(10_000));
    const before = await memoryMB("VmRSS");
    const { grownMB, seconds: took, note } = await watched(before, () => lab.driver.prepare([disk], freeContext));
    return [
      { what: "memory", value: grownMB, unit: "MB", aim: 64, note },
      { what: "time", value: took, unit: "s", aim: undefined, note: "hashing the file included" },
    ];
  },
};
