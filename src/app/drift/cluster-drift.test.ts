import { beforeEach, describe, expect, it } from "vitest";
import { DriftLab, idOf, revision } from "../../../test/support/drift-lab.ts";
import { desiredVirdomain, liveVirdomain, target } from "../../../test/support/virdomains.ts";
import { defaultPolicy } from "../../manifest/document.ts";
import type { LiveVirdomain, OwnershipMark } from "../../plan/live-state.ts";
import type { Pause } from "../../sync/pauses.ts";
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

/** Minutes at which a sync was asked for; `spoil` changes the VM again as soon as it was put right. */
async function minutesOfAsking(minutes: number, spoil?: (cpu: number) => void): Promise<number[]> {
  const asked: number[] = [];
  const startedMs = lab.nowMs;
  for (let cpu = 10; lab.nowMs < startedMs + minutes * 60_000; cpu += 1) {
    spoil?.(cpu);
    await notice(web);
    while (asked.length < lab.asked.length) asked.push(Math.round((lab.nowMs - startedMs) / 60_000));
    await pass(5_000);
  }
  return asked;
}

describe("a notice of a changed VM", () => {
  it("makes one look a second later, however many there are, and asks for a sync of its repository", async () => {
    lab.change(web, { cpu: 7 });
    for (let times = 0; times < 5; times += 1) drift.notice(web);
    await drift.look(signal);
    expect(lab.reads).toEqual([]);
    await pass(1_000);
    expect(lab.reads).toEqual([web]);
    expect(lab.asked).toEqual(["lab/shop"]);
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
    expect(lab.asked).toEqual(["lab/shop"]);
    expect(lab.log.text()).toContain("web: it is gone");
  });

  it("without a name reads the whole cluster, once for all that happened", async () => {
    lab.change(web, { cpu: 7 });
    lab.virdomains.delete(idOf("db"));
    drift.notice(web);
    await notice(undefined);
    expect(lab.reads).toEqual(["all"]);
    expect(lab.asked).toEqual(["lab/shop"]);
  });

  it("waits while the VM is on its way from one state to another", async () => {
    lab.change(web, { power: "shutting-down" });
    await notice(web);
    expect(lab.asked).toEqual([]);
    lab.change(web, { power: "shutoff" });
    await pass(6_000);
    expect(lab.asked).toEqual(["lab/shop"]);
  });

  it("is kept when the cluster cannot be read", async () => {
    lab.change(web, { cpu: 7 });
    lab.away = true;
    await notice(web);
    expect(lab.log.text()).toContain("cluster cannot be compared now");
    lab.away = false;
    await pass(31_000);
    expect(lab.asked).toEqual(["lab/shop"]);
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
    expect(lab.asked).toEqual(["lab/shop"]);
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
  it("is asked for again when nothing came of it, less and less, and then no more", async () => {
    lab.change(web, { cpu: 7 });
    const askedAtMs = await minutesOfAsking(120);
    expect(askedAtMs).toEqual([0, 1, 3, 7, 15]);
    expect(lab.log.text().match(/given up/g)).toHaveLength(1);
  });

  it("is put right again when somebody repeats the very same change", async () => {
    lab.change(web, { cpu: 7 });
    await notice(web);
    lab.correct();
    await pass(61_000);
    lab.change(web, { cpu: 7 });
    await notice(web);
    await pass(30_000);
    expect(lab.asked).toHaveLength(2);
  });

  it("is put right at most once a minute, then less and less, and is given up in the end", async () => {
    expect(await minutesOfAsking(120, (cpu) => lab.change(web, { cpu }))).toEqual([0, 1, 3, 7, 15]);
    expect(lab.told.map(({ key, message }) => [key, message.kind === "status" ? message.status : undefined])).toEqual([
      [
        `status/${revision}/kraken-gitops/drift`,
        expect.objectContaining({
          state: "failure",
          description: "Drift: web on lab changes back again and again (cpu); gave up after 5 corrections",
        }),
      ],
    ]);
  });

  it("starts over when somebody asks for a sync, and the commit hears that it is over", async () => {
    await minutesOfAsking(60, (cpu) => lab.change(web, { cpu }));
    lab.asked.length = 0;
    lab.restartedAtMs = lab.nowMs;
    lab.nowMs += 60_000;
    await notice(web);
    expect(lab.asked).toEqual(["lab/shop"]);
    expect(lab.told.at(-1)?.message).toMatchObject({ status: { state: "success" } });
    expect(lab.told).toHaveLength(2);
  });

  it("is forgotten once it is as git wants it and its time is over", async () => {
    await minutesOfAsking(60, (cpu) => lab.change(web, { cpu }));
    lab.correct();
    await notice(undefined);
    expect(lab.records.size).toBe(1);
    lab.nowMs += 24 * 3_600_000;
    await notice(undefined);
    expect(lab.records.size).toBe(0);
    expect(lab.told.at(-1)?.message).toMatchObject({ status: { state: "success" } });
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
    expect(lab.asked).toEqual(["lab/shop"]);
  });

  it("is judged anew under a new wish, also when it looks as before", async () => {
    await notice(web);
    lab.targets = [target("lab", [desiredVirdomain({ resource: "web", cpu: 8 })])];
    await notice(web);
    expect(lab.asked).toEqual(["lab/shop"]);
  });
});

describe("a round", () => {
  beforeEach(() => {
    lab = new DriftLab({ events: false });
    drift = new ClusterDrift(lab.engine, lab.hypervisor);
  });

  async function round(): Promise<void> {
    drift.beginRound();
    await drift.look(signal);
  }

  it("is one list call, whatever it finds, and nothing is asked between two of them", async () => {
    lab.change(web, { cpu: 7 });
    lab.change(idOf("db"), { busy: true });
    await round();
    await pass(290_000);
    expect(lab.reads).toEqual(["all"]);
    expect(lab.asked).toEqual(["lab/shop"]);
    await round();
    expect(lab.reads).toEqual(["all", "all"]);
  });

  it("asks for one sync of the targets that drifted", async () => {
    lab.targets = [...lab.targets, target("lab", [desiredVirdomain({ resource: "quiet" })], "till")];
    lab.correct();
    lab.change(web, { cpu: 7 });
    lab.change(idOf("db"), { cpu: 7 });
    await round();
    expect(lab.asked).toEqual(["lab/shop"]);
  });

  it("puts nothing right after a rollout that stopped, which the correction would begin again", async () => {
    lab.notStarted = 3;
    lab.change(web, { cpu: 7 });
    await round();
    expect(lab.asked).toEqual([]);
    lab.notStarted = 0;
    await round();
    expect(lab.asked).toEqual(["lab/shop"]);
  });

  it("is quiet on a cluster that does not answer or is being updated", async () => {
    lab.change(web, { cpu: 7 });
    lab.away = true;
    await round();
    lab.away = false;
    lab.updating = true;
    await round();
    expect(lab.asked).toEqual([]);
    expect(lab.records.size).toBe(0);
    lab.updating = false;
    await round();
    expect(lab.asked).toEqual(["lab/shop"]);
  });

  const pause = (scope: Pause["scope"]): Pause => ({ scope, reason: "", by: "ada", atMs: 1, untilMs: undefined });
  it.each<[Pause["scope"], readonly string[]]>([
    [{ kind: "instance" }, []],
    [{ kind: "repository", repository: "fleet" }, []],
    [{ kind: "cluster", cluster: "lab" }, []],
    [{ kind: "application", application: "shop" }, ["all"]],
    [{ kind: "virdomain", cluster: "lab", virdomain: "web" }, ["all"]],
  ])("waits for the end of a pause of %j", async (scope, reads) => {
    lab.change(web, { cpu: 7 });
    lab.pauses = [pause(scope)];
    await round();
    expect(lab.reads).toEqual(reads);
    expect(lab.asked).toEqual([]);
    lab.pauses = [];
    await round();
    expect(lab.asked).toEqual(["lab/shop"]);
  });

  it("takes nothing for drift that a sync did which began meanwhile", async () => {
    lab.change(web, { cpu: 7 });
    const read = lab.hypervisor.readLiveState.bind(lab.hypervisor);
    Object.assign(lab.hypervisor, {
      readLiveState: (given: AbortSignal) => {
        lab.sync = "running";
        return read(given);
      },
    });
    await round();
    expect(lab.asked).toEqual([]);
    expect(lab.records.size).toBe(0);
  });

  it("leaves VMs alone that carry a mark twice: a person has to say which is ours", async () => {
    lab.put({ ...liveVirdomain(desiredVirdomain({ resource: "web" })), id: "uuid-twin", cpu: 7 });
    await round();
    expect(lab.asked).toEqual([]);
  });
});
