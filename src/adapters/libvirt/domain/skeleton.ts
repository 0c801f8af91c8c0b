import type { DesiredVirdomain } from "../../../fleet/desired-state.ts";
import { nvramName, consoleLogName } from "../storage/volume-names.ts";
import type { LibvirtOptions } from "../options.ts";
import { agentChannel } from "./devices.ts";
import { escapeXml, parseXml, tag, type XmlElement } from "./xml.ts";

export interface Skeleton {
  readonly uuid: string;
  readonly desired: DesiredVirdomain;
  readonly emulated: boolean;
  /** Folder of the pool on the host. */
  readonly poolPath: string;
  readonly options: Pick<LibvirtOptions, "instance" | "machine" | "secureBoot" | "consoleLogs">;
}

/** What a VM is born with and keeps: firmware, CPU model, console, agent. Disks, NICs and fields are put in afterwards. */
export function renderSkeleton(skeleton: Skeleton): XmlElement {
  const { uuid, desired, emulated } = skeleton;
  return parseXml(
    [
      `<domain type="${emulated ? "qemu" : "kvm"}"><name>${escapeXml(desired.name)}</name><uuid>${uuid}</uuid>`,
      `<memory unit="KiB">${desired.memoryBytes / 1024}</memory><vcpu>${desired.cpu}</vcpu>`,
      bootXml(skeleton),
      // Without acpi no guest hears a shutdown request.
      `<features><acpi/><apic/>${hasSecureBoot(skeleton) ? '<smm state="on"/>' : ""}</features>`,
      cpuXml(emulated),
      clockXml(desired.os),
      "<on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>restart</on_crash>",
      `<devices>${devicesXml(skeleton)}</devices></domain>`,
    ].join(""),
  );
}

function hasSecureBoot({ desired, options }: Skeleton): boolean {
  return desired.machineType === "tpm" && options.secureBoot;
}

/**
 * libvirt picks the firmware by these features (written out: what it would pick without them depends on the
 * distribution), and copies its variables into the pool, where they are found by the VM's UUID and not by its name.
 */
function bootXml(skeleton: Skeleton): string {
  const { uuid, desired, poolPath, options } = skeleton;
  const type = `${tag("type", { arch: "x86_64", machine: options.machine }).replace("/>", ">")}hvm</type>`;
  if (desired.machineType === "bios") return `<os>${type}</os>`;
  const secure = hasSecureBoot(skeleton);
  const features = [
    tag("feature", { enabled: secure ? "yes" : "no", name: "secure-boot" }),
    ...(secure ? [tag("feature", { enabled: "yes", name: "enrolled-keys" })] : []),
  ];
  const nvram = escapeXml(`${poolPath}/${nvramName(options.instance, uuid)}`);
  return `<os firmware="efi">${type}<firmware>${features.join("")}</firmware><nvram>${nvram}</nvram></os>`;
}

/** `qemu64` boots faster under emulation than `max` (64 s against 96 s for the same guest). */
function cpuXml(emulated: boolean): string {
  return emulated
    ? '<cpu mode="custom" match="exact" check="none"><model fallback="forbid">qemu64</model></cpu>'
    : '<cpu mode="host-passthrough" check="none" migratable="on"/>';
}

/** Windows takes the hardware clock for local time. */
export function clockXml(os: string | undefined): string {
  return tag("clock", { offset: isWindows(os) ? "localtime" : "utc" });
}

export function isWindows(os: string | undefined): boolean {
  return os?.toLowerCase().startsWith("windows") ?? false;
}

function devicesXml({ uuid, desired, poolPath, options }: Skeleton): string {
  const pcie = options.machine === "q35" ? tag("controller", { type: "pci", index: 0, model: "pcie-root" }) : "";
  const log = consoleLogPath(options, poolPath, uuid);
  return [
    pcie,
    tag("controller", { type: "scsi", index: 0, model: "virtio-scsi" }),
    `<serial type="pty">${log === undefined ? "" : tag("log", { file: log, append: "on" })}<target port="0"/></serial>`,
    `<channel type="unix">${tag("target", { type: "virtio", name: agentChannel })}</channel>`,
    ...(desired.machineType === "tpm" ? ['<tpm model="tpm-crb"><backend type="emulator" version="2.0"/></tpm>'] : []),
    // A screen for people, on the host itself only.
    '<graphics type="vnc" port="-1" autoport="yes" listen="127.0.0.1"/><video><model type="vga"/></video>',
    '<input type="tablet" bus="usb"/>',
    '<rng model="virtio"><backend model="random">/dev/urandom</backend></rng>',
  ].join("");
}

function consoleLogPath(
  { consoleLogs, instance }: Skeleton["options"],
  poolPath: string,
  uuid: string,
): string | undefined {
  if (consoleLogs === "off") return undefined;
  return `${consoleLogs === "pool" ? poolPath : consoleLogs}/${consoleLogName(instance, uuid)}`;
}
