import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { restoreVirdomain } from "../../src/app/restore/restore-virdomain.ts";
import { WatcherError } from "../../src/lib/errors.ts";
import type { LiveVirdomain, OwnershipMark } from "../../src/plan/live-state.ts";
import type { Hypervisor, SnapshotReference } from "../../src/ports/hypervisor.ts";
import type { FaultRule } from "../../src/simulator/hypercore/faults.ts";
import { MiB, blankDisk, desiredVm, freeContext, freeLease, markOf, revision } from "../support/desired-vm.ts";
import { startDroppingProxy } from "../support/dropping-proxy.ts";
import { type HypercoreLab, instance, openHypercoreLab, storm } from "../support/hypercore-lab.ts";

const clones = { method: "POST", path: "/clone$" };

type Marked = LiveVirdomain & { readonly mark: OwnershipMark };

async function prepared(lab: HypercoreLab): Promise<{ readonly live: Marked; readonly snapshot: SnapshotReference }> {
  const desired = desiredVm("web-1", { disks: [blankDisk("root", 2 * MiB, { boot: 1 }), blankDisk("data", 3 * MiB)] });
  const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
  const request = { label: "before", keepUntilMs: Date.now() + 3_600_000, fresh: false, adopt: false };
  return { live: live as Marked, snapshot: await lab.driver.ensureSnapshot(live, request, freeContext()) };
}

/** As a person does it: again from what the cluster shows, until it is done. */
async function restore(driver: Hypervisor, snapshot: SnapshotReference, most = 1): Promise<void> {
  for (let count = 1; ; count += 1) {
    try {
      const { virdomains, quarantined = [] } = await driver.readLiveState(AbortSignal.timeout(20_000));
      const members = [...virdomains, ...quarantined].filter((live): live is Marked => live.mark !== undefined);
      const shutdown = { shutdownGraceMs: 50, forceShutdown: true };
      const terms = { nowMs: Date.now(), keepMs: 3_600_000, revision };
      const order = {
        family: { name: "web-1", members },
        sourceId: snapshot.virdomainId,
        snapshotId: snapshot.id,
        terms,
        shutdown,
      };
      const input = { hypervisor: driver, clock: systemClock, leaseQuarantined: freeLease };
      await restoreVirdomain(input, order, freeContext());
      return;
    } catch (error) {
      if (count === most || !(error instanceof WatcherError) || error.retry === "terminal") throw error;
    }
  }
}

async function expectRestored(lab: HypercoreLab, { id }: LiveVirdomain): Promise<void> {
  const { virdomains, quarantined = [] } = await lab.read();
  expect(virdomains).toMatchObject([
    { name: "web-1", clone: false, disks: [{ name: "root", boot: 1 }, { name: "data" }], mark: { building: false } },
  ]);
  expect(quarantined.map((live) => live.id)).toEqual([id]);
}

describe("going back to a snapshot", () => {
  it("makes the copy under one tag and another name, and takes the tag off as it becomes the VM", async () => {
    await using lab = await openHypercoreLab();
    const { live, snapshot } = await prepared(lab);
    const request = { snapshotId: snapshot.id, label: "x", keepUntilMs: 0 };
    const restored = await lab.driver.restoreSnapshot(live, request, freeContext());
    expect(await lab.rawVm(restored.live.id)).toMatchObject({
      name: `web-1.restored-${snapshot.id.slice(0, 8)}`,
      tags: `kg-restoring:${snapshot.id}`,
      state: "SHUTOFF",
    });
    expect(restored.live.mark).toBeUndefined();
    await restore(lab.driver, snapshot);
    await expectRestored(lab, live);
    expect((await lab.rawVm(restored.live.id)).tags).not.toContain("kg-restoring");
  });

  it("touches nothing when a person uses the copy meanwhile", async () => {
    await using lab = await openHypercoreLab();
    const { live, snapshot } = await prepared(lab);
    const request = { snapshotId: snapshot.id, label: "x", keepUntilMs: 0 };
    const { live: copy } = await lab.driver.restoreSnapshot(live, request, freeContext());
    await lab.admin("POST", "VirDomain/action", [{ virDomainUUID: copy.id, actionType: "START" }]);
    await expect(restore(lab.driver, snapshot)).rejects.toMatchObject({ code: "virdomain-conflict" });
    expect((await lab.read()).virdomains.filter(({ mark }) => mark !== undefined)).toEqual([live]);
  });

  for (const kind of storm) {
    it(`ends in one VM in use when the copy meets ${kind}`, async () => {
      await using lab = await openHypercoreLab();
      const { live, snapshot } = await prepared(lab);
      await lab.fault({ match: clones, kind, times: 1 });
      await restore(lab.driver, snapshot, 4);
      await expectRestored(lab, live);
    });
  }

  for (const moment of ["before", "after"] as const) {
    it(`ends in one VM in use whichever connection is lost ${moment} its call`, async () => {
      for (let index = 0, struck = true; struck; index += 1) {
        await using lab = await openHypercoreLab();
        const { live, snapshot } = await prepared(lab);
        await using proxy = await startDroppingProxy(lab.addresses[0] ?? "", { index, moment });
        const driver = await lab.open({ endpoints: [proxy.address] });
        await restore(driver, snapshot, 4);
        await expectRestored(lab, live);
        struck = proxy.calls.length > index;
      }
    });
  }

  it("says that there is no room, and leaves everything as it was", async () => {
    await using lab = await openHypercoreLab();
    const { live, snapshot } = await prepared(lab);
    const full: FaultRule = { match: clones, kind: "fail-task", times: 1, message: "Not enough free space" };
    await lab.fault(full);
    await expect(restore(lab.driver, snapshot)).rejects.toMatchObject({ code: "cluster-full" });
    expect(await lab.read()).toEqual({ cluster: "lab", virdomains: [live] });
  });
});
