import { describe, expect, it } from "vitest";
import { desiredVirdomain, liveVirdomain, traits } from "../../test/support/virdomains.ts";
import { diffVirdomain } from "./diff-virdomain.ts";
import type { LiveVirdomain, PlatformTraits } from "./live-state.ts";
import { mayNeedOff, needsOff } from "./needs-off.ts";
import { snapshotBefore } from "./snapshot-need.ts";

const desired = desiredVirdomain({ cpu: 4 });
const hotPlugged: PlatformTraits = { ...traits, rebootFor: new Set() };

const running = (cpu: number, liveCpuLimit?: number): LiveVirdomain =>
  liveVirdomain(desired, { cpu, ...(liveCpuLimit === undefined ? {} : { liveCpuLimit }) });

describe("needsOff", () => {
  it.each<[string, LiveVirdomain, PlatformTraits, boolean]>([
    ["more CPUs on a VM without room for them", running(2), traits, true],
    ["more CPUs within what the running VM can be given", running(2, 8), traits, false],
    ["as many CPUs as the running VM can be given", running(2, 4), traits, false],
    ["more CPUs than the running VM can be given", running(2, 3), traits, true],
    ["fewer CPUs, whatever the VM could be given", running(8, 16), traits, true],
    ["CPUs on a platform that never asks for a restart", running(8), hotPlugged, false],
  ])("of %s", (_title, live, platform, expected) => {
    expect(needsOff("cpu", { live, desired }, platform)).toBe(expected);
    const { changes } = diffVirdomain(desired, live, platform);
    expect(changes).toMatchObject([{ kind: "cpu", disruption: expected ? "reboot" : "live" }]);
    expect(snapshotBefore(desired, { changes, live, wasOn: true }, platform) !== undefined).toBe(expected);
  });

  it("of other changes is as the platform says, however many CPUs the VM could be given", () => {
    for (const kind of ["memory", "nic-add", "disk-grow", "tags"] as const)
      expect(needsOff(kind, { live: running(2, 8), desired }, traits)).toBe(traits.rebootFor.has(kind));
  });

  it("of a VM that gets other changes, too, is no matter of its CPUs", () => {
    const larger = { ...desired, memoryBytes: 2 * desired.memoryBytes };
    expect(diffVirdomain(larger, running(2, 8), traits).changes).toMatchObject([
      { kind: "cpu", disruption: "live" },
      { kind: "memory", disruption: "reboot" },
    ]);
  });
});

it("mayNeedOff is true of what is tried on the running VM first", () => {
  expect([mayNeedOff("disk-remove", traits), mayNeedOff("cpu", traits)]).toEqual([true, false]);
});
