import { expect } from "vitest";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { applyOperation } from "../../src/app/operation/apply-operation.ts";
import type { DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import { defaultPolicy } from "../../src/manifest/document.ts";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import { planCluster } from "../../src/plan/plan-cluster.ts";
import type { Operation } from "../../src/plan/plan.ts";
import type { ChangeContext } from "../../src/ports/hypervisor.ts";
import { MiB, blankDisk, dyingAt, freeContext, freeLease, revision } from "../support/desired-vm.ts";
import { type HypervisorBench, vmOn } from "../support/hypervisor-bench.ts";
import { desiredState, target } from "../support/virdomains.ts";

type Check = (title: string, body: (bench: HypervisorBench) => Promise<void>, timeoutMs?: number) => void;

/** Dying at every step takes many real VMs. */
const longMs = 400_000;
const signal = (): AbortSignal => AbortSignal.timeout(60_000);
const probe = { tcp: async () => false, http: async () => false };

/** What rebuilding a VM, and going back from that, asks of every platform. */
export function replaceContract(check: Check): void {
  check(
    "keeps the disks of a VM that is rebuilt, and gives them back when that is reverted",
    async (bench) => {
      const [bios, uefi] = [wanted(bench, "bios"), wanted(bench, "uefi")];
      expect(await bring(bench, bios)).toEqual(["create"]);
      const first = await inUse(bench);
      expect(await bring(bench, uefi)).toEqual(["replace"]);
      const second = await inUse(bench);
      expect(second.id).not.toBe(first.id);
      expect(second).toMatchObject({ name: "web-1", machineType: "uefi", power: "shutoff" });
      expect(await asideOf(bench)).toMatchObject([{ id: first.id, disks: first.disks, power: "shutoff" }]);
      expect(await bring(bench, bios)).toEqual(["replace"]);
      expect(await inUse(bench)).toMatchObject({ id: first.id, name: "web-1", disks: first.disks });
      expect(await asideOf(bench)).toMatchObject([{ id: second.id, disks: second.disks }]);
    },
    longMs,
  );

  check("deletes the old VM at once where nothing is to be kept", async (bench) => {
    const policy = { ...defaultPolicy, quarantineMs: 0, snapshots: { before: [], keepMs: 1 } };
    await bring(bench, { ...wanted(bench, "bios"), policy });
    expect(await bring(bench, { ...wanted(bench, "uefi"), policy })).toEqual(["replace"]);
    expect(await asideOf(bench)).toEqual([]);
    expect(await inUse(bench)).toMatchObject({ machineType: "uefi" });
  });

  check(
    "rebuilds and goes back whatever the moment at which a process dies, and loses no disk",
    async (bench) => {
      const [bios, uefi] = [wanted(bench, "bios"), wanted(bench, "uefi")];
      await bring(bench, bios);
      // Every point of the first steps, some of the many that making a VM has.
      for (let change = 1; ; change += change < 3 ? 1 : 5) {
        const first = await inUse(bench);
        const rebuilt = await cutAndBring(bench, uefi, change);
        const second = await inUse(bench);
        expect(await asideOf(bench)).toMatchObject([{ id: first.id, disks: first.disks }]);
        const returned = await cutAndBring(bench, bios, change);
        expect(await inUse(bench)).toMatchObject({ id: first.id, name: "web-1", disks: first.disks });
        const aside = await asideOf(bench);
        expect(aside).toMatchObject([{ id: second.id, disks: second.disks }]);
        if (!rebuilt && !returned) return;
        for (const each of aside) await bench.driver.delete(each, freeContext(60_000));
      }
    },
    longMs,
  );
}

/** Dies once, looks that no more than one VM is in use, and goes on; false when it did not die. */
async function cutAndBring(bench: HypervisorBench, desired: DesiredVirdomain, change: number): Promise<boolean> {
  const died = await dyingAt(change, (context) => bring(bench, desired, context));
  const { virdomains } = await bench.driver.readLiveState(signal());
  expect(virdomains.length).toBeLessThan(2);
  if (died) await bring(bench, desired);
  expect((await inUse(bench)).machineType).toBe(desired.machineType);
  return died;
}

function wanted(bench: HypervisorBench, machineType: "bios" | "uefi"): DesiredVirdomain {
  const disks = [blankDisk("root", 2 * MiB, { boot: 1 }), blankDisk("data", 3 * MiB)];
  return vmOn(bench, "web-1", { machineType, state: "shutoff", disks });
}

/** Plans and carries out until nothing is left to do; answers the kinds of what was done. */
async function bring(
  { driver, instance }: HypervisorBench,
  desired: DesiredVirdomain,
  context: ChangeContext = freeContext(60_000),
): Promise<readonly string[]> {
  const done: string[] = [];
  for (let round = 0; round < 5; round += 1) {
    const { operations, conflicts } = planCluster({
      instance,
      desired: desiredState([target(driver.cluster, [desired])]),
      base: undefined,
      live: await driver.readLiveState(signal()),
      traits: driver.traits,
      enforced: new Set(),
      scope: undefined,
    });
    expect(conflicts).toEqual([]);
    if (operations.length === 0) return done;
    for (const operation of operations) {
      await apply({ driver, instance }, operation, desired, context);
      done.push(operation.kind);
    }
  }
  throw new Error(`still to do after ${done.join(", ")}`);
}

async function apply(
  { driver, instance }: Pick<HypervisorBench, "driver" | "instance">,
  operation: Operation,
  desired: DesiredVirdomain,
  context: ChangeContext,
): Promise<void> {
  const parts = { operation, desired, instance, revision, token: operation.id, attempt: 1, onSnapshot() {} };
  const world = { hypervisor: driver, clock: systemClock, probe, leaseQuarantined: freeLease };
  expect(await applyOperation({ ...parts, ...world }, context)).toEqual({ kind: "done" });
}

async function inUse({ driver }: HypervisorBench): Promise<LiveVirdomain> {
  const { virdomains } = await driver.readLiveState(signal());
  expect(virdomains).toHaveLength(1);
  return virdomains[0] as LiveVirdomain;
}

async function asideOf({ driver }: HypervisorBench): Promise<readonly LiveVirdomain[]> {
  return (await driver.readLiveState(signal())).quarantined ?? [];
}
