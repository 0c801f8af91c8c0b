import type { DesiredState, DesiredVirdomain, Target } from "../../src/fleet/desired-state.ts";
import { targetKey } from "../../src/fleet/desired-state.ts";
import { contentHash } from "../../src/lib/canonical-json.ts";
import { defaultPolicy } from "../../src/manifest/document.ts";
import { assumeApplied } from "../../src/plan/assume-applied.ts";
import type { PlanInput } from "../../src/plan/build-plan.ts";
import { type LiveVirdomain, type PlatformTraits, toLiveState } from "../../src/plan/live-state.ts";

export const gibibyte = 1024 ** 3;

/** Traits with one change of each cost, so that tables can tell them apart. */
export const traits: PlatformTraits = {
  driver: "hypercore",
  rebootFor: new Set([
    "cpu",
    "memory",
    "boot-order",
    "nic-add",
    "legacy-nic-add",
    "nic-remove",
    "nic-network",
    "nic-type",
    "disk-replace",
    "disk-type",
    "cdrom-add",
    "cdrom-remove",
  ]),
  mayRebootFor: new Set(["disk-remove"]),
  snapshots: true,
  cloudInit: false,
  events: false,
};

/** A desired VM with one system disk and one NIC; `changes` replaces what a case is about. */
export function desiredVirdomain(
  changes: Partial<DesiredVirdomain> & { readonly resource?: string } = {},
): DesiredVirdomain {
  const { resource = "web", ...rest } = changes;
  return {
    identity: { repository: "fleet", application: "shop", resource, ordinal: 0 },
    deployment: undefined,
    formerIdentities: [],
    name: resource,
    description: "a web server",
    os: undefined,
    cpu: 2,
    memoryBytes: 2 * gibibyte,
    machineType: "uefi",
    state: "running",
    tags: ["tier:web"],
    disks: [
      {
        name: "system",
        type: "virtio_disk",
        asset: {
          name: "ubuntu",
          type: "virtual_disk",
          format: "raw",
          url: "https://images.example/ubuntu.img",
          id: "a1b2c3d4e5f6",
        },
        capacityBytes: 30 * gibibyte,
        boot: 1,
      },
    ],
    nics: [{ name: "net", type: "virtio", network: { vlan: 20 } }],
    cloudInit: { userData: "#cloud-config\n", metaData: "", hash: "0123456789abcdef" },
    step: 0,
    readiness: undefined,
    policy: defaultPolicy,
    position: { file: "shop.yaml", line: 10, column: 7 },
    ...rest,
  };
}

/** The live VM that applying `desired` would have made, with an id. */
export function liveVirdomain(desired: DesiredVirdomain, changes: Partial<LiveVirdomain> = {}): LiveVirdomain {
  return { ...assumeApplied(desired, "edge", "f".repeat(40)), id: `uuid-${desired.name}`, ...changes };
}

export function target(cluster: string, virdomains: readonly DesiredVirdomain[], application = "shop"): Target {
  return { cluster, application, deployment: undefined, virdomains, hash: contentHash(virdomains) };
}

export function desiredState(targets: readonly Target[], changes: Partial<DesiredState> = {}): DesiredState {
  return {
    repository: "fleet",
    targets: new Map(targets.map((each) => [targetKey(each), each])),
    problems: [],
    brokenApplications: new Set(),
    complete: true,
    undeployed: new Set(),
    ...changes,
  };
}

/** What a plan of the one cluster `lab` rests on; `more` replaces what a case is about. */
export function planInput(
  desired: DesiredState,
  live: readonly LiveVirdomain[],
  more: Partial<PlanInput> = {},
): PlanInput {
  return {
    instance: "edge",
    revision: "b".repeat(40),
    baseRevision: undefined,
    desired,
    base: undefined,
    live: new Map([["lab", { state: toLiveState("lab", live), traits }]]),
    held: [],
    traitsOfHeld: new Map(),
    enforced: new Set(),
    scope: undefined,
    rewritten: false,
    approvals: new Set(),
    offline: false,
    ...more,
  };
}
