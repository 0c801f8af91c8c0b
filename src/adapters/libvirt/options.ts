import type { NetworkTarget } from "../../fleet/cluster.ts";
import type { LibvirtConfig } from "../../config/config.ts";
import type { AssetStore } from "../../ports/asset-store.ts";
import type { Exclusive } from "../../ports/exclusive.ts";

/** How to reach one libvirt host, how VMs are made on it, and as whom. */
export interface LibvirtOptions extends LibvirtConfig {
  readonly cluster: string;
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
