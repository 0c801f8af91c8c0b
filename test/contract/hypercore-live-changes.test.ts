import { expect, it } from "vitest";
import { applyOperation } from "../../src/app/operation/apply-operation.ts";
import type { DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import { contentHash } from "../../src/lib/canonical-json.ts";
import { planCluster } from "../../src/plan/plan-cluster.ts";
import type { Operation } from "../../src/plan/plan.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { MiB, blankDisk, cdrom, desiredVm, freeContext, freeLease, revision } from "../support/desired-vm.ts";
import { type HypercoreLab, instance, openHypercoreLab } from "../support/hypercore-lab.ts";

const nobody = { tcp: async () => true, http: async () => true };
const root = blankDisk("root", 2 * MiB, { boot: 1 });
const data = blankDisk("data", 2 * MiB);

/** What planning makes of one VM, and what the operations make of the cluster. */
async function bring(lab: HypercoreLab, desired: DesiredVirdomain): Promise<readonly Operation[]> {
  const target = { cluster: "lab", application: "shop", deployment: undefined, virdomains: [desired] };
  const { operations } = planCluster({
    instance,
    desired: {
      repository: "fleet",
      targets: new Map([["lab/shop", { ...target, hash: contentHash(target) }]]),
      problems: [],
      brokenApplications: new Set(),
      complete: true,
      undeployed: new Set(),
    },
    base: undefined,
    live: await lab.read(),
    traits: lab.driver.traits,
    enforced: new Set(),
    scope: undefined,
  });
  for (const operation of operations) {
    const world = { instance, revision, hypervisor: lab.driver, clock: systemClock, probe: nobody };
    const run = { attempt: 1, token: operation.id, onSnapshot: () => {}, leaseQuarantined: freeLease };
    expect(await applyOperation({ operation, desired, ...run, ...world }, freeContext())).toEqual({ kind: "done" });
  }
  return operations;
}

/** How often VMs were switched on and off so far. */
async function powerCalls(lab: HypercoreLab): Promise<number> {
  return (await lab.changingCalls())["POST /rest/v1/VirDomain/action"] ?? 0;
}

async function settled(lab: HypercoreLab, desired: DesiredVirdomain): Promise<void> {
  expect(await bring(lab, desired)).toEqual([]);
  expect(await lab.byName(desired.name)).toMatchObject([{ power: "running" }]);
}

it("grows and adds disks, changes media, tags and texts without touching the power of a running VM", async () => {
  await using lab = await openHypercoreLab();
  const [one, two] = [await lab.iso("one"), await lab.iso("two")];
  await bring(lab, desiredVm("web-1", { disks: [root, cdrom("drive", one)] }));
  const before = await powerCalls(lab);
  const wanted = desiredVm("web-1", {
    description: "another text",
    tags: ["other"],
    disks: [{ ...root, capacityBytes: 6 * MiB }, data, cdrom("drive", two)],
  });
  const [operation] = await bring(lab, wanted);
  expect(operation?.disruption).toBe("live");
  expect(await powerCalls(lab)).toBe(before);
  await settled(lab, wanted);
});

it("takes a disk off a running VM when its guest lets go", async () => {
  await using lab = await openHypercoreLab();
  await bring(lab, desiredVm("web-1", { disks: [root, data] }));
  await lab.control("POST", "virdomains", { name: "web-1", releasesDisks: true });
  const before = await powerCalls(lab);
  const wanted = desiredVm("web-1", { disks: [root] });
  await bring(lab, wanted);
  expect(await powerCalls(lab)).toBe(before);
  await settled(lab, wanted);
});

it("restarts the VM when its guest holds on to the disk, as the plan said it may", async () => {
  await using lab = await openHypercoreLab();
  await bring(lab, desiredVm("web-1", { disks: [root, data] }));
  const before = await powerCalls(lab);
  const wanted = desiredVm("web-1", { disks: [root] });
  const [operation] = await bring(lab, wanted);
  expect(operation?.notices).toMatchObject([{ code: "may-restart" }]);
  expect(await powerCalls(lab)).toBeGreaterThan(before);
  await settled(lab, wanted);
});

it("changes what needs the VM off in one stop", async () => {
  // A guest that boots loses the first request, which would then be a third call.
  await using lab = await openHypercoreLab({ guestBootMs: 0 });
  await bring(lab, desiredVm("web-1", { disks: [root, data] }));
  const before = await powerCalls(lab);
  const wanted = desiredVm("web-1", {
    cpu: 4,
    memoryBytes: 768 * MiB,
    disks: [root, { ...data, type: "scsi_disk" }],
    nics: [
      { name: "lan", type: "virtio", network: { vlan: 9 } },
      { name: "dmz", type: "virtio", network: { vlan: 20 } },
    ],
  });
  const [operation] = await bring(lab, wanted);
  expect(operation?.disruption).toBe("reboot");
  expect(await powerCalls(lab)).toBe(before + 2);
  await settled(lab, wanted);
});
