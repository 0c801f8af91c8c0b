import type { NetworkTarget } from "../../fleet/cluster.ts";
import type { AssetStore } from "../../ports/asset-store.ts";
import type { Exclusive } from "../../ports/exclusive.ts";

/** How to reach one libvirt host, and how VMs are made on it. */
export interface LibvirtOptions {
  readonly cluster: string;
  /** Connection URI as `virsh -c` takes it: `qemu:///system`, `qemu+ssh://root@host/system`, ... */
  readonly uri: string;
  /** Storage pool of type dir (or another file-based one) for everything this driver stores. */
  readonly pool: string;
  readonly machine: "q35" | "pc";
  /** `kvm` is required; `auto` falls back to emulation with a warning; `tcg` always emulates. */
  readonly accelerator: "kvm" | "auto" | "tcg";
  /** Whether a VM's disks are full copies of their image or qcow2 overlays on it. */
  readonly disks: "copy" | "overlay";
  /** CPUs a running VM can be given without a restart; undefined for none beyond its own. */
  readonly maxCpus: number | undefined;
  /** Machine type `tpm` boots with Secure Boot. */
  readonly secureBoot: boolean;
  /** Bus of the cloud-init CD-ROM. Windows gets `sata` in any case: it has no driver for virtio-scsi at first. */
  readonly seedBus: "scsi" | "sata";
  /** Where serial consoles are logged: `pool`, `off`, or a folder on the host. */
  readonly consoleLogs: string;
  /** Where NICs may go by configuration; `check` looks whether it is there. */
  readonly networks?: readonly NetworkTarget[];
  /** Our instance id: part of every mark and of every volume's name. */
  readonly instance: string;
  /** Folder for seeds while they are being made; they hold guest secrets. */
  readonly workDir: string;
  readonly assets: AssetStore;
  /** Keeps other processes from uploading the same image at the same time. Left out: there are none. */
  readonly exclusive?: Exclusive;
  readonly timeouts?: Partial<LibvirtTimeouts>;
  readonly log?: Log;
}

export type Log = (
  level: "debug" | "info" | "warn" | "error",
  fields: Readonly<Record<string, unknown>>,
  message: string,
) => void;

/** Every limit of the driver, in milliseconds. Tests shorten them; operators rarely need to. */
export interface LibvirtTimeouts {
  /** One virsh call that reads or changes a definition. */
  readonly callMs: number;
  /** Copying, converting or uploading an image. */
  readonly transferMs: number;
  /** Start of a VM: QEMU and swtpm come up, and the host may be busy. */
  readonly startMs: number;
  /** From `destroy` until the VM is off. */
  readonly stopMs: number;
  /** A guest still running this long after the shutdown request is asked once more: a booting guest loses the first. */
  readonly resendMs: number;
  /** How long a guest may hold on to a device that is taken from it. */
  readonly detachMs: number;
  /** How long a VM or volume somebody else works on is waited for. */
  readonly busyMs: number;
  /** How long what is known of the host (pool, accelerator) counts: operations begun together share one look. */
  readonly hostMs: number;
}

export const defaultTimeouts: LibvirtTimeouts = {
  callMs: 30_000,
  transferMs: 4 * 3_600_000,
  startMs: 120_000,
  stopMs: 60_000,
  // A press of the power button during firmware and boot loader is lost (libvirt field notes).
  resendMs: 10_000,
  detachMs: 10_000,
  busyMs: 60_000,
  hostMs: 3_000,
};
