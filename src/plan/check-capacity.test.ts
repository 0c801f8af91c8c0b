import { describe, expect, it } from "vitest";
import { desiredVirdomain, gibibyte, liveVirdomain } from "../../test/support/virdomains.ts";
import { checkCapacity, neverFits, withDemand } from "./check-capacity.ts";
import type { ClusterCapacity } from "./cluster-capacity.ts";
import type { Operation } from "./plan.ts";
import { anOperation } from "../../test/support/build-plan.ts";

const GiB = gibibyte;
const base = desiredVirdomain({ memoryBytes: 4 * GiB });
const [system] = base.disks;
if (system === undefined) throw new Error("the sample VM has a system disk");

const roomy: ClusterCapacity = {
  nodes: [
    { memoryBytes: 64 * GiB, usedMemoryBytes: 60 * GiB },
    { memoryBytes: 32 * GiB, usedMemoryBytes: 10 * GiB },
  ],
  tiers: [
    { name: "HDD", totalBytes: 1_000 * GiB, usedBytes: 500 * GiB },
    { name: "SSD", totalBytes: 200 * GiB, usedBytes: 100 * GiB },
  ],
  complaints: [],
};

function asking(demand: Partial<NonNullable<Operation["demand"]>>, parts: Partial<Operation> = {}): Operation {
  const none = { vmMemoryBytes: 0, addedMemoryBytes: 0, addedStorageBytes: 0 };
  return anOperation({
    kind: "create",
    virdomain: "web-1",
    cluster: "store-1",
    demand: { ...none, ...demand },
    ...parts,
  });
}

const messages = (operations: readonly Operation[], capacity: ClusterCapacity): string[] =>
  checkCapacity("store-1", operations, capacity).map(({ message }) => message);

describe("what an operation asks of its cluster", () => {
  const demand = (...[kind, wanted, live]: [Operation["kind"], typeof base, ReturnType<typeof liveVirdomain>?]) =>
    withDemand(anOperation({ kind, virdomain: "web-1" }), wanted, live).demand;
  const disks = [
    { ...system, capacityBytes: 30 * GiB },
    { ...system, name: "data", asset: undefined, capacityBytes: 100 * GiB },
  ];
  const live = liveVirdomain(base);

  it("is everything for a new VM, and no memory when it stays off", () => {
    expect(demand("create", { ...base, disks })).toEqual({
      vmMemoryBytes: 4 * GiB,
      addedMemoryBytes: 4 * GiB,
      addedStorageBytes: 130 * GiB,
    });
    expect(demand("create", { ...base, disks, state: "shutoff" })).toMatchObject({
      vmMemoryBytes: 0,
      addedMemoryBytes: 0,
    });
  });

  it("is the difference for one that exists", () => {
    const grown = {
      ...base,
      memoryBytes: 6 * GiB,
      disks: [{ ...system, capacityBytes: (system.capacityBytes ?? 0) + GiB }],
    };
    expect(demand("update", grown, live)).toEqual({
      vmMemoryBytes: 6 * GiB,
      addedMemoryBytes: 2 * GiB,
      addedStorageBytes: GiB,
    });
    expect(demand("start", base, { ...live, power: "shutoff" })).toMatchObject({ addedMemoryBytes: 4 * GiB });
  });

  it("is nothing where the VM has it all, shrinks or stops", () => {
    expect(demand("update", base, live)).toBeUndefined();
    expect(demand("update", { ...base, memoryBytes: GiB, disks: [] }, live)).toBeUndefined();
    expect(demand("stop", { ...base, state: "shutoff" }, live)).toBeUndefined();
  });
});

describe("the room of a cluster", () => {
  it("refuses only what no node could ever hold", () => {
    expect(neverFits(asking({ vmMemoryBytes: 64 * GiB }), roomy)).toBeUndefined();
    expect(neverFits(asking({ vmMemoryBytes: 65 * GiB }), roomy)).toMatch(/65 GiB.*64 GiB/);
    expect(neverFits(asking({ vmMemoryBytes: 65 * GiB }), { ...roomy, nodes: [] })).toBeUndefined();
  });

  it("is no news where it suffices, and unknown where the platform does not tell", () => {
    const fits = asking({ vmMemoryBytes: 8 * GiB, addedMemoryBytes: 8 * GiB, addedStorageBytes: 600 * GiB });
    expect(messages([fits], roomy)).toEqual([]);
    const huge = asking({ vmMemoryBytes: 800 * GiB, addedMemoryBytes: 800 * GiB, addedStorageBytes: 9_000 * GiB });
    expect(messages([huge], { nodes: [], tiers: [], complaints: [] })).toEqual([]);
  });

  const short: [string, Operation[], Partial<ClusterCapacity>, RegExp][] = [
    [
      "memory on one node",
      [asking({ vmMemoryBytes: 24 * GiB, addedMemoryBytes: 24 * GiB })],
      {},
      /web-1 needs 24 GiB.*22 GiB/,
    ],
    [
      "memory of all together",
      [asking({ addedMemoryBytes: 14 * GiB }), asking({ addedMemoryBytes: 14 * GiB })],
      {},
      /28 GiB of memory are needed, 26 GiB are free/,
    ],
    ["storage", [asking({ addedStorageBytes: 601 * GiB })], {}, /601 GiB, 600 GiB are free/],
    [
      "the tier that snapshots are written to",
      [anOperation({ kind: "update", virdomain: "db", snapshot: { keepMs: 1 } })],
      { tiers: [{ name: "SSD", totalBytes: 100 * GiB, usedBytes: 97 * GiB }] },
      /SSD tier is 97 % full \(3 GiB free\)/,
    ],
    [
      "room by the cluster's own words",
      [asking({ addedStorageBytes: GiB })],
      { complaints: ["Storage is nearly full"] },
      /the cluster reports: Storage is nearly full/,
    ],
  ];
  it.each(short)("warns when it is short of %s", (_what, operations, capacity, message) => {
    expect(messages(operations, { ...roomy, ...capacity })).toEqual([expect.stringMatching(message)]);
  });

  it("does not trouble operations that need none", () => {
    const full = {
      ...roomy,
      tiers: [{ name: "SSD", totalBytes: 100, usedBytes: 99 }],
      complaints: ["Storage is nearly full"],
    };
    expect(messages([anOperation({ kind: "update", virdomain: "db" })], full)).toEqual([]);
  });
});
