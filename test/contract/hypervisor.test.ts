import { describe } from "vitest";
import { MiB } from "../support/desired-vm.ts";
import { instance, openHypercoreLab } from "../support/hypercore-lab.ts";
import type { HypervisorBench } from "../support/hypervisor-bench.ts";
import { hypervisorContract } from "./hypervisor.contract.ts";

async function hypercoreBench(icosVersion: string): Promise<HypervisorBench> {
  const lab = await openHypercoreLab({ icosVersion });
  return {
    driver: lab.driver,
    instance,
    adapt: (desired) => desired,
    image: async (name) => lab.image(name),
    iso: async (name) => lab.iso(name),
    guest: async () => lab.image("guest"),
    untilBooted: () => Promise.resolve(),
    cloneByHand: async (live, name) => {
      const reply = (await lab.admin("POST", `VirDomain/${live.id}/clone`, { template: { name } })) as {
        createdUUID: string;
      };
      return reply.createdUUID;
    },
    createByHand: async (name) => {
      const dom = {
        name,
        description: "made by hand",
        mem: 512 * MiB,
        numVCPU: 1,
        tags: "by-hand",
        operatingSystem: "os_other",
        blockDevs: [{ type: "VIRTIO_DISK", capacity: 4 * MiB }],
        netDevs: [{ type: "VIRTIO", vlan: 0 }],
        bootDevices: [],
      };
      const options = { attachGuestToolsISO: false, machineTypeKeyword: "bios" };
      const reply = (await lab.admin("POST", "VirDomain", { dom, options })) as { createdUUID: string };
      return reply.createdUUID;
    },
    rawTags: async (id) => (await lab.rawVm(id)).tags.split(","),
    ignoreShutdown: async (name) => {
      await lab.control("POST", "virdomains", { name: `^${name}$`, ignoresShutdown: true });
    },
    snapshots: async () =>
      (await lab.snapshots()).map((snapshot) => ({
        id: snapshot.uuid,
        virdomainId: snapshot.domainUUID,
        label: snapshot.label,
        replicated: snapshot.replication,
        expiresAtMs: snapshot.localRetainUntilTimestamp * 1000,
      })),
    snapshotByHand: async (domainUUID, label, expiresAtMs) => {
      const body = {
        domainUUID,
        label,
        type: "USER",
        automatedTriggerTimestamp: 0,
        localRetainUntilTimestamp: Math.round(expiresAtMs / 1000),
        remoteRetainUntilTimestamp: 0,
        blockCountDiffFromSerialNumber: -1,
        replication: true,
      };
      // People let their snapshots replicate; ours never do.
      const reply = await lab.admin("POST", "VirDomainSnapshot", body, "unchecked");
      return (reply as { createdUUID: string }).createdUUID;
    },
    [Symbol.asyncDispose]: async () => lab[Symbol.asyncDispose](),
  };
}

// Marks are kept in tags by the first, in labels by the second, which also answers a 400 in plain text.
describe.each(["9.6.27.225000", "9.8.2.231000"])("HyperCore %s", (icosVersion) => {
  hypervisorContract(() => hypercoreBench(icosVersion));
});
