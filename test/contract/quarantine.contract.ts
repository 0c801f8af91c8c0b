import { expect } from "vitest";
import { quarantineVirdomain, releaseVirdomain } from "../../src/app/operation/remove-virdomain.ts";
import type { DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import type { LiveVirdomain, OwnershipMark } from "../../src/plan/live-state.ts";
import type { ChangeContext } from "../../src/ports/hypervisor.ts";
import { MiB, blankDisk, dyingAt, freeContext, imageDisk, markOf, revision } from "../support/desired-vm.ts";
import { type HypervisorBench, vmOn } from "../support/hypervisor-bench.ts";

type Marked = LiveVirdomain & { readonly mark: OwnershipMark };

const signal = (): AbortSignal => AbortSignal.timeout(25_000);
const weekMs = 7 * 86_400_000;
const asideName = `web-1.quarantined-${revision.slice(0, 7)}`;
const terms = { nowMs: 1_700_000_000_000, keepMs: weekMs, revision };
const atOnce = { shutdownGraceMs: 50, forceShutdown: true };

/** What setting a VM aside in place of deleting it asks of every platform. */
export function quarantineContract(
  check: (title: string, body: (bench: HypervisorBench) => Promise<void>) => void,
): void {
  check("sets a running VM aside with its disks, apart from the others, and starts it no more", async (bench) => {
    const live = await running(bench);
    await setAside(bench, live);
    const found = await expectAside(bench, live);
    expect(found.mark.quarantine).toMatchObject({ atMs: terms.nowMs, untilMs: terms.nowMs + weekMs, name: "web-1" });
    expect(revision.startsWith(found.mark.quarantine?.revision || "?")).toBe(true);
    await expect(bench.driver.start(live.id, freeContext())).rejects.toMatchObject({ code: "virdomain-changed" });
    const context = freeContext();
    await setAside(bench, found, context, 1);
    expect(context.changes()).toBe(0);
    expect(await expectAside(bench, live)).toEqual(found);
  });

  check("brings a VM back with its disks, under its name and out of quarantine", async (bench) => {
    const live = await running(bench);
    await setAside(bench, live);
    await comeBack(bench, await expectAside(bench, live));
    await expectBack(bench, live);
  });

  check("sets aside and brings back whatever the moment at which a process dies", async (bench) => {
    const live = await running(bench);
    for (let change = 1; ; change += 1) {
      const died = await dyingAt(change, (context) => setAside(bench, live, context));
      // Another process finds it, and finishes, also when it has the date of another day.
      await setAside(bench, await found(bench, live), freeContext(), change);
      const aside = await expectAside(bench, live);
      if (died && change > 1) expect(aside.mark.quarantine?.atMs).toBe(terms.nowMs);
      const cutAgain = await dyingAt(change, (context) => comeBack(bench, aside, context));
      await comeBack(bench, await found(bench, live));
      await expectBack(bench, live);
      if (!died && !cutAgain) return;
    }
  });

  check("brings a VM back from any moment on its way into quarantine", async (bench) => {
    const live = await running(bench);
    for (let change = 2; await dyingAt(change, (context) => setAside(bench, live, context)); change += 1) {
      expect((await bench.driver.readLiveState(signal())).virdomains).toEqual([]);
      await comeBack(bench, await found(bench, live));
      await expectBack(bench, live);
    }
  });

  check(
    "makes another VM of the same identity and name beside one in quarantine, and each stays itself",
    async (bench) => {
      const live = await running(bench);
      await setAside(bench, live);
      const desired = wanted(bench);
      const next = await bench.driver.create(desired, markOf(desired, bench.instance), freeContext());
      expect(next.id).not.toBe(live.id);
      expect((await bench.driver.create(desired, markOf(desired, bench.instance), freeContext())).id).toBe(next.id);
      await setAside(bench, next);
      const { virdomains, quarantined = [] } = await bench.driver.readLiveState(signal());
      expect(virdomains).toEqual([]);
      expect(quarantined.map(({ id }) => id).sort()).toEqual([live.id, next.id].sort());
      for (const each of quarantined) await bench.driver.delete(each, freeContext());
      expect(await bench.driver.readLiveState(signal())).toEqual({ cluster: bench.driver.cluster, virdomains: [] });
    },
  );

  check("deletes no VM that went into quarantine or out of it meanwhile", async (bench) => {
    const live = await running(bench);
    await setAside(bench, live);
    const aside = await expectAside(bench, live);
    const deleting = (each: LiveVirdomain) => bench.driver.delete(each, freeContext());
    await expect(deleting({ ...aside, mark: live.mark })).rejects.toMatchObject({ code: "virdomain-changed" });
    await releaseVirdomain(bench.driver, aside, freeContext());
    await expect(deleting(aside)).rejects.toMatchObject({ code: "virdomain-changed" });
    expect((await found(bench, live)).disks.map(({ id }) => id)).toEqual(live.disks.map(({ id }) => id));
  });

  check("sets aside no VM that is not ours", async (bench) => {
    const live = await running(bench);
    const foreignId = await bench.createByHand("legacy");
    const foreign = (await bench.driver.findVirdomain(foreignId, signal())) as LiveVirdomain;
    const asOurs = { ...foreign, mark: live.mark };
    await expect(setAside(bench, asOurs)).rejects.toMatchObject({ code: "virdomain-changed" });
    await expect(setAside(bench, { ...live, mark: { ...live.mark, instance: "other" } })).rejects.toMatchObject({
      code: "virdomain-conflict",
    });
    expect(await bench.driver.findVirdomain(foreignId, signal())).toEqual(foreign);
  });
}

function wanted(bench: HypervisorBench, image?: Awaited<ReturnType<HypervisorBench["image"]>>): DesiredVirdomain {
  const data = blankDisk("data", 3 * MiB);
  const disks =
    image === undefined ? [blankDisk("root", 2 * MiB, { boot: 1 }), data] : [imageDisk("root", image), data];
  return vmOn(bench, "web-1", { disks });
}

async function running(bench: HypervisorBench): Promise<Marked> {
  const desired = wanted(bench, await bench.image("debian"));
  const live = await bench.driver.create(desired, markOf(desired, bench.instance), freeContext());
  await bench.driver.start(live.id, freeContext());
  return found(bench, live);
}

async function found({ driver }: HypervisorBench, { id }: LiveVirdomain): Promise<Marked> {
  const live = await driver.findVirdomain(id, signal());
  if (live?.mark === undefined) throw new Error(`VM ${id} lost its mark`);
  return { ...live, mark: live.mark };
}

/** `daysLater`: by the clock of whoever does it. */
async function setAside(
  { driver }: HypervisorBench,
  live: LiveVirdomain,
  context: ChangeContext = freeContext(),
  daysLater = 0,
): Promise<void> {
  const { mark } = live;
  if (mark === undefined) throw new Error("no mark");
  const nowMs = terms.nowMs + daysLater * 86_400_000;
  await quarantineVirdomain(driver, { ...live, mark }, { ...terms, nowMs }, atOnce, context);
}

/** As an operation does it. */
async function comeBack(bench: HypervisorBench, live: Marked, context: ChangeContext = freeContext()): Promise<void> {
  const { driver, instance } = bench;
  const out = live.mark.quarantine === undefined ? live : await releaseVirdomain(driver, live, context);
  const desired = wanted(bench, await bench.image("debian"));
  if (out.name !== desired.name && out.power !== "shutoff") throw new Error("only what is off has another name");
  const updated = await driver.update(out, desired, markOf(desired, instance), context);
  if (updated.power !== "running") await driver.start(updated.id, context);
}

async function expectAside(bench: HypervisorBench, before: LiveVirdomain): Promise<Marked> {
  const { virdomains, quarantined } = await bench.driver.readLiveState(signal());
  expect(virdomains).toEqual([]);
  expect(quarantined).toMatchObject([{ id: before.id, name: asideName, power: "shutoff" }]);
  const now = await found(bench, before);
  expect(now.disks).toEqual(before.disks);
  return now;
}

async function expectBack(bench: HypervisorBench, before: Marked): Promise<void> {
  const state = await bench.driver.readLiveState(signal());
  expect(state.quarantined).toBeUndefined();
  expect(state.virdomains).toHaveLength(1);
  const now = await found(bench, before);
  expect(now).toMatchObject({ id: before.id, name: "web-1", power: "running", tags: before.tags });
  expect(now.disks).toEqual(before.disks);
  expect(now.nics.map(({ id, name }) => ({ id, name }))).toEqual(before.nics.map(({ id, name }) => ({ id, name })));
  expect(now.mark).not.toHaveProperty("quarantine");
}
