import { expect } from "vitest";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import type { SnapshotRequest } from "../../src/ports/hypervisor.ts";
import { MiB, blankDisk, freeContext, markOf } from "../support/desired-vm.ts";
import { type HypervisorBench, vmOn } from "../support/hypervisor-bench.ts";

const hourMs = 3_600_000;
const signal = (): AbortSignal => AbortSignal.timeout(25_000);

function request(overrides: Partial<SnapshotRequest> = {}): SnapshotRequest {
  const keepUntilMs = Date.now() + hourMs;
  return { label: "1f3a5b7c9d1f before reboot 5f0c21aa", keepUntilMs, fresh: false, adopt: false, ...overrides };
}

/** What a driver promises whose traits say that the platform has snapshots; part of `hypervisorContract`. */
export function snapshotContract(
  check: (title: string, body: (bench: HypervisorBench) => Promise<void>) => void,
): void {
  check(
    "takes a snapshot that stays on the cluster and says when it ends, and a repeat takes no second",
    async (bench) => {
      const live = await makeVm(bench);
      const wanted = request();
      const taken = await bench.driver.ensureSnapshot(live, wanted, freeContext());
      expect(taken).toMatchObject({ virdomainId: live.id, label: wanted.label });
      const [snapshot, ...others] = await bench.snapshots();
      expect(others).toEqual([]);
      expect(snapshot).toMatchObject({ id: taken.id, virdomainId: live.id, replicated: false });
      expect(snapshot?.label).toMatch(new RegExp(`${bench.instance}.* ${wanted.label}$`));
      expect(snapshot?.expiresAtMs).toBeGreaterThanOrEqual(wanted.keepUntilMs);
      expect(snapshot?.expiresAtMs).toBeLessThan(wanted.keepUntilMs + 2_000);
      const context = freeContext();
      expect(await bench.driver.ensureSnapshot(live, wanted, context)).toEqual(taken);
      expect(context.changes()).toBe(0);
      expect(await bench.driver.findSnapshot(live.id, wanted.label, signal())).toEqual(taken);
    },
  );

  check("takes another one under another label, for another VM, and when it must be fresh", async (bench) => {
    const [one, two] = [await makeVm(bench), await makeVm(bench, "web-2")];
    const first = await bench.driver.ensureSnapshot(one, request(), freeContext());
    const others = [
      await bench.driver.ensureSnapshot(one, request({ label: "another" }), freeContext()),
      await bench.driver.ensureSnapshot(two, request(), freeContext()),
      await bench.driver.ensureSnapshot(one, request({ fresh: true }), freeContext()),
    ];
    expect(new Set([first, ...others].map(({ id }) => id)).size).toBe(4);
    expect(await bench.snapshots()).toHaveLength(4);
  });

  check("finds no snapshot that nobody took, nor one that people gave the same name", async (bench) => {
    const live = await makeVm(bench);
    expect(await bench.driver.findSnapshot(live.id, request().label, signal())).toBeUndefined();
    await bench.snapshotByHand(live.id, request().label, Date.now() + hourMs);
    expect(await bench.driver.findSnapshot(live.id, request().label, signal())).toBeUndefined();
    const taken = await bench.driver.ensureSnapshot(live, request(), freeContext());
    expect(await bench.driver.findSnapshot(live.id, request().label, signal())).toEqual(taken);
  });

  check("takes no snapshot of what is not ours, but of a VM about to be taken over", async (bench) => {
    const live = await makeVm(bench);
    const clone = await found(bench, await bench.cloneByHand(live, "copy"));
    const foreign = await found(bench, await bench.createByHand("legacy"));
    // Where a platform does not copy marks with a VM, the copy is a stranger like any other.
    const adoptable = clone.clone ? [clone, { ...clone, mark: live.mark }] : [];
    for (const [virdomain, adopt] of [
      ...adoptable.map((copy) => [copy, true] as const),
      [clone, false],
      [foreign, false],
    ] as const) {
      await expect(bench.driver.ensureSnapshot(virdomain, request({ adopt }), freeContext())).rejects.toMatchObject({
        code: "virdomain-conflict",
      });
    }
    const edited = { ...foreign, mark: live.mark };
    await expect(bench.driver.ensureSnapshot(edited, request({ adopt: true }), freeContext())).rejects.toMatchObject({
      code: "virdomain-changed",
    });
    expect(await bench.snapshots()).toEqual([]);
    const taken = await bench.driver.ensureSnapshot(foreign, request({ adopt: true }), freeContext());
    expect(taken.virdomainId).toBe(foreign.id);
  });

  check("takes no snapshot once the lease is lost or a newer revision exists", async (bench) => {
    const live = await makeVm(bench);
    const lost = new Error("lease lost");
    const beforeChange = (): never => {
      throw lost;
    };
    const attempt = async (context: object): Promise<unknown> =>
      bench.driver.ensureSnapshot(live, request(), { ...freeContext(), ...context });
    await expect(attempt({ beforeChange })).rejects.toBe(lost);
    await expect(attempt({ stop: AbortSignal.abort() })).rejects.toMatchObject({ code: "stopped" });
    expect(await bench.snapshots()).toEqual([]);
  });

  check("removes its own snapshots once their time is over, and nothing else", async (bench) => {
    const [one, two] = [await makeVm(bench), await makeVm(bench, "web-2")];
    const nowMs = Date.now();
    const old = [
      await bench.driver.ensureSnapshot(one, request({ label: "old", keepUntilMs: nowMs + 5_000 }), freeContext()),
      await bench.driver.ensureSnapshot(two, request({ label: "old", keepUntilMs: nowMs + 5_000 }), freeContext()),
    ];
    const young = await bench.driver.ensureSnapshot(one, request({ keepUntilMs: nowMs + 2 * hourMs }), freeContext());
    const label = (await bench.snapshots()).find(({ id }) => id === young.id)?.label ?? "";
    const byHand = [
      await bench.snapshotByHand(one.id, "before the upgrade", nowMs + 5_000),
      await bench.snapshotByHand(one.id, label, 0),
      await bench.snapshotByHand(one.id, label.replace(bench.instance, `${bench.instance}-2`), nowMs + 5_000),
    ];
    expect(await bench.driver.removeExpiredSnapshots(nowMs, freeContext())).toEqual([]);
    const removed = await bench.driver.removeExpiredSnapshots(nowMs + hourMs, freeContext());
    expect(ids(removed)).toEqual(ids(old));
    expect(ids(await bench.snapshots())).toEqual(ids([young, ...byHand.map((id) => ({ id }))]));
    const context = freeContext();
    expect(await bench.driver.removeExpiredSnapshots(nowMs + hourMs, context)).toEqual([]);
    expect(context.changes()).toBe(0);
  });

  check("removes no snapshot once the lease is lost", async (bench) => {
    const live = await makeVm(bench);
    await bench.driver.ensureSnapshot(live, request(), freeContext());
    const lost = new Error("lease lost");
    const beforeChange = (): never => {
      throw lost;
    };
    const late = Date.now() + 2 * hourMs;
    await expect(bench.driver.removeExpiredSnapshots(late, { ...freeContext(), beforeChange })).rejects.toBe(lost);
    expect(await bench.snapshots()).toHaveLength(1);
  });
}

function ids(snapshots: readonly { readonly id: string }[]): readonly string[] {
  return snapshots.map(({ id }) => id).sort();
}

async function makeVm(bench: HypervisorBench, resource = "web-1"): Promise<LiveVirdomain> {
  const desired = vmOn(bench, resource, { disks: [blankDisk("root", 2 * MiB, { boot: 1 })] });
  return bench.driver.create(desired, markOf(desired, bench.instance), freeContext());
}

async function found(bench: HypervisorBench, id: string): Promise<LiveVirdomain> {
  const live = await bench.driver.findVirdomain(id, signal());
  if (live === undefined) throw new Error(`no VM ${id}`);
  return live;
}
