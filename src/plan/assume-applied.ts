import { type DesiredVirdomain, identityKey } from "../fleet/desired-state.ts";
import { isProtected } from "./diff-virdomain.ts";
import type { LiveVirdomain } from "./live-state.ts";

/**
 * The live state a VM would have had this desired state been applied: lets git be compared with git by the very
 * function that compares git with a cluster.
 */
export function assumeApplied(
  desired: DesiredVirdomain,
  instance: string,
  revision: string | undefined,
): LiveVirdomain {
  return {
    id: identityKey(desired.identity),
    name: desired.name,
    description: desired.description,
    os: desired.os,
    cpu: desired.cpu,
    memoryBytes: desired.memoryBytes,
    machineType: desired.machineType,
    power: desired.state,
    tags: desired.tags,
    disks: desired.disks.map((disk) => ({
      id: disk.name,
      name: disk.name,
      type: disk.type,
      capacityBytes: disk.capacityBytes ?? 0,
      assetId: disk.asset?.id,
      boot: disk.boot,
    })),
    nics: desired.nics.map((nic) => ({
      id: nic.name,
      name: nic.name,
      type: nic.type,
      network: nic.network,
      connected: true,
      addresses: [],
    })),
    mark: {
      instance,
      identity: desired.identity,
      deployment: desired.deployment,
      revision,
      cloudInitHash: desired.cloudInit?.hash,
      building: false,
      protected: isProtected(desired),
    },
    clone: false,
    replica: false,
    busy: false,
    guestAgent: false,
  };
}
