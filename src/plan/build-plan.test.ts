import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  desiredState,
  desiredVirdomain,
  liveVirdomain,
  planInput,
  target,
  traits,
} from "../../test/support/virdomains.ts";
import type { DesiredState, DesiredVirdomain } from "../fleet/desired-state.ts";
import { defaultPolicy, type Policy, type SnapshotPolicy } from "../manifest/document.ts";
import { assumeApplied } from "./assume-applied.ts";
import { buildPlan, type PlanInput } from "./build-plan.ts";
import type { LiveVirdomain } from "./live-state.ts";

const web = desiredVirdomain({ resource: "web" });
const db = desiredVirdomain({ resource: "db", name: "db", step: 1 });

interface Case {
  readonly desired: DesiredState;
  readonly base?: DesiredState;
  readonly live?: readonly LiveVirdomain[];
  readonly more?: Partial<PlanInput>;
}

function plan({ desired, base, live = [], more = {} }: Case) {
  const baseRevision = base === undefined ? undefined : "a".repeat(40);
  return buildPlan(planInput(desired, live, { base, baseRevision, ...more }));
}

const kinds = (result: ReturnType<typeof plan>): string[] =>
  result.operations.map((operation) => `${operation.kind} ${operation.virdomain}`);
const onLab = (...virdomains: DesiredVirdomain[]): DesiredState => desiredState([target("lab", virdomains)]);

describe("buildPlan", () => {
  it("creates what does not exist, in the deployment's order", () => {
    expect(kinds(plan({ desired: onLab(db, web) }))).toEqual(["create web", "create db"]);
  });

  it("has nothing to do when live is as desired", () => {
    const result = plan({ desired: onLab(web, db), live: [liveVirdomain(web), liveVirdomain(db)] });
    expect(result.operations).toEqual([]);
    expect(result.targets).toMatchObject([{ cluster: "lab", application: "shop", unchanged: 2 }]);
  });

  it("goes on with a VM whose creation was interrupted", () => {
    const live = liveVirdomain(web);
    const half = { ...live, mark: live.mark && { ...live.mark, building: true }, power: "shutoff" as const };
    const [operation] = plan({ desired: onLab(web), live: [half] }).operations;
    expect(operation).toMatchObject({ kind: "create", virdomainId: "uuid-web", notices: [{ code: "still-building" }] });
  });

  it("starts and shuts down without calling it an update", () => {
    const off = { ...db, state: "shutoff" as const };
    const result = plan({
      desired: onLab(web, off),
      live: [liveVirdomain(web, { power: "shutoff" }), liveVirdomain(db)],
    });
    expect(kinds(result)).toEqual(["start web", "stop db"]);
  });

  it("leaves the power of VMs to people where policy does, but for what an interrupted change left switched off", () => {
    const initial = { ...web, policy: { ...defaultPolicy, power: "initial" as const } };
    const off = { ...initial, state: "shutoff" as const };
    const live = [liveVirdomain(web, { power: "shutoff" })];
    const owing = (key: string) => ({ more: { owedStarts: new Set([`lab/fleet/shop/${key}`]) } });
    const desired = desiredState([target("lab", [initial])]);
    expect(kinds(plan({ desired, live }))).toEqual([]);
    expect(kinds(plan({ desired, live, ...owing("db") }))).toEqual([]);
    expect(kinds(plan({ desired, live, ...owing("web") }))).toEqual(["start web"]);
    expect(kinds(plan({ desired: desiredState([target("lab", [off])]), live, ...owing("web") }))).toEqual([
      "start web",
    ]);
    expect(kinds(plan({ desired }))).toEqual(["create web"]);
  });

  it("replaces a VM whose machine type changes and names the disks that go", () => {
    const [operation] = plan({
      desired: onLab({ ...web, machineType: "bios" }),
      live: [liveVirdomain(web)],
    }).operations;
    expect(operation).toMatchObject({ kind: "replace", disruption: "data-loss", disks: [{ name: "system" }] });
  });

  describe("in a laboratory", () => {
    const cut = { ...web, memoryBytes: 256 * 1024 ** 2, scaledDown: { memoryBytes: 4 * 1024 ** 3 } };
    const notices = [
      { code: "scaled-down", message: "the cluster's limits give it 256 MiB of memory in place of 4 GiB (laboratory)" },
    ];
    it("says of a new VM and of a changed one what they do not get", () => {
      expect(plan({ desired: onLab(cut) }).operations).toMatchObject([{ kind: "create", notices }]);
      const live = [liveVirdomain({ ...cut, tags: ["old"] })];
      expect(plan({ desired: onLab(cut), live }).operations).toMatchObject([{ kind: "update", notices }]);
    });
    it("says so of a VM with nothing to do, too", () => {
      const { operations, targets } = plan({ desired: onLab(cut), live: [liveVirdomain(cut)] });
      expect(operations).toEqual([]);
      expect(targets).toMatchObject([{ unchanged: 1, notices: [{ ...notices[0], virdomain: "web" }] }]);
    });
    it.each([
      [{ cpu: 1, scaledDown: { cpu: 8 } }, "1 CPU in place of 8"],
      [
        { cpu: 2, memoryBytes: 1024 ** 3, scaledDown: { cpu: 8, memoryBytes: 2 * 1024 ** 3 } },
        "1 GiB of memory in place of 2 GiB and 2 CPUs in place of 8",
      ],
    ])("names memory and CPUs: %j", (size, text) => {
      const [operation] = plan({ desired: onLab({ ...web, ...size }) }).operations;
      expect(operation?.notices[0]?.message).toBe(`the cluster's limits give it ${text} (laboratory)`);
    });
  });

  describe("readiness by cloud-init", () => {
    const readiness = { guestAgent: false, cloudInit: true, tcp: undefined, http: undefined, timeoutMs: 1_000 };
    const waiting = { ...web, readiness };
    const able = { ...traits, cloudInit: true };
    const on = (platform: typeof traits, live: readonly LiveVirdomain[]): Partial<PlanInput> => ({
      live: new Map([["lab", { state: { cluster: "lab", virdomains: live }, traits: platform }]]),
    });
    it.each([
      ["a new VM", []],
      ["a VM that is there", [liveVirdomain({ ...waiting, cpu: 1 })]],
    ])("is a conflict for %s where nobody can tell", (_title, live) => {
      const result = plan({ desired: onLab(waiting), more: on(traits, live) });
      expect(result.operations).toEqual([]);
      expect(result.conflicts).toMatchObject([
        { code: "unsupported-change", virdomain: "web", message: expect.stringContaining("readiness.cloudInit") },
      ]);
    });
    it("is planned where the platform can tell", () => {
      expect(kinds(plan({ desired: onLab(waiting), more: on(able, []) }))).toEqual(["create web"]);
    });
    it("does not concern a VM without cloud-init data", () => {
      expect(kinds(plan({ desired: onLab({ ...waiting, cloudInit: undefined }) }))).toEqual(["create web"]);
    });
  });

  describe("a snapshot before a change", () => {
    const week = { keepMs: 7 * 86_400_000 };
    const policy = (before: SnapshotPolicy["before"], keepMs = week.keepMs, more: Partial<Policy> = {}) => ({
      policy: { ...defaultPolicy, ...more, snapshots: { before, keepMs } },
    });
    const atOnce = { quarantineMs: 0 };
    const off = { power: "shutoff" } as const;
    const twoDisks = { ...web, disks: [...web.disks, { ...web.disks[0], name: "data" } as (typeof web.disks)[0]] };
    const cases: readonly [string, Partial<DesiredVirdomain>, LiveVirdomain, unknown][] = [
      ["that reboots", { cpu: 4 }, liveVirdomain(web), week],
      [
        "that reboots, kept as long as policy says",
        { cpu: 4, ...policy(["reboot"], 5) },
        liveVirdomain(web),
        { keepMs: 5 },
      ],
      ["of a VM that is off anyway", { cpu: 4 }, liveVirdomain(web, off), undefined],
      ["that is live", { description: "new words" }, liveVirdomain(web), undefined],
      ["of power alone", { state: "shutoff" }, liveVirdomain(web), undefined],
      ["that takes a disk", {}, liveVirdomain(twoDisks, off), week],
      [
        "that rebuilds and deletes at once",
        { machineType: "bios", ...policy(["rebuild"], week.keepMs, atOnce) },
        liveVirdomain(web, off),
        week,
      ],
      ["that rebuilds and keeps the old VM as a whole", { machineType: "bios" }, liveVirdomain(web), undefined],
      [
        "that rebuilds, where only data-loss is named",
        { machineType: "bios", ...policy(["data-loss"], week.keepMs, atOnce) },
        liveVirdomain(web),
        week,
      ],
      [
        "that takes a disk of a running VM, where only reboot is named",
        policy(["reboot"]),
        liveVirdomain(twoDisks),
        week,
      ],
      [
        "that takes a disk of a VM that is off, where only reboot is named",
        policy(["reboot"]),
        liveVirdomain(twoDisks, off),
        undefined,
      ],
      [
        "that reboots, where only data-loss is named",
        { cpu: 4, ...policy(["data-loss"]) },
        liveVirdomain(web),
        undefined,
      ],
      ["where policy wants none", { machineType: "bios", ...policy([]) }, liveVirdomain(web), undefined],
    ];
    it.each(cases)("%s", (_title, changes, live, snapshot) => {
      const [operation] = plan({ desired: onLab({ ...web, ...changes }), live: [live] }).operations;
      expect(operation).toBeDefined();
      expect(operation?.snapshot).toEqual(snapshot);
    });

    it("that takes back drift", () => {
      const [operation] = plan({
        desired: onLab(web),
        base: onLab(web),
        live: [liveVirdomain(web, { cpu: 1 })],
      }).operations;
      expect(operation).toMatchObject({ changes: [{ origin: "drift" }], snapshot: week });
    });

    it("is not promised for a VM under construction, a new one or one that goes", () => {
      const live = liveVirdomain(web);
      const half = { ...live, mark: live.mark && { ...live.mark, building: true } };
      const { operations } = plan({ desired: onLab({ ...web, cpu: 8 }, db), live: [half] });
      const gone = plan({ desired: desiredState([target("lab", [])]), base: onLab(web), live: [live] }).operations;
      expect([...operations, ...gone].map(({ kind, snapshot }) => [kind, snapshot])).toEqual([
        ["create", undefined],
        ["create", undefined],
        ["quarantine", undefined],
      ]);
    });

    it("is not promised where the platform has none", () => {
      const cluster = {
        state: { cluster: "lab", virdomains: [liveVirdomain(web)] },
        traits: { ...traits, snapshots: false },
      };
      const result = plan({ desired: onLab({ ...web, cpu: 4 }), more: { live: new Map([["lab", cluster]]) } });
      expect(result.operations).toMatchObject([{ kind: "update", disruption: "reboot" }]);
      expect(result.operations[0]).not.toHaveProperty("snapshot");
    });
  });

  it("tells what the revision changes from drift that was there before", () => {
    const live = liveVirdomain(web, { cpu: 1 });
    const [operation] = plan({
      desired: onLab({ ...web, description: "new words" }),
      base: onLab(web),
      live: [live],
    }).operations;
    expect(operation?.changes.map(({ path, origin }) => `${path} ${origin}`)).toEqual(["description git", "cpu drift"]);
  });

  it("leaves drift alone where policy only reports it", () => {
    const reporting = { ...web, policy: { ...defaultPolicy, drift: "report" as const } };
    expect(
      plan({ desired: onLab(reporting), base: onLab(reporting), live: [liveVirdomain(web, { cpu: 1 })] }).operations,
    ).toEqual([]);
  });

  it("plans only what is in scope", () => {
    const office = desiredVirdomain({
      resource: "files",
      identity: { repository: "fleet", application: "office", resource: "files", ordinal: 0 },
    });
    const desired = desiredState([target("lab", [web]), target("lab", [office], "office")]);
    expect(kinds(plan({ desired, more: { scope: new Set(["lab/office"]) } }))).toEqual(["create files"]);
  });

  it("is the same plan with the same id however the input is ordered", () => {
    const live = [liveVirdomain(web, { cpu: 1 }), liveVirdomain(db, { cpu: 1 })];
    const ids = fc.shuffledSubarray(live, { minLength: 2 });
    fc.assert(
      fc.property(ids, (shuffled) => {
        expect(plan({ desired: onLab(web, db), live: shuffled })).toEqual(plan({ desired: onLab(web, db), live }));
      }),
    );
  });

  it("applying a plan leaves nothing to plan", () => {
    const sizes = fc.record({
      cpu: fc.integer({ min: 1, max: 8 }),
      description: fc.string(),
      state: fc.constantFrom("running" as const, "shutoff" as const),
    });
    fc.assert(
      fc.property(fc.array(sizes, { maxLength: 5 }), (list) => {
        const virdomains = list.map((fields, index) =>
          desiredVirdomain({ resource: `vm-${index}`, name: `vm-${index}`, ...fields }),
        );
        const applied = virdomains.map((virdomain) => ({
          ...assumeApplied(virdomain, "edge", undefined),
          id: virdomain.name,
        }));
        expect(plan({ desired: onLab(...virdomains), live: applied }).operations).toEqual([]);
      }),
    );
  });

  it("shows changed guest text line by line, with its secrets masked", () => {
    const text = (password: string) => ({
      userData: `#cloud-config\npassword: ${password}\n`,
      metaData: "",
      hash: password,
    });
    const before = { ...web, cloudInit: text("hunter1") };
    const result = plan({
      desired: onLab({ ...web, cloudInit: text("hunter2") }),
      base: onLab(before),
      live: [liveVirdomain(before)],
    });
    const [notice] = result.targets[0]?.notices ?? [];
    expect(notice).toMatchObject({ code: "cloud-init-unchanged-guest", detail: expect.stringContaining("masked") });
    expect(JSON.stringify(result)).not.toContain("hunter");
  });

  it("keeps the VMs of an application that became a draft", () => {
    const desired = desiredState([], { drafts: new Set(["shop"]) });
    expect(plan({ desired, base: onLab(web), live: [liveVirdomain(web)] }).operations).toEqual([]);
  });

  describe("identity", () => {
    it("never takes a VM for ours by its name", () => {
      const stranger = liveVirdomain(web, { mark: undefined });
      const result = plan({ desired: onLab(web), live: [stranger] });
      expect(result.operations).toEqual([]);
      expect(result.conflicts).toMatchObject([
        { code: "name-taken", message: expect.stringContaining("not managed by kraken-gitops") },
      ]);
    });

    it("adopts it where the deployment says so, and shows what changes", () => {
      const adopting = { ...web, policy: { ...defaultPolicy, adopt: true }, cpu: 4 };
      const stranger = {
        ...liveVirdomain(web, { mark: undefined }),
        disks: liveVirdomain(web).disks.map((disk) => ({ ...disk, name: undefined, assetId: undefined })),
      };
      const [operation] = plan({ desired: onLab(adopting), live: [stranger] }).operations;
      expect(operation).toMatchObject({
        kind: "update",
        adopt: true,
        disruption: "reboot",
        notices: expect.arrayContaining([expect.objectContaining({ code: "adopts" })]),
      });
    });

    it("does not adopt what it would have to rebuild: nobody asked to lose that VM", () => {
      const adopting = { ...web, policy: { ...defaultPolicy, adopt: true } };
      const stranger = liveVirdomain(web, { mark: undefined, machineType: "bios" });
      const result = plan({ desired: onLab(adopting), live: [stranger] });
      expect(result.operations).toEqual([]);
      expect(result.conflicts).toMatchObject([
        { code: "unsupported-change", virdomain: "web", message: expect.stringContaining("machine_type") },
      ]);
    });

    it("does not adopt a clone, or one of two VMs with the name", () => {
      const adopting = { ...web, policy: { ...defaultPolicy, adopt: true } };
      const clone = liveVirdomain(web, { mark: undefined, clone: true });
      expect(plan({ desired: onLab(adopting), live: [clone] }).conflicts).toHaveLength(1);
      const twice = [liveVirdomain(web, { mark: undefined }), liveVirdomain(web, { mark: undefined, id: "other" })];
      expect(plan({ desired: onLab(adopting), live: twice }).conflicts).toMatchObject([
        { message: expect.stringContaining("2 VMs have that name") },
      ]);
    });

    it("follows a VM whose resource was renamed", () => {
      const renamed = desiredVirdomain({ resource: "www", name: "www", formerIdentities: [web.identity] });
      const result = plan({ desired: onLab(renamed), base: onLab(web), live: [liveVirdomain(web)] });
      expect(kinds(result)).toEqual(["update www"]);
      expect(result.operations[0]?.changes.map((change) => change.path)).toEqual(["name", "metadata.identity"]);
    });

    it("stops at two VMs with one mark and deletes neither", () => {
      const result = plan({ desired: onLab(web), live: [liveVirdomain(web), liveVirdomain(web, { id: "second" })] });
      expect(result.operations).toEqual([]);
      expect(result.conflicts).toMatchObject([{ code: "duplicate-mark" }]);
    });

    it("does not touch VMs of another instance or repository", () => {
      const live = liveVirdomain(db);
      const others = [
        { ...live, id: "1", mark: live.mark && { ...live.mark, instance: "other" } },
        {
          ...live,
          id: "2",
          mark: live.mark && { ...live.mark, identity: { ...live.mark.identity, repository: "other" } },
        },
      ];
      expect(
        plan({ desired: onLab(web), base: onLab(web, db), live: [liveVirdomain(web), ...others] }).operations,
      ).toEqual([]);
    });
  });

  describe("deletions", () => {
    const fleet = (count: number): DesiredVirdomain[] =>
      Array.from({ length: count }, (_unused, index) =>
        desiredVirdomain({ resource: `vm-${index}`, name: `vm-${index}` }),
      );
    const lives = (virdomains: readonly DesiredVirdomain[]): LiveVirdomain[] =>
      virdomains.map((virdomain) => liveVirdomain(virdomain));

    it("sets aside what no manifest asks for, last and in reverse order", () => {
      const cache = desiredVirdomain({ resource: "cache", name: "cache", step: 0 });
      const result = plan({
        desired: onLab({ ...web, cpu: 4 }),
        base: onLab(web, db, cache),
        live: [liveVirdomain(web), liveVirdomain(db), liveVirdomain(cache)],
      });
      expect(kinds(result)).toEqual(["update web", "quarantine db", "quarantine cache"]);
      expect(result.deletions).toMatchObject({ allowed: true, losing: ["lab/cache", "lab/db"], budget: 3 });
    });

    const budgets: readonly [number, number, boolean][] = [
      [10, 3, true],
      [10, 4, false],
      [30, 6, true],
      [30, 7, false],
    ];
    it.each(budgets)("of %i VMs lets %i go: %s", (total, going, allowed) => {
      const all = fleet(total);
      const result = plan({ desired: onLab(...all.slice(going)), base: onLab(...all), live: lives(all) });
      expect(result.deletions.losing).toHaveLength(going);
      expect(result.deletions.allowed).toBe(allowed);
    });

    it("lets an approval through that names exactly these losses, and no other", () => {
      const all = fleet(10);
      const input = { desired: onLab(...all.slice(5)), base: onLab(...all), live: lives(all) };
      const { approvalId } = plan(input).deletions;
      expect(plan({ ...input, more: { approvals: new Set([approvalId]) } }).deletions).toMatchObject({
        allowed: true,
        approved: true,
      });
      const worse = { ...input, desired: onLab(...all.slice(6)), more: { approvals: new Set([approvalId]) } };
      expect(plan(worse).deletions).toMatchObject({ allowed: false, approved: false });
    });

    it("never deletes on an empty desired state", () => {
      const result = plan({ desired: desiredState([]), base: onLab(web), live: [liveVirdomain(web)] });
      expect(result.deletions).toMatchObject({ allowed: false, reason: expect.stringContaining("no VM at all") });
    });

    it("does delete the last application when it was undeployed on purpose", () => {
      const result = plan({
        desired: desiredState([], { undeployed: new Set(["shop"]) }),
        base: onLab(web),
        live: [liveVirdomain(web)],
      });
      expect(result.deletions.allowed).toBe(true);
    });

    it("waits for a word after the branch was rewritten", () => {
      const result = plan({
        desired: onLab(web),
        base: onLab(web, db),
        live: [liveVirdomain(web), liveVirdomain(db)],
        more: { rewritten: true },
      });
      expect(result.deletions).toMatchObject({ allowed: false, reason: expect.stringContaining("rewritten") });
    });

    it("waits for a word when what would be lost was last changed by a commit nobody here knows", () => {
      const known = "f".repeat(40);
      const lost = (unknown: string) =>
        plan({
          desired: onLab(web),
          base: onLab(web, db),
          live: [liveVirdomain(web), liveVirdomain(db)],
          more: { unknownRevisions: new Set([unknown]) },
        }).deletions;
      expect(lost(known)).toMatchObject({
        allowed: false,
        cause: "foreign",
        reason: expect.stringContaining("db on lab"),
      });
      expect(lost("e".repeat(40)).allowed).toBe(true);
    });

    it("keeps the VMs of a broken application and of files nobody can read", () => {
      const broken = plan({
        desired: desiredState([], { brokenApplications: new Set(["shop"]) }),
        base: onLab(web),
        live: [liveVirdomain(web)],
      });
      const unreadable = plan({
        desired: desiredState([], { complete: false }),
        base: onLab(web),
        live: [liveVirdomain(web)],
      });
      expect([...broken.operations, ...unreadable.operations]).toEqual([]);
      expect(broken.targets[0]?.notices).toMatchObject([{ code: "stays-incomplete" }]);
    });

    it("keeps a protected VM even when its manifest is gone", () => {
      const live = liveVirdomain(db);
      const guarded = { ...live, mark: live.mark && { ...live.mark, protected: true } };
      const result = plan({ desired: onLab(web), base: onLab(web, db), live: [liveVirdomain(web), guarded] });
      expect(result.operations).toEqual([]);
      expect(result.conflicts).toMatchObject([{ code: "protected" }]);
    });

    it("counts rebuilds and removed disks as losses", () => {
      const all = fleet(4);
      const rebuilt = all.map((virdomain, index) =>
        index < 2 ? { ...virdomain, machineType: "bios" as const } : { ...virdomain, disks: [] },
      );
      expect(plan({ desired: onLab(...rebuilt), base: onLab(...all), live: lives(all) }).deletions).toMatchObject({
        allowed: false,
        budget: 3,
      });
    });

    it("foresees what a cluster that is away will lose", () => {
      const all = fleet(5);
      const away = {
        live: new Map(),
        held: [{ cluster: "lab", code: "cluster-unreachable", reason: "no answer" }],
        traitsOfHeld: new Map([["lab", traits]]),
      };
      const result = plan({ desired: onLab(all[0]!), base: onLab(...all), more: away });
      expect(result.operations).toEqual([]);
      expect(result.deletions).toMatchObject({
        allowed: false,
        losing: ["lab/vm-1", "lab/vm-2", "lab/vm-3", "lab/vm-4"],
      });
    });
  });
});
