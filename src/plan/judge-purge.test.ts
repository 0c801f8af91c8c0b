import { describe, expect, it } from "vitest";
import { desiredState, desiredVirdomain, liveVirdomain, target } from "../../test/support/virdomains.ts";
import { defaultPolicy } from "../manifest/document.ts";
import { type PurgeInput, reasonToStay } from "./judge-purge.ts";
import type { LiveVirdomain, OwnershipMark } from "./live-state.ts";

const dayMs = 86_400_000;
const web = desiredVirdomain({ resource: "web" });
const db = desiredVirdomain({ resource: "db" });
const note = { atMs: dayMs, untilMs: 8 * dayMs, revision: "c".repeat(40), name: "web" };
const found = liveVirdomain(web, { power: "shutoff", name: "web.quarantined-ccccccc" });
const mark: OwnershipMark = { ...(found.mark as OwnershipMark), quarantine: note };
const aside: LiveVirdomain = { ...found, mark };
const { quarantine: _none, ...present } = mark;

const without = desiredState([target("lab", [withQuarantine(0)])]);
const knows = (desired: typeof without): PurgeInput["repository"] => ({ uncertain: undefined, desired });

function withQuarantine(quarantineMs: number) {
  return { ...db, policy: { ...defaultPolicy, quarantineMs } };
}

const due: PurgeInput = {
  cluster: "lab",
  instance: "edge",
  live: aside,
  others: [],
  nowMs: 9 * dayMs,
  repository: knows(without),
};

/** Every manifest still asks for it, and this VM is beside it. */
function beside(changes: Partial<OwnershipMark>, more: Partial<LiveVirdomain> = {}): Partial<PurgeInput> {
  const other: LiveVirdomain = { ...found, id: "vm-2", name: "web", mark: { ...present, ...changes }, ...more };
  return { others: [other], repository: knows(desiredState([target("lab", [web])])), nowMs: 99 * dayMs };
}

describe("a VM whose quarantine is over", () => {
  it.each<[string, Partial<PurgeInput>]>([
    ["nobody asks for it", {}],
    ["its time has just come", { nowMs: 8 * dayMs }],
    ["its repository is no longer configured", { repository: "gone" }],
    ["it crashed", { live: { ...aside, power: "crashed" } }],
    [
      "only another cluster asks for its like",
      { repository: knows(desiredState([target("south", [web])])), nowMs: 99 * dayMs },
    ],
    [
      "its application is undeployed and nothing is left",
      { repository: knows(desiredState([], { undeployed: new Set(["shop"]) })) },
    ],
    ["another VM is by now what the manifests ask for", beside({})],
    [
      "it is being taken apart already, though it is asked for again",
      {
        live: { ...aside, mark: { ...mark, building: true } },
        repository: knows(desiredState([target("lab", [web])])),
        nowMs: 99 * dayMs,
      },
    ],
  ])("may go when %s", (_title, changes) => {
    expect(reasonToStay({ ...due, ...changes })).toBeUndefined();
  });

  it.each<[string, Partial<PurgeInput>]>([
    ["its time is not over", { nowMs: 8 * dayMs - 1 }],
    ["the clock is before its beginning", { nowMs: 0 }],
    ["its times make no sense", { live: { ...aside, mark: { ...mark, quarantine: { ...note, untilMs: 0 } } } }],
    ["it is out of quarantine", { live: { ...aside, mark: present } }],
    ["it lost its mark", { live: { ...aside, mark: undefined } }],
    ["it is another instance's", { live: { ...aside, mark: { ...mark, instance: "other" } } }],
    ["it is a copy", { live: { ...aside, clone: true } }],
    ["it is a replica", { live: { ...aside, replica: true } }],
    ["it runs", { live: { ...aside, power: "running" } }],
    ["it is paused", { live: { ...aside, power: "paused" } }],
    ["its cluster works on it", { live: { ...aside, busy: true } }],
    ["it has its name still", { live: { ...aside, name: "web" } }],
    ["a manifest asks for it", { repository: knows(desiredState([target("lab", [web])])), nowMs: 99 * dayMs }],
    ["the VM in its place is still being built", beside({ building: true })],
    ["the VM in its place is in quarantine, too", beside({ quarantine: note })],
    ["the VM in its place is a copy", beside({}, { clone: true })],
    ["the VM in its place is another instance's", beside({ instance: "other" })],
    ["the VM beside it is another one", beside({ identity: db.identity })],
    [
      "a manifest asks for it by another name",
      {
        repository: knows(desiredState([target("lab", [{ ...withQuarantine(0), formerIdentities: [web.identity] }])])),
      },
    ],
    ["its application is a draft", { repository: knows({ ...without, drafts: new Set(["shop"]) }) }],
    ["its application is broken", { repository: knows({ ...without, brokenApplications: new Set(["shop"]) }) }],
    ["a file cannot be read", { repository: knows({ ...without, complete: false }) }],
    ["its repository describes nothing at all", { repository: knows(desiredState([target("lab", [])])) }],
    ["its repository was never synced", { repository: { uncertain: undefined, desired: undefined } }],
    ["its repository cannot be asked", { repository: { uncertain: "no answer", desired: without } }],
    [
      "its deployment keeps VMs longer by now",
      { repository: knows(desiredState([target("lab", [withQuarantine(30 * dayMs)])])) },
    ],
  ])("stays when %s", (_title, changes) => {
    expect(reasonToStay({ ...due, ...changes })).toEqual(expect.any(String));
  });
});
