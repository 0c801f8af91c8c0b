import { describe, expect, it } from "vitest";
import { desiredVirdomain, liveVirdomain, traits } from "../../test/support/virdomains.ts";
import { defaultPolicy } from "../manifest/document.ts";
import { diffVirdomain } from "./diff-virdomain.ts";
import type { LiveVirdomain, OwnershipMark, PowerState } from "./live-state.ts";
import { keepingPower, owedPower } from "./power.ts";

const enforced = desiredVirdomain();
const initial = desiredVirdomain({ policy: { ...defaultPolicy, power: "initial" } });
const initiallyOff = { ...initial, state: "shutoff" as const };
const mark = liveVirdomain(enforced).mark as OwnershipMark;
const quarantine = { atMs: 1, untilMs: 2, revision: "c", name: "web" };

function powerChange(desired = initial, facts: Partial<LiveVirdomain> = {}): string | undefined {
  const { changes } = diffVirdomain(desired, liveVirdomain(enforced, facts), traits);
  const change = changes.find(({ kind }) => kind === "power");
  return change && `${change.from} -> ${change.to}`;
}

describe("the power of a VM", () => {
  it.each<[string, typeof initial, Partial<LiveVirdomain>, string | undefined]>([
    ["is enforced unless policy says otherwise", enforced, { power: "shutoff" }, "shutoff -> running"],
    ["stays off when a person shut the VM down", initial, { power: "shutoff" }, undefined],
    ["stays off after a crash of the guest", initial, { power: "crashed" }, undefined],
    ["stays on when a person switched it on", initiallyOff, { power: "running" }, undefined],
    ["is left paused", initial, { power: "paused" }, undefined],
    ["is left to people on a VM that is taken over", initial, { power: "shutoff", mark: undefined }, undefined],
    [
      "is ours while the VM is being built",
      initial,
      { power: "shutoff", mark: { ...mark, building: true } },
      "shutoff -> running",
    ],
    [
      "is ours when it comes back from quarantine",
      initial,
      { power: "shutoff", mark: { ...mark, quarantine } },
      "shutoff -> running",
    ],
    ["is ours when we switched it off", owedPower(initiallyOff), { power: "shutoff" }, "shutoff -> running"],
  ])("%s", (_title, desired, facts, expected) => {
    expect(powerChange(desired, facts)).toBe(expected);
  });

  it("says nothing of other fields", () => {
    const off = liveVirdomain(enforced, { power: "shutoff", cpu: 7 });
    expect(diffVirdomain(initial, off, traits).changes.map(({ path }) => path)).toEqual(["cpu"]);
  });
});

describe("keepingPower", () => {
  it.each<[PowerState, string]>([
    ["running", "running"],
    ["paused", "running"],
    ["shutting-down", "running"],
    ["shutoff", "shutoff"],
    ["crashed", "shutoff"],
  ])("leaves a VM that is %s %s, whatever the manifest says", (power, state) => {
    for (const desired of [initial, initiallyOff])
      expect(keepingPower(desired, liveVirdomain(desired, { power })).state).toBe(state);
    expect(keepingPower(enforced, liveVirdomain(enforced, { power })).state).toBe("running");
  });
});
