import { execFile } from "node:child_process";
import { chown, copyFile, mkdtemp, readFile, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensureTinyGuest } from "../../bin/tiny-guest.js";
import { type PrivateLibvirt, startPrivateLibvirt } from "../../src/cli/demo/private-libvirt.ts";
import { waitFor } from "../support/wait-for.ts";

const run = promisify(execFile);
/** Emulated machines on a computer that may be busy: a limit only ends what will never come. */
const limitMs = 600_000;
const mib = 2 ** 20;

/** A domain, and the file in which its serial console is logged over all its lives. */
interface Guest {
  readonly name: string;
  readonly console: string;
}

let daemon: PrivateLibvirt;
beforeEach(async () => {
  daemon = await startPrivateLibvirt();
}, limitMs);
afterEach(() => daemon[Symbol.asyncDispose](), limitMs);

/** Makes a file one of the daemon's user, so that QEMU may write it. */
async function give(file: string): Promise<string> {
  const { uid, gid } = await stat(daemon.poolDir);
  await chown(file, uid, gid);
  return file;
}

async function makeSeed(name: string, instance: string, userData: readonly string[]): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "seed-"));
  const iso = join(daemon.poolDir, `${name}.iso`);
  await rm(iso, { force: true });
  await writeFile(join(folder, "user-data"), userData.map((line) => `${line}\n`).join(""));
  await writeFile(join(folder, "meta-data"), `instance-id: ${instance}\nlocal-hostname: ${name}\n`);
  await run("xorriso", ["-as", "mkisofs", "-V", "cidata", "-J", "-r", "-o", iso, folder]);
  await rm(folder, { recursive: true });
  return give(iso);
}

async function makeBlank(name: string, bytes: number): Promise<string> {
  const file = join(daemon.poolDir, name);
  await writeFile(file, "");
  await truncate(file, bytes);
  return give(file);
}

function disk(file: string, target: string, serial: string): string {
  return `<disk type='file' device='disk'><driver name='qemu' type='raw'/><source file='${file}'/>
    <target dev='${target}' bus='virtio'/><serial>${serial}</serial></disk>`;
}

function cdrom(file: string | undefined, target: string, bus: "sata" | "scsi"): string {
  const source = file === undefined ? "" : `<source file='${file}'/>`;
  const address = bus === "scsi" ? "<address type='drive' controller='0' bus='0' target='0' unit='0'/>" : "";
  return `<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>${source}
    <target dev='${target}' bus='${bus}'/><readonly/>${address}</disk>`;
}

function nic(mac: string, model: string): string {
  return `<interface type='user'><mac address='${mac}'/><model type='${model}'/></interface>`;
}

/** Emulated, as KVM is not to be had everywhere; with free ports, as devices are plugged in. */
async function boot(name: string, os: string, memoryMib: number, devices: readonly string[]): Promise<Guest> {
  const image = join(daemon.poolDir, `${name}.raw`);
  await copyFile(ensureTinyGuest(), image);
  await give(image);
  const console = join(daemon.poolDir, `${name}-console.log`);
  const definition = join(daemon.poolDir, `${name}.xml`);
  await writeFile(
    definition,
    `<domain type='qemu'><name>${name}</name><memory unit='MiB'>${memoryMib}</memory><vcpu current='1'>2</vcpu>
      ${os}<features><acpi/><apic/></features><cpu mode='custom'><model>qemu64</model></cpu>
      <devices>
        <controller type='pci' index='0' model='pcie-root'/>
        ${"<controller type='pci' model='pcie-root-port'/>".repeat(14)}
        <controller type='scsi' index='0' model='virtio-scsi'/>
        ${disk(image, "vda", "root")}${devices.join("")}
        <serial type='pty'><log file='${console}' append='on'/></serial>
        <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
      </devices></domain>`,
  );
  await daemon.virsh("define", "--validate", definition);
  await daemon.virsh("start", name);
  return { name, console };
}

/** What a guest says from `from` on, once it has said `pattern`. */
async function heard(guest: Guest, pattern: RegExp, from = 0): Promise<string[]> {
  const said = async (): Promise<string> => {
    const text = await readFile(guest.console, "utf8").catch(() => "");
    return text.replaceAll("\r", "").slice(from);
  };
  await waitFor(async () => pattern.test(await said()) || undefined, {
    what: `${pattern} on the console of ${guest.name}`,
    timeoutMs: limitMs,
    describe: said,
  });
  return (await said()).split("\n");
}

async function saidSoFar(guest: Guest): Promise<number> {
  return (await heard(guest, /^/)).join("\n").length;
}

async function untilAgent(guest: Guest): Promise<void> {
  const connected = /<target type='virtio' name='org.qemu.guest_agent.0' state='connected'\/>/;
  await waitFor(async () => connected.test(await daemon.virsh("dumpxml", guest.name)) || undefined, {
    what: `the guest agent of ${guest.name}`,
    timeoutMs: limitMs,
  });
}

async function askAgent(guest: Guest, execute: string, args: object = {}): Promise<unknown> {
  const answer = await daemon.virsh("qemu-agent-command", guest.name, JSON.stringify({ execute, arguments: args }));
  return (JSON.parse(answer) as { readonly return: unknown }).return;
}

async function attach(guest: Guest, device: string): Promise<void> {
  const file = join(daemon.poolDir, `${crypto.randomUUID()}.xml`);
  await writeFile(file, device);
  await daemon.virsh("attach-device", guest.name, file, "--live");
}

async function untilOff(guest: Guest): Promise<string> {
  return waitFor(
    async () => {
      const state = (await daemon.virsh("domstate", guest.name, "--reason")).trim();
      return state.startsWith("shut off") ? state : undefined;
    },
    { what: `the end of ${guest.name}`, timeoutMs: limitMs },
  );
}

describe("the tiny guest", { timeout: limitMs }, () => {
  it("finds its way around a machine with BIOS", async () => {
    const mac = "52:54:00:00:00:01";
    const userData = ["#cloud-config", "#tiny: write data-1 hello", "packages: [nginx]"];
    const dataFile = await makeBlank("data-1.raw", 8 * mib);
    const guest = await boot("web-1", "<os><type arch='x86_64' machine='q35'>hvm</type></os>", 128, [
      disk(dataFile, "vdb", "data-1"),
      disk(await makeBlank("data-2.raw", 4 * mib), "vdc", "data-2"),
      cdrom(await makeSeed("web-1", "i-1", userData), "sdz", "scsi"),
      cdrom(undefined, "sda", "sata"),
      nic(mac, "virtio"),
    ]);

    // The seed, the disks, the hardware.
    const said = await heard(guest, /^tiny: hardware .*\n/m);
    expect(said).toContain("tiny: booted hostname=web-1 instance-id=i-1 firmware=bios tpm=no");
    for (const line of userData) expect(said).toContain(`tiny: user-data: ${line}`);
    expect(said).toContain("tiny: meta-data: instance-id: i-1");
    expect(said).toContain("tiny: meta-data: local-hostname: web-1");
    expect(said).toContain("tiny: content data-1 hello");
    expect(said).toContain("tiny: content data-2 ");
    const rootBytes = (await stat(ensureTinyGuest())).size;
    const disks = `vda:${rootBytes}:root,vdb:${8 * mib}:data-1,vdc:${4 * mib}:data-2`;
    const hardware = said.find((line) => line.startsWith("tiny: hardware")) ?? "";
    expect(hardware).toContain(`tiny: hardware cpus=1 memory-mib=128 disks=${disks} nics=${mac} cdroms=`);
    // Which drive is found first is the kernel's choice.
    const [seedDrive, emptyDrive] = hardware.includes("sr0:cidata") ? ["sr0", "sr1"] : ["sr1", "sr0"];
    expect(hardware).toContain(`${seedDrive}:cidata`);
    expect(hardware).toMatch(new RegExp(`${emptyDrive}:(,|$)`));

    // The agent.
    await untilAgent(guest);
    expect(await askAgent(guest, "guest-ping")).toEqual({});
    await heard(guest, /^tiny: address eth0 10\.0\.2\.15$/m);
    const nics = (await askAgent(guest, "guest-network-get-interfaces")) as readonly { readonly name: string }[];
    expect(nics.map(({ name }) => name)).toContain("eth0");
    expect(await daemon.virsh("domifaddr", guest.name, "--source", "agent")).toMatch(
      new RegExp(`eth0 +${mac} +ipv4 +10\\.0\\.2\\.15/24`),
    );
    const handle = await askAgent(guest, "guest-file-open", { path: "/run/cloud-init/result.json", mode: "r" });
    const read = (await askAgent(guest, "guest-file-read", { handle })) as { readonly "buf-b64": string };
    await askAgent(guest, "guest-file-close", { handle });
    expect(JSON.parse(Buffer.from(read["buf-b64"], "base64").toString())).toEqual({
      v1: { datasource: `DataSourceNoCloud [seed=/dev/${seedDrive}]`, errors: [] },
    });

    // Its web server, through a port that QEMU forwards.
    await daemon.virsh("qemu-monitor-command", guest.name, "--hmp", "hostfwd_add hostnet0 tcp:127.0.0.1:0-:8080");
    const forwards = await daemon.virsh("qemu-monitor-command", guest.name, "--hmp", "info usernet");
    const port = /HOST_FORWARD\S*\s+\d+\s+127\.0\.0\.1\s+(\d+)/.exec(forwards)?.[1];
    const response = await fetch(`http://127.0.0.1:${port}/`);
    expect(response.status).toBe(200);
    expect(await response.text()).toContain("web-1");

    // What changes while it runs.
    await daemon.virsh("setvcpus", guest.name, "2", "--live");
    await heard(guest, /^tiny: hardware cpus=2 /m);
    await daemon.virsh("blockresize", guest.name, "vdc", "6MiB");
    await heard(guest, new RegExp(`^tiny: hardware .*,vdc:${6 * mib}:data-2 `, "m"));
    await attach(guest, disk(await makeBlank("data-3.raw", mib), "vdd", "data-3"));
    await heard(guest, new RegExp(`^tiny: hardware .*,vdd:${mib}:data-3 `, "m"));
    await attach(guest, nic("52:54:00:00:00:02", "virtio"));
    await heard(guest, /^tiny: hardware .* nics=52:54:00:00:00:01,52:54:00:00:00:02 /m);
    await heard(guest, /^tiny: address eth1 10\.0\.2\.15$/m);
    const medium = await makeSeed("another", "i-2", []);
    await daemon.virsh("change-media", guest.name, "sda", medium, "--insert", "--live");
    await heard(guest, /^tiny: hardware .* cdroms=sr0:cidata,sr1:cidata$/m);
    const before = await saidSoFar(guest);
    await daemon.virsh("change-media", guest.name, "sda", "--eject", "--live");
    await heard(guest, new RegExp(`^tiny: hardware .*${emptyDrive}:(,|$)`, "m"), before);

    // The power button.
    await daemon.virsh("shutdown", guest.name, "--mode", "acpi");
    expect(await untilOff(guest)).toBe("shut off (shutdown)");
    await heard(guest, /^tiny: power button$/m);

    // The same instance again: its disks are not written to once more, and it does not listen to the button.
    await makeSeed("web-1", "i-1", ["#tiny: write data-1 again", "#tiny: ignore-acpi"]);
    await makeBlank("data-1.raw", 8 * mib);
    const secondLife = await saidSoFar(guest);
    await daemon.virsh("start", guest.name);
    expect(await heard(guest, /^tiny: hardware .*\n/m, secondLife)).toContain("tiny: content data-1 ");
    await daemon.virsh("shutdown", guest.name, "--mode", "acpi");
    await heard(guest, /^tiny: power button, ignored$/m, secondLife);
    expect(await daemon.virsh("domstate", guest.name)).toContain("running");
  });

  it("boots with UEFI beside a TPM, from a seed on SATA, and ends when its agent is asked to", async () => {
    const uefi = `<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type>
      <firmware><feature enabled='no' name='secure-boot'/></firmware></os>`;
    const guest = await boot("db-1", uefi, 256, [
      cdrom(await makeSeed("db-1", "i-3", ["hello"]), "sda", "sata"),
      nic("52:54:00:00:00:03", "e1000"),
      "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>",
    ]);
    const said = await heard(guest, /^tiny: hardware .*\n/m);
    expect(said).toContain("tiny: booted hostname=db-1 instance-id=i-3 firmware=uefi tpm=yes");
    expect(said).toContain("tiny: user-data: hello");
    expect(said.join("\n")).toMatch(/^tiny: hardware cpus=1 memory-mib=256 /m);
    await heard(guest, /^tiny: address eth0 10\.0\.2\.15$/m);
    await untilAgent(guest);
    await daemon.virsh("shutdown", guest.name, "--mode", "agent");
    expect(await untilOff(guest)).toBe("shut off (shutdown)");
    await heard(guest, /^tiny: power button, pressed by the guest agent/m);
  });
});
