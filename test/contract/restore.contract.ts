import { expect } from "vitest";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { type Family, type MarkedVirdomain, restoreVirdomain } from "../../src/app/restore/restore-virdomain.ts";
import type { DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import type { ChangeContext, SnapshotReference } from "../../src/ports/hypervisor.ts";
import { MiB, blankDisk, dyingAt, freeContext, freeLease, markOf, revision } from "../support/desired-vm.ts";
import { type HypervisorBench, vmOn } from "../support/hypervisor-bench.ts";

type Check = (title: string, body: (bench: HypervisorBench) => Promise<void>, timeoutMs?: number) => void;

/** Dying at every step takes many real VMs. */
const longMs = 400_000;
const signal = (): AbortSignal => AbortSignal.timeout(60_000);
const hourMs = 3_600_000;
const root = blankDisk("root", 2 * MiB, { boot: 1 });
const data = blankDisk("data", 3 * MiB);
const logs = blankDisk("logs", 4 * MiB);

/** What going back to a snapshot asks of every platform that has them. */
export function restoreContract(check: Check): void {
  check("lists the snapshots of a VM that are ours, the newest first, with their times", async (bench) => {
    const live = await make(bench, [root]);
    expect(await bench.driver.listSnapshots(live.id, signal())).toEqual([]);
    const first = await take(bench, live, "one");
    const second = await take(bench, live, "two");
    await bench.snapshotByHand(live.id, "by hand", 0);
    const listed = await bench.driver.listSnapshots(live.id, signal());
    expect(listed.map(({ id }) => id).sort()).toEqual([first.id, second.id].sort());
    for (const { takenAtMs, expiresAtMs } of listed) {
      expect(Math.abs(takenAtMs - Date.now())).toBeLessThan(60_000);
      expect(expiresAtMs).toBeGreaterThan(takenAtMs);
    }
  });

  check(
    "gives a VM back the disks it had, boot order and names with them, and keeps what it has now",
    async (bench) => {
      const { before, snapshot, now } = await removedDisk(bench);
      const result = await restore(bench, snapshot);
      const { present, aside } = await look(bench);
      expect(present).toMatchObject({ id: result.live.id, name: "web-1", power: "shutoff", clone: false });
      expect(shape(present)).toEqual(shape(before));
      expect(present.nics.map(({ name }) => name)).toEqual(before.nics.map(({ name }) => name));
      expect(present.tags).toEqual(before.tags);
      expect(present.mark).toMatchObject({ building: false, identity: before.mark.identity });
      expect(present.mark).not.toHaveProperty("quarantine");
      // What it had is somewhere: in another VM in quarantine, or in a snapshot it can go back to.
      if (result.replaced === undefined) {
        expect(result.kept).toBeDefined();
        expect(aside).toEqual([]);
        await restore(bench, result.kept as SnapshotReference);
        expect(shape((await look(bench)).present)).toEqual(shape(now));
      } else {
        expect(aside.map(({ id }) => id)).toEqual([now.id]);
        expect(shape(aside[0] as LiveVirdomain)).toEqual(shape(now));
      }
      await bench.driver.start(present.id, freeContext(60_000));
    },
  );

  check("goes back to a snapshot that was taken while the VM ran", async (bench) => {
    const before = await make(bench, [root, data]);
    await bench.driver.start(before.id, freeContext(60_000));
    const snapshot = await take(bench, before, `${revision.slice(0, 12)} before data-loss 5f0c21aa`);
    await bench.driver.stop(before.id, { graceMs: 50, force: true }, freeContext(60_000));
    await loseDisk(bench, before);
    await bench.driver.start(before.id, freeContext(60_000));
    // The VM in use may run: it is shut down first.
    await restore(bench, snapshot);
    const { present } = await look(bench);
    expect(present.power).toBe("shutoff");
    expect(shape(present)).toEqual(shape(before));
    await bench.driver.start(present.id, freeContext(60_000));
  });

  check("is a VM to update like any other afterwards", async (bench) => {
    const { snapshot, now } = await removedDisk(bench);
    await restore(bench, snapshot);
    const { present } = await look(bench);
    const desired = wanted(bench, [root, logs]);
    const updated = await bench.driver.update(present, desired, markOf(desired, bench.instance), freeContext(60_000));
    expect(shape(updated)).toEqual(shape(now));
    expect(updated.mark?.revision?.slice(0, 7)).toBe(revision.slice(0, 7));
  });

  check("goes back to a snapshot of a VM in quarantine, and sets the one in use aside", async (bench) => {
    const { before, snapshot } = await removedDisk(bench);
    const first = await restore(bench, snapshot);
    const again = await restore(bench, snapshot);
    const { present, aside } = await look(bench);
    expect(shape(present)).toEqual(shape(before));
    expect(aside.map(({ id }) => id).sort()).toEqual(
      first.replaced === undefined ? [] : [first.replaced, first.live.id].sort(),
    );
    expect(again.live.id).toBe(present.id);
  });

  check(
    "goes back whatever the moment at which a process dies, and loses nothing on the way",
    async (bench) => {
      const { before, snapshot, ...first } = await removedDisk(bench);
      let { now } = first;
      for (let change = 1; ; change += 1) {
        const keptBefore = await keptOf(bench, now);
        const died = await dyingAt(change, (context) => restore(bench, snapshot, context));
        // Whatever happened, no more than one VM is in use, and what was there is there.
        const { virdomains, quarantined = [] } = await bench.driver.readLiveState(signal());
        expect(virdomains.filter(({ mark }) => mark !== undefined).length).toBeLessThan(2);
        expect([...virdomains, ...quarantined].some(({ id }) => id === now.id)).toBe(true);
        if (died) await restore(bench, snapshot);
        const { present, aside } = await look(bench);
        expect(shape(present)).toEqual(shape(before));
        expect((await bench.driver.readLiveState(signal())).virdomains.map(({ id }) => id)).toEqual([present.id]);
        if (present.id === now.id) expect(await keptOf(bench, now)).toBeGreaterThan(keptBefore);
        else expect(shape(aside.find(({ id }) => id === now.id) as LiveVirdomain)).toEqual(shape(now));
        if (!died) return;
        now = await loseDisk(bench, present);
      }
    },
    longMs,
  );

  check("goes back to nothing that is not a snapshot of ours of this VM", async (bench) => {
    const { now } = await removedDisk(bench);
    const other = await make(bench, [root], "web-2");
    const strange = await take(bench, other, "of another");
    const byHand = await bench.snapshotByHand(now.id, "by hand", 0);
    for (const id of [strange.id, byHand, crypto.randomUUID()]) {
      await expect(restore(bench, { id, virdomainId: now.id, label: "" })).rejects.toMatchObject({
        code: expect.stringMatching(/^(virdomain-changed|cluster-refused)$/),
      });
    }
    expect(shape((await look(bench)).present)).toEqual(shape(now));
  });
}

interface Removed {
  readonly before: MarkedVirdomain;
  readonly snapshot: SnapshotReference;
  readonly now: MarkedVirdomain;
}

/** A VM that lost the disk `data` after a snapshot and got the disk `logs`. */
async function removedDisk(bench: HypervisorBench): Promise<Removed> {
  const before = await make(bench, [root, data]);
  const snapshot = await take(bench, before, `${revision.slice(0, 12)} before data-loss 5f0c21aa`);
  const now = await loseDisk(bench, before);
  expect(new Set(now.disks.map(({ name }) => name))).toEqual(new Set(["logs", "root"]));
  return { before, snapshot, now };
}

async function loseDisk(bench: HypervisorBench, live: LiveVirdomain): Promise<MarkedVirdomain> {
  const desired = wanted(bench, [root, logs]);
  return marked(await bench.driver.update(live, desired, markOf(desired, bench.instance), freeContext(60_000)));
}

/** How many snapshots of what a VM was before it went back there are. */
async function keptOf({ driver }: HypervisorBench, { id }: LiveVirdomain): Promise<number> {
  const snapshots = await driver.listSnapshots(id, signal());
  return snapshots.filter(({ label }) => label.includes("before restore")).length;
}

function wanted(bench: HypervisorBench, disks: DesiredVirdomain["disks"], name = "web-1"): DesiredVirdomain {
  return vmOn(bench, name, { machineType: "uefi", disks, tags: ["shop"] });
}

async function make(
  bench: HypervisorBench,
  disks: DesiredVirdomain["disks"],
  name = "web-1",
): Promise<MarkedVirdomain> {
  const desired = wanted(bench, disks, name);
  return marked(await bench.driver.create(desired, markOf(desired, bench.instance), freeContext(60_000)));
}

function marked(live: LiveVirdomain): MarkedVirdomain {
  if (live.mark === undefined) throw new Error(`VM ${live.name} has no mark`);
  return { ...live, mark: live.mark };
}

async function take(bench: HypervisorBench, live: LiveVirdomain, label: string): Promise<SnapshotReference> {
  const request = { label, keepUntilMs: Date.now() + hourMs, fresh: false, adopt: false };
  return bench.driver.ensureSnapshot(live, request, freeContext(60_000));
}

async function familyOf({ driver }: HypervisorBench): Promise<Family> {
  const { virdomains, quarantined = [] } = await driver.readLiveState(signal());
  const members = [...virdomains, ...quarantined].filter(({ mark }) => mark?.identity.resource === "web-1");
  return { name: "web-1", members: members.map(marked) };
}

async function restore(
  bench: HypervisorBench,
  snapshot: SnapshotReference,
  context: ChangeContext = freeContext(60_000),
) {
  const input = { hypervisor: bench.driver, clock: systemClock, leaseQuarantined: freeLease };
  const shutdown = { shutdownGraceMs: 50, forceShutdown: true };
  const terms = { nowMs: Date.now(), keepMs: hourMs, revision };
  const family = await familyOf(bench);
  const order = { family, sourceId: snapshot.virdomainId, snapshotId: snapshot.id, terms, shutdown };
  return restoreVirdomain(input, order, context);
}

async function look(bench: HypervisorBench): Promise<{ present: MarkedVirdomain; aside: readonly LiveVirdomain[] }> {
  const { virdomains, quarantined = [] } = await bench.driver.readLiveState(signal());
  const ours = virdomains.filter(({ mark }) => mark?.identity.resource === "web-1");
  expect(ours).toHaveLength(1);
  return { present: marked(ours[0] as LiveVirdomain), aside: quarantined };
}

/** Disks by what they are, without the ids a copy has its own of. */
function shape({ disks }: LiveVirdomain): readonly object[] {
  return disks
    .map(({ name, type, capacityBytes, assetId, boot }) => ({ name, type, capacityBytes, assetId, boot }))
    .sort((a, b) => ((a.name ?? "") < (b.name ?? "") ? -1 : 1));
}
