import type { ChangeKind, PlatformTraits } from "../../plan/live-state.ts";

/** What QEMU cannot do to a running guest, or not without a restart (measured on libvirt 9.0 with QEMU 7.2). */
const rebootFor: ReadonlySet<ChangeKind> = new Set<ChangeKind>([
  "name",
  "os",
  "cpu",
  "memory",
  "machine-type",
  "boot-order",
  "disk-replace",
  "ide-disk-add",
  "disk-type",
  "cdrom-add",
  "cdrom-remove",
  "nic-type",
  // "No more available PCI slots" is what q35 says to an e1000 while it runs.
  "legacy-nic-add",
]);

/** A device leaves a running VM only if the guest lets go of it. */
const mayRebootFor: ReadonlySet<ChangeKind> = new Set<ChangeKind>(["disk-remove", "nic-remove"]);

export const libvirtTraits: PlatformTraits = {
  driver: "libvirt",
  rebootFor,
  mayRebootFor,
  snapshots: true,
  cloudInit: true,
  events: true,
};
