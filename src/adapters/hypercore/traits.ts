import type { ChangeKind, PlatformTraits } from "../../plan/live-state.ts";

/**
 * What HyperCore asks a VM to be off for. Where the vendor's documents and clients disagree (boot order, NIC settings)
 * the stricter reading is taken.
 */
const rebootFor: ReadonlySet<ChangeKind> = new Set<ChangeKind>([
  "cpu",
  "memory",
  "machine-type",
  "boot-order",
  "disk-replace",
  "disk-type",
  "cdrom-add",
  "cdrom-remove",
  "nic-add",
  "legacy-nic-add",
  "nic-remove",
  "nic-network",
  "nic-type",
]);

/** A disk leaves a running VM only if the guest lets go of it. */
const mayRebootFor: ReadonlySet<ChangeKind> = new Set<ChangeKind>(["disk-remove"]);

export const hypercoreTraits: PlatformTraits = {
  driver: "hypercore",
  rebootFor,
  mayRebootFor,
  snapshots: true,
  cloudInit: false,
  events: false,
};
