import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { MiB, blankDisk, desiredVm, freeContext, imageDisk, markOf } from "../../../test/support/desired-vm.ts";
import { type HypercoreLab, instance, openHypercoreLab } from "../../../test/support/hypercore-lab.ts";
import { recordLog } from "../../../test/support/recorded-log.ts";
import { waitFor } from "../../../test/support/wait-for.ts";
import { systemClock } from "../../adapters/system-clock.ts";
import { Handles } from "../../lib/handles.ts";
import type { Hypervisor } from "../../ports/hypervisor.ts";
import type { StateStore } from "../../ports/state-store.ts";
import { cleanClusters, startCleaning } from "./clean-clusters.ts";

type Parts = Parameters<typeof cleanClusters>[0];

const hourMs = 3_600_000;
const signal = AbortSignal.timeout(60_000);
let handles: Handles;

beforeEach(() => {
  handles = new Handles();
});
afterEach(() => handles[Symbol.asyncDispose]());

async function openLab(): Promise<HypercoreLab> {
  return handles.use(await openHypercoreLab());
}

/** A VM with a snapshot whose time is over in an hour. */
async function withSnapshot(lab: HypercoreLab): Promise<void> {
  const desired = desiredVm("web-1", { disks: [blankDisk("root", 2 * MiB, { boot: 1 })] });
  const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
  const request = { label: "before reboot", keepUntilMs: Date.now() + hourMs, fresh: false, adopt: false };
  await lab.driver.ensureSnapshot(live, request, freeContext());
}

/** Leases of one Redis, by the clock of the test. */
function leases(now: () => number): Pick<StateStore, "acquireLease" | "listPauses"> {
  const ends = new Map<string, number>();
  return {
    listPauses: () => Promise.resolve([]),
    acquireLease(name, ttlMs) {
      if ((ends.get(name) ?? 0) > now()) return Promise.resolve(undefined);
      ends.set(name, now() + ttlMs);
      return Promise.resolve({ token: 1, renew: () => Promise.resolve(true), release: () => Promise.resolve() });
    },
  };
}

/** A process on these clusters, `aheadMs` from now; several may share their leases. */
function processOn(labs: Readonly<Record<string, HypercoreLab>>, aheadMs: () => number) {
  const now = (): number => Date.now() + aheadMs();
  const log = recordLog();
  const clusters = Object.keys(labs).map((name) => ({ name, driver: "hypercore" }));
  const engine = {
    clock: { ...systemClock, now },
    config: () => ({ clusters, repositories: [] }),
    hypervisor: (name: string): Promise<Hypervisor> => Promise.resolve((labs[name] as HypercoreLab).driver),
    log: log.log,
    random: () => 0,
    store: leases(now),
  } as unknown as Parts;
  return { engine, log };
}

describe("cleaning clusters", () => {
  it("happens once an hour on each cluster, in one process", async () => {
    const lab = await openLab();
    await withSnapshot(lab);
    let aheadMs = 0;
    const { engine } = processOn({ lab }, () => aheadMs);
    const other = { ...processOn({ lab }, () => aheadMs).engine, store: engine.store };
    await cleanClusters(engine, signal);
    expect(await lab.snapshots()).toHaveLength(1);
    const looks = await countLooks(lab);
    expect(looks).toBeGreaterThan(0);
    aheadMs = hourMs - 60_000;
    await cleanClusters(engine, signal);
    await cleanClusters(other, signal);
    expect(await countLooks(lab)).toBe(looks);
    aheadMs = hourMs + 60_000;
    await cleanClusters(other, signal);
    expect(await lab.snapshots()).toEqual([]);
  });

  it("leaves a cluster that is paused, until it is resumed", async () => {
    const lab = await openLab();
    await withSnapshot(lab);
    const { engine } = processOn({ lab }, () => 2 * hourMs);
    const scope = { kind: "cluster", cluster: "lab" } as const;
    const pause = { scope, reason: "", by: "ada", atMs: 0, untilMs: undefined };
    const store = { ...engine.store, listPauses: () => Promise.resolve([pause]) };
    await cleanClusters({ ...engine, store }, signal);
    expect(await lab.snapshots()).toHaveLength(1);
    await cleanClusters(engine, signal);
    expect(await lab.snapshots()).toEqual([]);
  });

  it("leaves a cluster that is updating or away, and goes on with the others", async () => {
    const [away, updating, well] = [await openLab(), await openLab(), await openLab()];
    for (const lab of [away, updating, well]) await withSnapshot(lab);
    await away.fault({ match: { path: "^/rest" }, kind: "html502" });
    await updating.fault({ match: { path: "update_status" }, kind: "html502" });
    let aheadMs = 2 * hourMs;
    const { engine, log } = processOn({ away, updating, well }, () => aheadMs);
    await cleanClusters(engine, signal);
    expect(log.text()).toMatch(/"cluster":"updating".*cluster cannot be cleaned now/);
    for (const lab of [away, updating]) await lab.clearFaults();
    expect(
      [await away.snapshots(), await updating.snapshots(), await well.snapshots()].map(({ length }) => length),
    ).toEqual([1, 1, 0]);
    aheadMs += hourMs;
    await cleanClusters(engine, signal);
    expect([...(await away.snapshots()), ...(await updating.snapshots())]).toEqual([]);
  });

  it("removes an upload that broke off once it was there an hour before, and no name that is not ours", async () => {
    const lab = await openLab();
    let aheadMs = 0;
    const { engine, log } = processOn({ lab }, () => aheadMs);
    await lab.fault({ match: { method: "PUT", path: "upload" }, kind: "drop-upload", times: 1 });
    const root = imageDisk("root", await lab.image("debian", 4 * MiB));
    const desired = desiredVm("web-1", { disks: [root] });
    await expect(lab.driver.create(desired, markOf(desired, instance), freeContext())).rejects.toThrow();
    await lab.admin("POST", "ISO", { name: "theirs.iso", size: MiB, readyForInsert: false });
    const left = async (): Promise<number> => ((await lab.admin("GET", "VirtualDisk")) as unknown[]).length;
    await cleanClusters(engine, signal);
    expect(await left()).toBe(1);
    aheadMs = 1.1 * hourMs;
    await cleanClusters(engine, signal);
    expect(await left()).toBe(0);
    expect(log.text()).toContain("orphaned uploads removed");
    expect(await lab.admin("GET", "ISO")).toMatchObject([{ name: "theirs.iso" }]);
  });

  it("writes nothing when the process slept through its turn", async () => {
    const lab = await openLab();
    await withSnapshot(lab);
    let aheadMs = 2 * hourMs;
    const { engine, log } = processOn({ lab }, () => aheadMs);
    const hypervisor = (name: string): Promise<Hypervisor> => {
      aheadMs += 2 * hourMs;
      return engine.hypervisor(name);
    };
    await cleanClusters({ ...engine, hypervisor }, signal);
    expect(log.text()).toContain("lease-lost");
    expect(await lab.snapshots()).toHaveLength(1);
  });

  it("goes on by itself until it is disposed", async () => {
    const lab = await openLab();
    await withSnapshot(lab);
    const { engine, log } = processOn({ lab }, () => 2 * hourMs);
    const removing = startCleaning(engine);
    await waitFor(async () => ((await lab.snapshots()).length === 0 ? true : undefined), { what: "the removal" });
    await log.says(/"cluster":"lab","snapshots":\["[0-9a-f-]{36}"\].*expired snapshots removed/);
    await removing[Symbol.asyncDispose]();
  });
});

async function countLooks(lab: HypercoreLab): Promise<number> {
  const { counts } = (await lab.control("GET", "calls")) as { counts: Record<string, number> };
  return counts["GET /rest/v1/VirDomainSnapshot"] ?? 0;
}
