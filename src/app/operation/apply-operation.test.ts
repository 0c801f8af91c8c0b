import { describe, expect, it } from "vitest";
import { freeContext, freeLease } from "../../../test/support/desired-vm.ts";
import { desiredVirdomain, liveVirdomain, target, traits } from "../../../test/support/virdomains.ts";
import { systemClock } from "../../adapters/system-clock.ts";
import type { DesiredVirdomain } from "../../fleet/desired-state.ts";
import { WatcherError } from "../../lib/errors.ts";
import { changeOperation, restoreOperation } from "../../plan/build-operation.ts";
import { diffVirdomain } from "../../plan/diff-virdomain.ts";
import type { LiveVirdomain, PlatformTraits } from "../../plan/live-state.ts";
import type { Hypervisor } from "../../ports/hypervisor.ts";
import { applyOperation } from "./apply-operation.ts";

const base = desiredVirdomain();
const eager: PlatformTraits = { ...traits, mayRebootFor: new Set(["disk-remove", "nic-remove"]), snapshots: false };
const pluggable: PlatformTraits = { ...eager, rebootFor: new Set(["cpu", "memory"]) };

/** Plans a change and carries it out; answers what the cluster was asked for. `holds`: the guest lets go of nothing. */
async function change(
  live: LiveVirdomain,
  desired: DesiredVirdomain,
  platform: PlatformTraits,
  { holds = false } = {},
): Promise<readonly string[]> {
  const calls: string[] = [];
  let power = live.power;
  const owes = desired.policy.power === "initial";
  const hypervisor = {
    traits: platform,
    findVirdomain: () => Promise.resolve({ ...live, power }),
    prepare: () => Promise.resolve(),
    update: (found: LiveVirdomain) => {
      calls.push("update");
      if (holds && found.power === "running")
        return Promise.reject(new WatcherError("virdomain-running", "the guest does not let go"));
      return Promise.resolve({ ...liveVirdomain(desired), power: found.power });
    },
    stop: () => {
      calls.push("stop");
      power = "shutoff";
      return Promise.resolve();
    },
    start: () => {
      calls.push("start");
      power = "running";
      return Promise.resolve();
    },
  } as unknown as Hypervisor;
  const { changes, notices } = diffVirdomain(desired, live, platform);
  const operation = changeOperation(target("lab", [desired]), desired, live, changes, notices, false);
  if (operation === undefined) throw new Error("there is nothing to do");
  await applyOperation(
    {
      operation,
      desired,
      instance: "edge",
      revision: "b".repeat(40),
      hypervisor,
      clock: systemClock,
      probe: { tcp: () => Promise.resolve(true), http: () => Promise.resolve(true) },
      token: "t",
      attempt: 1,
      onSnapshot: () => undefined,
      leaseQuarantined: freeLease,
      owed: {
        oweStart: () => Promise.resolve(void calls.push("owe")),
        settleStart: () => Promise.resolve(void (owes && calls.push("settle"))),
      },
    },
    freeContext(),
  );
  return calls;
}

describe("an update of a running VM", () => {
  const withRoom = liveVirdomain(base, { liveCpuLimit: 8 });
  const restart = ["stop", "update", "start"];

  it.each<[string, LiveVirdomain, Partial<DesiredVirdomain>, readonly string[]]>([
    ["goes on running for a live change", withRoom, { description: "new words" }, ["update"]],
    ["goes on running for CPUs it has room for", withRoom, { cpu: 8 }, ["update"]],
    ["is shut down for more CPUs than it has room for", withRoom, { cpu: 9 }, restart],
    ["is shut down for more CPUs when it has no room", liveVirdomain(base), { cpu: 4 }, restart],
    ["is shut down for fewer CPUs", withRoom, { cpu: 1 }, restart],
    ["is shut down once when one of its changes needs it", withRoom, { cpu: 4, memoryBytes: 2 ** 32 }, restart],
  ])("%s", async (_title, live, wanted, calls) => {
    expect(await change(live, { ...base, ...wanted }, eager)).toEqual(calls);
  });

  it.each([
    ["a disk", { disks: [] }],
    ["a NIC", { nics: [] }],
  ])("tries to take %s from the running guest, and shuts it down when it holds on", async (_title, wanted) => {
    expect(await change(withRoom, { ...base, ...wanted }, pluggable)).toEqual(["update"]);
    const held = await change(withRoom, { ...base, ...wanted }, pluggable, { holds: true });
    expect(held).toEqual(["update", "stop", "update", "start"]);
  });

  it("is not shut down where the plan spoke of no restart", async () => {
    await expect(change(withRoom, { ...base, cpu: 4 }, pluggable, { holds: true })).rejects.toThrow("does not let go");
  });
});

describe("an update of a VM whose power is people's", () => {
  const initial: DesiredVirdomain = { ...base, cpu: 4, policy: { ...base.policy, power: "initial" } };
  const live = liveVirdomain(base);

  it("notes that it has to be on again before it is switched off, until it is", async () => {
    expect(await change(live, initial, eager)).toEqual(["owe", "stop", "update", "start", "settle"]);
    const initiallyOff = { ...initial, state: "shutoff" as const };
    expect(await change(live, initiallyOff, eager)).toEqual(["owe", "stop", "update", "start", "settle"]);
    const { cpu: _cpu, ...rest } = initial;
    const smaller = { ...rest, cpu: base.cpu, disks: [] };
    expect(await change(live, smaller, pluggable, { holds: true })).toEqual([
      "update",
      "owe",
      "stop",
      "update",
      "start",
      "settle",
    ]);
  });

  it("leaves it off when a person shut it down", async () => {
    expect(await change({ ...live, power: "shutoff" }, initial, eager)).toEqual(["update"]);
  });
});
describe("a return from quarantine", () => {
  const note = { atMs: 1, untilMs: 2, revision: "c".repeat(12), name: base.name };
  const live = liveVirdomain(base, { power: "shutoff", name: `${base.name}.quarantined-ccccccc` });
  const aside: LiveVirdomain = { ...live, mark: { ...live.mark!, quarantine: note } };

  it("does not happen once another VM took its place since it was planned", async () => {
    const { changes, notices } = diffVirdomain(base, aside, eager);
    const operation = restoreOperation(target("lab", [base]), base, aside, changes, notices);
    const successor = { ...liveVirdomain(base), id: "another" };
    const remarked: string[] = [];
    const hypervisor = {
      traits: eager,
      findVirdomain: () => Promise.resolve(aside),
      readLiveState: () => Promise.resolve({ cluster: "lab", virdomains: [successor], quarantined: [aside] }),
      remark: ({ id }: LiveVirdomain) => {
        remarked.push(id);
        return Promise.resolve(aside);
      },
    } as unknown as Hypervisor;
    const parts = { operation, desired: base, instance: "edge", revision: "b".repeat(40), token: "t", attempt: 1 };
    const world = { hypervisor, clock: systemClock, probe: { tcp: yes, http: yes }, leaseQuarantined: freeLease };
    const end = await applyOperation({ ...parts, ...world, onSnapshot: () => undefined }, freeContext());
    expect(end).toEqual({ kind: "stale", message: expect.stringContaining("(another) took its place") });
    expect(remarked).toEqual([]);
  });
});

function yes(): Promise<boolean> {
  return Promise.resolve(true);
}
