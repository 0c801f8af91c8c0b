import { expect, it } from "vitest";
import { applyOperation } from "../../src/app/operation/apply-operation.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import type { DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import { planCluster } from "../../src/plan/plan-cluster.ts";
import type { Operation } from "../../src/plan/plan.ts";
import { MiB, blankDisk, desiredVm, freeContext, freeLease, markOf, revision } from "../support/desired-vm.ts";
import { type HypercoreLab, instance, openHypercoreLab } from "../support/hypercore-lab.ts";
import { desiredState, target } from "../support/virdomains.ts";

const probe = { tcp: async () => false, http: async () => false };
const plain = desiredVm("web-1", { state: "shutoff" });

async function planned(lab: HypercoreLab, desired: DesiredVirdomain): Promise<readonly Operation[]> {
  return planCluster({
    instance,
    desired: desiredState([target("lab", [desired])]),
    base: undefined,
    live: await lab.read(),
    traits: lab.driver.traits,
    enforced: new Set(),
    scope: undefined,
  }).operations;
}

/** Plans and carries out until nothing is left to do. */
async function bring(lab: HypercoreLab, desired: DesiredVirdomain): Promise<void> {
  for (let round = 0; round < 4; round++) {
    const operations = await planned(lab, desired);
    if (operations.length === 0) return;
    for (const operation of operations) {
      const parts = {
        operation,
        desired,
        instance,
        revision,
        token: operation.id,
        attempt: 1,
        onSnapshot() {},
        leaseQuarantined: freeLease,
      };
      const world = { hypervisor: lab.driver, clock: systemClock, probe };
      expect(await applyOperation({ ...parts, ...world }, freeContext())).toEqual({ kind: "done" });
    }
  }
  throw new Error(`still to do: ${JSON.stringify(await planned(lab, desired))}`);
}

/** Begins something whose devices cannot be made, as a full cluster would answer. */
async function failHalfway(lab: HypercoreLab, begin: () => Promise<unknown>): Promise<void> {
  await lab.fault({ match: { method: "POST", path: "BlockDevice" }, kind: "fail-task" });
  await expect(begin()).rejects.toMatchObject({ code: "task-failed" });
  await lab.clearFaults();
}

async function createHalf(lab: HypercoreLab, desired: DesiredVirdomain): Promise<void> {
  await failHalfway(lab, () => lab.driver.create(desired, markOf(desired, instance), freeContext()));
}

const withData = { ...plain, disks: [blankDisk("data", 2 * MiB)] };

/** A VM whose new disk has been noted and was never made. */
async function addDiskHalf(lab: HypercoreLab): Promise<LiveVirdomain> {
  await bring(lab, plain);
  const [live] = await lab.byName("web-1");
  if (live === undefined) throw new Error("no VM");
  await failHalfway(lab, () => lab.driver.update(live, withData, markOf(withData, instance), freeContext()));
  return live;
}

it("forgets the place of a disk that was never made once nobody wishes it, so that a disk of people's is not taken for it", async () => {
  await using lab = await openHypercoreLab();
  const live = await addDiskHalf(lab);
  expect((await lab.rawVm(live.id)).tags).toContain("kg-disk:data=virtio0");
  expect(await planned(lab, plain)).toMatchObject([{ kind: "update", disruption: "live" }]);
  await bring(lab, plain);
  expect((await lab.rawVm(live.id)).tags).not.toContain("kg-disk:");
  await lab.admin("POST", "VirDomainBlockDevice", { virDomainUUID: live.id, type: "VIRTIO_DISK", capacity: 7 * MiB });
  expect(await planned(lab, plain)).toEqual([]);
});

it("never removes a disk it knows by its place only, whoever put it there", async () => {
  await using lab = await openHypercoreLab();
  const live = await addDiskHalf(lab);
  await lab.admin("POST", "VirDomainBlockDevice", { virDomainUUID: live.id, type: "VIRTIO_DISK", capacity: 7 * MiB });
  await bring(lab, plain);
  expect((await lab.rawVm(live.id)).blockDevs).toMatchObject([{ type: "VIRTIO_DISK", capacity: 7 * MiB }]);
});

it("puts its disk elsewhere when people took the place it had noted", async () => {
  await using lab = await openHypercoreLab();
  const live = await addDiskHalf(lab);
  await lab.admin("POST", "VirDomainBlockDevice", { virDomainUUID: live.id, type: "VIRTIO_DISK", capacity: 7 * MiB });
  await bring(lab, withData);
  expect((await lab.rawVm(live.id)).blockDevs).toMatchObject([
    { slot: 0, capacity: 7 * MiB },
    { slot: 1, capacity: 2 * MiB },
  ]);
  await bring(lab, plain);
  expect((await lab.rawVm(live.id)).blockDevs.map(({ capacity }) => capacity / MiB)).toEqual([7]);
});

it("continues a half-built VM whose resource was renamed meanwhile", async () => {
  await using lab = await openHypercoreLab();
  await createHalf(lab, withData);
  const identity = { ...withData.identity, resource: "web-2" };
  await bring(lab, { ...withData, identity, formerIdentities: [withData.identity] });
  expect(await lab.byName("web-1")).toMatchObject([{ mark: { identity, building: false } }]);
});

it("has no NIC and no disk of a wish that was taken back before the VM was complete", async () => {
  await using lab = await openHypercoreLab();
  await createHalf(lab, withData);
  const [half] = await lab.byName("web-1");
  const data = { virDomainUUID: half?.id, type: "VIRTIO_DISK", capacity: 2 * MiB, slot: 0 };
  await lab.admin("POST", "VirDomainBlockDevice", data);
  await bring(lab, { ...plain, nics: [], disks: [] });
  expect(await lab.byName("web-1")).toMatchObject([{ nics: [], disks: [], mark: { building: false } }]);
});
