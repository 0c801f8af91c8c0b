import { beforeEach, describe, expect, it } from "vitest";
import { DriftLab, idOf } from "../../test/support/drift-lab.ts";
import { desiredVirdomain, liveVirdomain, target } from "../../test/support/virdomains.ts";
import { defaultPolicy } from "../manifest/document.ts";
import type { LiveVirdomain, OwnershipMark } from "../plan/live-state.ts";
import { ClusterDrift } from "./cluster-drift.ts";

const signal = AbortSignal.timeout(60_000);
const web = idOf("web");
const mark = liveVirdomain(desiredVirdomain()).mark as OwnershipMark;
let lab: DriftLab;
let drift: ClusterDrift;

beforeEach(() => {
  lab = new DriftLab();
  drift = new ClusterDrift(lab.engine, lab.hypervisor);
});

/** Lets time pass, looking as the loop does. */
async function pass(ms: number): Promise<void> {
  const untilMs = lab.nowMs + ms;
  for (; lab.nowMs < untilMs; lab.nowMs += 500) await drift.look(signal);
  await drift.look(signal);
}

async function notice(id: string | undefined): Promise<void> {
  drift.notice(id);
  await pass(1_000);
}

describe("a notice of a changed VM", () => {
  it("makes one look a second later, however many there are, and asks for a sync of its repository", async () => {
    lab.change(web, { cpu: 7 });
    for (let times = 0; times < 5; times += 1) drift.notice(web);
    await drift.look(signal);
    expect(lab.reads).toEqual([]);
    await pass(1_000);
    expect(lab.reads).toEqual([web]);
    expect(lab.asked).toEqual(["fleet"]);
    expect(lab.log.text()).toMatch(/"virdomains":\["web: cpu"\].*drift found, asking for a sync/);
  });

  it("causes nothing when the VM is as desired", async () => {
    await notice(web);
    expect(lab.asked).toEqual([]);
  });

  it.each<[string, Partial<LiveVirdomain>]>([
    ["somebody else's", { mark: undefined }],
    ["a clone of ours", { clone: true }],
    ["a replica", { replica: true }],
    ["under construction", { mark: { ...mark, building: true } }],
    ["in quarantine", { mark: { ...mark, quarantine: { atMs: 1, untilMs: 2, revision: "c", name: "web" } } }],
    ["another instance's", { mark: { ...mark, instance: "west" } }],
  ])("causes nothing when the VM is %s", async (_title, facts) => {
    lab.change(web, { cpu: 7, ...facts });
    await notice(web);
    expect(lab.asked).toEqual([]);
  });

  it("of a VM that is gone reads the whole cluster, and asks when it was ours", async () => {
    await notice("uuid-foreign");
    expect(lab.reads).toEqual(["uuid-foreign", "all"]);
    expect(lab.asked).toEqual([]);
    lab.virdomains.delete(web);
    await notice(web);
    expect(lab.asked).toEqual(["fleet"]);
    expect(lab.log.text()).toContain("web: it is gone");
  });

  it("without a name reads the whole cluster, once for all that happened", async () => {
    lab.change(web, { cpu: 7 });
    lab.virdomains.delete(idOf("db"));
    drift.notice(web);
    await notice(undefined);
    expect(lab.reads).toEqual(["all"]);
    expect(lab.asked).toEqual(["fleet"]);
  });

  it("waits while the VM is on its way from one state to another", async () => {
    lab.change(web, { power: "shutting-down" });
    await notice(web);
    expect(lab.asked).toEqual([]);
    lab.change(web, { power: "shutoff" });
    await pass(6_000);
    expect(lab.asked).toEqual(["fleet"]);
  });

  it("is kept when the cluster cannot be read", async () => {
    lab.change(web, { cpu: 7 });
    lab.away = true;
    await notice(web);
    expect(lab.log.text()).toContain("changed VMs cannot be looked at now");
    lab.away = false;
    await pass(31_000);
    expect(lab.asked).toEqual(["fleet"]);
  });
});

describe("our own operations", () => {
  it.each<[string, () => void]>([
    ["a sync is under way", () => Object.assign(lab, { sync: "running" })],
    ["a sync gave way to the next", () => Object.assign(lab, { sync: "superseded" })],
    ["a commit has arrived and is being planned", () => Object.assign(lab, { observed: "c".repeat(40) })],
  ])("are not taken for drift: while %s the cluster is not read, and looked at afterwards", async (_title, begin) => {
    begin();
    lab.change(web, { cpu: 7 });
    await notice(web);
    await pass(60_000);
    expect(lab.asked).toEqual([]);
    expect(lab.reads).toEqual([]);
    Object.assign(lab, { sync: "finished", observed: "b".repeat(40) });
    await pass(6_000);
    expect(lab.asked).toEqual(["fleet"]);
  });

  it("that did not bring the target to its end leave unfinished work, and no drift", async () => {
    lab.applied = new Map([["lab/shop", ""]]);
    lab.change(web, { cpu: 7 });
    lab.virdomains.delete(idOf("db"));
    await notice(undefined);
    expect(lab.asked).toEqual([]);
  });

  it("are nobody's drift where nothing was ever synced", async () => {
    lab.sync = "none";
    lab.change(web, { cpu: 7 });
    await notice(web);
    expect(lab.asked).toEqual([]);
  });
});

describe("a VM that keeps drifting", () => {
  it("causes nothing more while it stays as it was seen", async () => {
    lab.change(web, { cpu: 7 });
    await notice(web);
    for (let times = 0; times < 20; times += 1) {
      await notice(web);
      await pass(60_000);
    }
    expect(lab.asked).toHaveLength(1);
  });

  it("is put right again when somebody repeats the very same change", async () => {
    lab.change(web, { cpu: 7 });
    await notice(web);
    lab.correct();
    await pass(61_000);
    lab.change(web, { cpu: 7 });
    await notice(web);
    await pass(120_000);
    expect(lab.asked).toHaveLength(2);
  });

  it("is put right at most once a minute, then less and less, and never forgotten", async () => {
    const askedAtMs: number[] = [];
    const startedMs = lab.nowMs;
    for (let cpu = 10; lab.nowMs < startedMs + 10 * 60_000; cpu += 1) {
      lab.change(web, { cpu });
      await notice(web);
      while (askedAtMs.length < lab.asked.length) askedAtMs.push(lab.nowMs - startedMs);
      if (lab.asked.length > 0) lab.correct();
      await pass(5_000);
    }
    const minutes = askedAtMs.map((ms) => Math.round(ms / 60_000));
    expect(minutes).toEqual([0, 1, 3, 7]);
  });

  it("is only told of where policy reports drift, but made again when it is gone", async () => {
    const policy = { ...defaultPolicy, drift: "report" as const };
    lab.targets = [target("lab", [desiredVirdomain({ resource: "web", policy })])];
    lab.change(web, { cpu: 7 });
    await notice(web);
    await notice(web);
    expect(lab.asked).toEqual([]);
    expect(lab.log.text().match(/drift found, left as it is by policy/g)).toHaveLength(1);
    lab.virdomains.delete(web);
    await notice(web);
    expect(lab.asked).toEqual(["fleet"]);
  });

  it("is judged anew under a new wish, also when it looks as before", async () => {
    await notice(web);
    lab.targets = [target("lab", [desiredVirdomain({ resource: "web", cpu: 8 })])];
    await notice(web);
    expect(lab.asked).toEqual(["fleet"]);
  });
});
