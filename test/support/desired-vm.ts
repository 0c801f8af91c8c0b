import type { DesiredAsset, DesiredDisk, DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import { contentHash } from "../../src/lib/canonical-json.ts";
import { defaultPolicy } from "../../src/manifest/document.ts";
import type { OwnershipMark } from "../../src/plan/live-state.ts";
import type { ChangeContext } from "../../src/ports/hypervisor.ts";

export const MiB = 1024 * 1024;

/** A VM as planning hands it to a driver; small, and complete. */
export function desiredVm(name: string, overrides: Partial<DesiredVirdomain> = {}): DesiredVirdomain {
  return {
    identity: { repository: "fleet", application: "shop", resource: name, ordinal: 0 },
    deployment: undefined,
    formerIdentities: [],
    name,
    description: `the ${name} of the shop`,
    os: undefined,
    cpu: 2,
    memoryBytes: 512 * MiB,
    machineType: "bios",
    state: "running",
    tags: ["tier:web", "role:front"],
    disks: [],
    nics: [{ name: "lan", type: "virtio", network: { vlan: 0 } }],
    cloudInit: undefined,
    step: 0,
    readiness: undefined,
    policy: defaultPolicy,
    position: { file: "shop.yaml", line: 1, column: 1 },
    ...overrides,
  };
}

export function blankDisk(name: string, capacityBytes: number, overrides: Partial<DesiredDisk> = {}): DesiredDisk {
  return { name, type: "virtio_disk", asset: undefined, capacityBytes, boot: undefined, ...overrides };
}

export function imageDisk(name: string, asset: DesiredAsset, overrides: Partial<DesiredDisk> = {}): DesiredDisk {
  return { name, type: "virtio_disk", asset, capacityBytes: undefined, boot: 1, ...overrides };
}

export function cdrom(name: string, asset: DesiredAsset | undefined): DesiredDisk {
  return { name, type: "ide_cdrom", asset, capacityBytes: undefined, boot: undefined };
}

export function cloudInit(userData: string) {
  return { userData, metaData: "instance-id: one\n", hash: contentHash(userData) };
}

export const revision = "1f3a5b7c9d1f3a5b7c9d1f3a5b7c9d1f3a5b7c9d";

export function markOf(
  desired: DesiredVirdomain,
  instance: string,
  overrides: Partial<OwnershipMark> = {},
): OwnershipMark {
  return {
    instance,
    identity: desired.identity,
    deployment: desired.deployment,
    revision,
    cloudInitHash: desired.cloudInit?.hash,
    building: false,
    protected: false,
    ...overrides,
  };
}

/** Nobody else decides about VMs in quarantine. */
export const freeLease = () =>
  Promise.resolve({ token: 1, renew: () => Promise.resolve(true), release: () => Promise.resolve() });

/** A context that lets everything happen; `changes()` tells how often something was about to be changed. */
export function freeContext(
  limitMs = 25_000,
): ChangeContext & { readonly changes: () => number; readonly lines: string[] } {
  let changes = 0;
  const lines: string[] = [];
  return {
    signal: AbortSignal.timeout(limitMs),
    stop: new AbortController().signal,
    beforeChange: () => {
      changes += 1;
    },
    progress: (text) => {
      lines.push(text);
    },
    changes: () => changes,
    lines,
  };
}

/** Works as a process that dies right before its n-th change; false when there were not so many. */
export async function dyingAt(change: number, work: (context: ChangeContext) => Promise<unknown>): Promise<boolean> {
  const death = new Error("the process died here");
  let count = 0;
  const beforeChange = (): void => {
    count += 1;
    if (count >= change) throw death;
  };
  try {
    await work({ ...freeContext(60_000), beforeChange });
    return false;
  } catch (error) {
    if (error === death) return true;
    throw error;
  }
}
