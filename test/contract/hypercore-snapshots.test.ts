import { describe, expect, it } from "vitest";
import { WatcherError } from "../../src/lib/errors.ts";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import type { Hypervisor, SnapshotReference } from "../../src/ports/hypervisor.ts";
import { MiB, blankDisk, desiredVm, freeContext, markOf } from "../support/desired-vm.ts";
import { startDroppingProxy } from "../support/dropping-proxy.ts";
import { type HypercoreLab, instance, openHypercoreLab, quickTimeouts, storm } from "../support/hypercore-lab.ts";
import { waitFor } from "../support/wait-for.ts";

const label = "1f3a5b7c9d1f before reboot 5f0c21aa";
const hourMs = 3_600_000;
const posts = { method: "POST", path: "VirDomainSnapshot$" };
const deletes = { method: "DELETE", path: "VirDomainSnapshot/" };

async function vmOn(lab: HypercoreLab, name = "web-1"): Promise<LiveVirdomain> {
  const desired = desiredVm(name, { disks: [blankDisk("root", 2 * MiB, { boot: 1 })] });
  return lab.driver.create(desired, markOf(desired, instance), freeContext());
}

async function take(driver: Hypervisor, live: LiveVirdomain, fresh = false): Promise<SnapshotReference> {
  const request = { label, keepUntilMs: Date.now() + hourMs, fresh, adopt: false };
  return driver.ensureSnapshot(live, request, freeContext());
}

const removeAll = async (driver: Hypervisor): Promise<readonly SnapshotReference[]> =>
  driver.removeExpiredSnapshots(Date.now() + 2 * hourMs, freeContext());

/** Repeats as the queue does after anything but a terminal error. */
async function persist<T>(attempt: () => Promise<T>, most = 4): Promise<T> {
  for (let count = 1; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      if (count === most || !(error instanceof WatcherError) || error.retry === "terminal") throw error;
    }
  }
}

describe("taking a snapshot", () => {
  it("says everything about it that the API wants said", async () => {
    await using lab = await openHypercoreLab();
    const live = await vmOn(lab);
    await take(lab.driver, live);
    expect(await lab.snapshots()).toMatchObject([
      {
        domainUUID: live.id,
        label: `kraken-gitops/${instance} ${label}`,
        type: "USER",
        automatedTriggerTimestamp: 0,
        remoteRetainUntilTimestamp: 0,
        blockCountDiffFromSerialNumber: -1,
        replication: false,
      },
    ]);
  });

  for (const moment of ["before", "after"] as const) {
    for (const fresh of [false, true]) {
      it(`makes one of it when the connection is lost ${moment} it is taken${fresh ? ", also a fresh one" : ""}`, async () => {
        await using lab = await openHypercoreLab();
        const live = await vmOn(lab);
        await using proxy = await startDroppingProxy(lab.addresses[0] ?? "", { index: 0, moment });
        const driver = await lab.open({ endpoints: [proxy.address] });
        // What is repeated finds the VM switched off by the attempt before: it need not be fresh any more.
        let attempts = 0;
        const taken = await persist(async () => take(driver, live, fresh && attempts++ === 0));
        expect((await lab.snapshots()).map(({ uuid }) => uuid)).toEqual([taken.id]);
      });
    }
  }

  it("is not taken in by one that a schedule made meanwhile", async () => {
    await using lab = await openHypercoreLab();
    const live = await vmOn(lab);
    await take(lab.driver, live);
    const [pattern] = await lab.snapshots();
    const {
      uuid: _uuid,
      timestamp: _time,
      domain: _domain,
      deviceSnapshots: _devices,
      ...body
    } = {
      ...(pattern as unknown as Record<string, unknown>),
    };
    await lab.admin("POST", "VirDomainSnapshot", { ...body, label: "hourly", type: "AUTOMATED" });
    await lab.fault({ match: posts, kind: "fail-task", times: 1 });
    await expect(take(lab.driver, live, true)).rejects.toMatchObject({ code: "task-failed" });
    const taken = await take(lab.driver, live, true);
    expect(taken.id).not.toBe(pattern?.uuid);
    expect(await lab.snapshots()).toHaveLength(3);
  });

  it("waits for somebody else's task on the VM, and through a cluster that says not now", async () => {
    await using lab = await openHypercoreLab({ taskMs: 60 });
    const live = await vmOn(lab);
    await lab.fault({ match: posts, kind: "error500", times: 2 });
    const rename = lab.admin("PATCH", `VirDomain/${live.id}`, { description: "by hand" });
    const taken = await take(lab.driver, live);
    await rename;
    expect((await lab.snapshots()).map(({ uuid }) => uuid)).toEqual([taken.id]);
  });

  it("fails when its task fails, and for good when there is no room", async () => {
    await using lab = await openHypercoreLab();
    const live = await vmOn(lab);
    await lab.fault({ match: posts, kind: "fail-task", times: 1 });
    await expect(take(lab.driver, live)).rejects.toMatchObject({ code: "task-failed" });
    await lab.fault({ match: posts, kind: "fail-task", times: 1, message: "Not enough free space" });
    await expect(take(lab.driver, live)).rejects.toMatchObject({ code: "cluster-full", retry: "terminal" });
    expect(await lab.snapshots()).toEqual([]);
  });

  it("believes the VM when a task failed that did its work, or was forgotten", async () => {
    await using lab = await openHypercoreLab();
    const live = await vmOn(lab);
    await lab.fault({ match: posts, kind: "fail-task-done", times: 1 });
    await take(lab.driver, live);
    await lab.fault({ match: posts, kind: "forget-task", times: 1 });
    await take(lab.driver, live, true);
    expect(await lab.snapshots()).toHaveLength(2);
  });

  it("lists snapshots only for a VM that has some", async () => {
    await using lab = await openHypercoreLab();
    const [live, other] = [await vmOn(lab), await vmOn(lab, "web-2")];
    await take(lab.driver, other);
    await lab.fault({ match: { method: "GET", path: "VirDomainSnapshot" }, kind: "error500" });
    expect(await lab.driver.findSnapshot(live.id, label, AbortSignal.timeout(5_000))).toBeUndefined();
  });
});

describe("removing expired snapshots", () => {
  it("leaves a VM that is busy for the next time", async () => {
    await using lab = await openHypercoreLab();
    const [busy, idle] = [await vmOn(lab), await vmOn(lab, "web-2")];
    await take(lab.driver, busy);
    const taken = await take(lab.driver, idle);
    await lab.fault({ match: { method: "PATCH", path: busy.id }, kind: "slow-task", times: 1, ms: 2_000 });
    const rename = lab.admin("PATCH", `VirDomain/${busy.id}`, { description: "by hand" });
    await waitFor(async () => ((await lab.byName("web-1"))[0]?.busy === true ? true : undefined), { what: "a task" });
    expect(await removeAll(lab.driver)).toEqual([taken]);
    await rename;
    expect(await removeAll(lab.driver)).toMatchObject([{ virdomainId: busy.id }]);
    expect(await lab.snapshots()).toEqual([]);
  });

  for (const kind of ["drop-before", "drop-after", "error500", "fail-task", "forget-task"] as const) {
    it(`ends without them in spite of ${kind}`, async () => {
      await using lab = await openHypercoreLab({}, { timeouts: { ...quickTimeouts, verifyMs: 200 } });
      const live = await vmOn(lab);
      await take(lab.driver, live);
      const young = await lab.driver.ensureSnapshot(
        live,
        { label: "young", keepUntilMs: Date.now() + 9 * hourMs, fresh: false, adopt: false },
        freeContext(),
      );
      await lab.fault({ match: deletes, kind, times: 1 });
      const left = await waitFor(
        async () => {
          await removeAll(lab.driver);
          const snapshots = await lab.snapshots();
          return snapshots.length === 1 ? snapshots : undefined;
        },
        { what: "the removal" },
      );
      expect(left.map(({ uuid }) => uuid)).toEqual([young.id]);
    });
  }

  it("takes those of a VM away whose mark a person took off, and leaves the VM alone", async () => {
    await using lab = await openHypercoreLab();
    const live = await vmOn(lab);
    await take(lab.driver, live);
    await lab.admin("PATCH", `VirDomain/${live.id}`, { tags: "by-hand" });
    expect(await removeAll(lab.driver)).toHaveLength(1);
    expect(await lab.byName("web-1")).toMatchObject([{ id: live.id, mark: undefined }]);
  });

  it("costs one list call where there is nothing to remove", async () => {
    await using lab = await openHypercoreLab();
    await take(lab.driver, await vmOn(lab));
    const before = await reads(lab);
    expect(await lab.driver.removeExpiredSnapshots(Date.now(), freeContext())).toEqual([]);
    expect((await reads(lab)) - before).toBe(1);
  });

  it("throws when the cluster cannot be read", async () => {
    await using lab = await openHypercoreLab();
    await lab.fault({ match: { path: "VirDomainSnapshot" }, kind: "html502" });
    await expect(removeAll(lab.driver)).rejects.toMatchObject({ code: "cluster-unreachable" });
  });
});

async function reads(lab: HypercoreLab): Promise<number> {
  const { counts } = (await lab.control("GET", "calls")) as { counts: Record<string, number> };
  return Object.entries(counts).reduce(
    (sum, [key, count]) => (key.startsWith("GET ") && key.includes("/rest/v1/") ? sum + count : sum),
    0,
  );
}

for (const seed of [1, 2, 3]) {
  it(`takes one snapshot and removes it through a storm of every trouble at once (seed ${seed})`, async () => {
    await using lab = await openHypercoreLab({ seed }, { timeouts: { ...quickTimeouts, verifyMs: 300 } });
    const live = await vmOn(lab);
    for (const kind of storm) await lab.fault({ match: { path: "^/rest" }, kind, probability: 0.06 });
    const taken = await persist(async () => take(lab.driver, live), 60);
    await lab.clearFaults();
    expect((await lab.snapshots()).map(({ uuid }) => uuid)).toEqual([taken.id]);
    for (const kind of storm) await lab.fault({ match: { path: "^/rest" }, kind, probability: 0.06 });
    await waitFor(
      async () => {
        await persist(async () => removeAll(lab.driver), 60);
        const left = await lab.snapshots().catch(() => undefined);
        return left?.length === 0 ? true : undefined;
      },
      { what: "the removal" },
    );
  });
}
