import { describe, expect, it } from "vitest";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { applyOperation } from "../../src/app/operation/apply-operation.ts";
import type { OperationEnd } from "../../src/app/operation/operation-input.ts";
import type { DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import { defaultPolicy, type SnapshotPolicy } from "../../src/manifest/document.ts";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import type { Operation } from "../../src/plan/plan.ts";
import { planCluster } from "../../src/plan/plan-cluster.ts";
import { maxAttempts } from "../../src/sync/retry.ts";
import { MiB, blankDisk, desiredVm, freeContext, freeLease, markOf, revision } from "../support/desired-vm.ts";
import { startDroppingProxy } from "../support/dropping-proxy.ts";
import { type HypercoreLab, instance, openHypercoreLab } from "../support/hypercore-lab.ts";
import { desiredState, target } from "../support/virdomains.ts";

const small = desiredVm("web-1", { disks: [blankDisk("root", 2 * MiB, { boot: 1 }), blankDisk("data", 3 * MiB)] });
const large = { ...small, memoryBytes: 1024 * MiB };
const posts = { method: "POST", path: "VirDomainSnapshot$" };
const noRoom = { match: posts, kind: "fail-task", message: "Not enough free space" } as const;

function withPolicy(desired: DesiredVirdomain, snapshots: Partial<SnapshotPolicy>): DesiredVirdomain {
  return { ...desired, policy: { ...defaultPolicy, snapshots: { ...defaultPolicy.snapshots, ...snapshots } } };
}

async function running(lab: HypercoreLab, desired: DesiredVirdomain = small): Promise<LiveVirdomain> {
  const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
  await lab.driver.start(live.id, freeContext());
  return live;
}

/** The one operation that planning makes of this wish. */
async function planned(lab: HypercoreLab, desired: DesiredVirdomain): Promise<Operation> {
  const { operations } = planCluster({
    instance,
    desired: desiredState([target("lab", [desired])]),
    base: undefined,
    live: { ...(await lab.read()), cluster: "lab" },
    traits: lab.driver.traits,
    enforced: new Set(),
    scope: undefined,
  });
  expect(operations).toHaveLength(1);
  return operations[0] as Operation;
}

interface Run {
  readonly end: OperationEnd;
  readonly snapshot: string | undefined;
}

async function apply(
  lab: Pick<HypercoreLab, "driver">,
  operation: Operation,
  desired: DesiredVirdomain,
  attempt = 1,
): Promise<Run> {
  let snapshot: string | undefined;
  const end = await applyOperation(
    {
      operation,
      desired,
      instance,
      revision,
      hypervisor: lab.driver,
      clock: systemClock,
      probe: { http: () => Promise.resolve(true), tcp: () => Promise.resolve(true) },
      token: "5f0c21aa",
      attempt,
      leaseQuarantined: freeLease,
      onSnapshot: (taken) => {
        snapshot = taken?.id;
      },
    },
    freeContext(),
  );
  return { end, snapshot };
}

async function onlyVm(lab: HypercoreLab): Promise<LiveVirdomain> {
  const [live, ...others] = (await lab.read()).virdomains;
  expect(others).toEqual([]);
  return live as LiveVirdomain;
}

/** Snapshots with the VM as it was when they were taken. */
async function snapshots(lab: HypercoreLab) {
  return (await lab.snapshots()) as unknown as {
    readonly uuid: string;
    readonly label: string;
    readonly domain: { readonly state: string; readonly mem: number };
  }[];
}

describe("a change that shuts the VM down", () => {
  it("begins with a snapshot of the VM switched off and unchanged, once", async () => {
    await using lab = await openHypercoreLab();
    await running(lab);
    const operation = await planned(lab, large);
    const { end, snapshot } = await apply(lab, operation, large);
    expect(end).toEqual({ kind: "done" });
    expect(await onlyVm(lab)).toMatchObject({ power: "running", memoryBytes: 1024 * MiB });
    expect(await snapshots(lab)).toMatchObject([
      {
        uuid: snapshot,
        label: `kraken-gitops/edge ${revision.slice(0, 12)} before reboot 5f0c21aa`,
        domain: { state: "SHUTOFF", mem: 512 * MiB },
      },
    ]);
    // The same job once more, as after a crash before its end was written down: it knows of the snapshot.
    expect(await apply(lab, operation, large)).toEqual({ end: { kind: "done" }, snapshot });
    expect(await snapshots(lab)).toHaveLength(1);
  });

  it("is not made when there can be no snapshot, and the VM runs again", async () => {
    await using lab = await openHypercoreLab();
    await running(lab);
    await lab.fault(noRoom);
    await expect(apply(lab, await planned(lab, large), large)).rejects.toMatchObject({ code: "cluster-full" });
    expect(await onlyVm(lab)).toMatchObject({ power: "running", memoryBytes: 512 * MiB });
  });

  it("is not made while snapshots fail; after the last attempt the VM runs again", async () => {
    await using lab = await openHypercoreLab();
    await running(lab);
    await lab.fault({ match: posts, kind: "fail-task" });
    const operation = await planned(lab, large);
    for (const [attempt, power] of [
      [1, "shutoff"],
      [2, "shutoff"],
      [maxAttempts, "running"],
    ] as const) {
      await expect(apply(lab, operation, large, attempt)).rejects.toMatchObject({ code: "task-failed" });
      expect(await onlyVm(lab)).toMatchObject({ power, memoryBytes: 512 * MiB });
    }
  });

  it("takes no second snapshot when the change after it failed, unless the VM ran in between", async () => {
    await using lab = await openHypercoreLab();
    const { id } = await running(lab);
    await lab.fault({ match: { method: "PATCH", path: "VirDomain/" }, kind: "fail-task" });
    const operation = await planned(lab, large);
    for (const attempt of [1, 2]) await expect(apply(lab, operation, large, attempt)).rejects.toThrow();
    expect(await snapshots(lab)).toHaveLength(1);
    await lab.driver.start(id, freeContext());
    await lab.clearFaults();
    const { snapshot } = await apply(lab, operation, large, 3);
    const [, second] = await snapshots(lab);
    expect(second?.uuid).toBe(snapshot);
    expect(await onlyVm(lab)).toMatchObject({ power: "running", memoryBytes: 1024 * MiB });
  });

  it("takes none where policy wants none, and none of a VM that was off", async () => {
    await using lab = await openHypercoreLab();
    const { id } = await running(lab);
    const careless = withPolicy(large, { before: ["data-loss"] });
    expect(await apply(lab, await planned(lab, careless), careless)).toMatchObject({ snapshot: undefined });
    await lab.driver.stop(id, { graceMs: 10_000, force: true }, freeContext());
    expect(await apply(lab, await planned(lab, small), small)).toMatchObject({ end: { kind: "done" } });
    expect(await onlyVm(lab)).toMatchObject({ power: "running", memoryBytes: 512 * MiB });
    expect(await snapshots(lab)).toEqual([]);
  });

  it("takes one of a VM that is being taken over", async () => {
    await using lab = await openHypercoreLab();
    const { id } = await running(lab);
    await lab.admin("PATCH", `VirDomain/${id}`, { tags: "by-hand" });
    const adopting = { ...large, policy: { ...defaultPolicy, adopt: true } };
    const { end, snapshot } = await apply(lab, await planned(lab, adopting), adopting);
    expect(end).toEqual({ kind: "done" });
    expect(await snapshots(lab)).toMatchObject([{ uuid: snapshot, domain: { state: "SHUTOFF", mem: 512 * MiB } }]);
    expect((await onlyVm(lab)).mark).toBeDefined();
  });
});

describe("a change that takes a disk", () => {
  const without = { ...small, disks: small.disks.slice(0, 1) };

  it("begins with a snapshot also when the VM is off, and is not made without one", async () => {
    await using lab = await openHypercoreLab();
    const { id } = await running(lab, { ...small, state: "shutoff" });
    await lab.driver.stop(id, { graceMs: 10_000, force: true }, freeContext());
    const off = { ...without, state: "shutoff" as const };
    const operation = await planned(lab, off);
    await lab.fault({ ...noRoom, times: 1 });
    await expect(apply(lab, operation, off)).rejects.toMatchObject({ code: "cluster-full" });
    expect(await onlyVm(lab)).toMatchObject({ power: "shutoff", disks: [{ name: "root" }, { name: "data" }] });
    const { snapshot } = await apply(lab, operation, off);
    expect(await snapshots(lab)).toMatchObject([
      { uuid: snapshot, label: expect.stringContaining("before data-loss") },
    ]);
    expect(await onlyVm(lab)).toMatchObject({ power: "shutoff", disks: [{ name: "root" }] });
  });
});

describe("a rebuild that keeps nothing", () => {
  const rebuilt: DesiredVirdomain = {
    ...small,
    machineType: "uefi",
    policy: { ...defaultPolicy, quarantineMs: 0 },
  };

  it("takes a snapshot after the VM is off and before it is deleted, and does not speak of it once it went with the VM", async () => {
    await using lab = await openHypercoreLab();
    const { id } = await running(lab);
    await using proxy = await startDroppingProxy(lab.addresses[0] ?? "", undefined);
    const driver = await lab.open({ endpoints: [proxy.address] });
    const { end, snapshot } = await apply({ driver }, await planned(lab, rebuilt), rebuilt);
    expect(end).toEqual({ kind: "done" });
    expect(snapshot).toBeUndefined();
    expect(proxy.calls.slice(0, 4)).toEqual([
      "POST /rest/v1/VirDomain/action",
      "POST /rest/v1/VirDomainSnapshot",
      `DELETE /rest/v1/VirDomain/${id}`,
      "POST /rest/v1/VirDomain",
    ]);
  });

  it("deletes nothing when there can be no snapshot, and the VM runs again", async () => {
    await using lab = await openHypercoreLab();
    const { id } = await running(lab);
    await lab.fault(noRoom);
    await expect(apply(lab, await planned(lab, rebuilt), rebuilt)).rejects.toMatchObject({ code: "cluster-full" });
    expect(await onlyVm(lab)).toMatchObject({ id, power: "running", machineType: "bios" });
  });
});
