import { describe, expect, it } from "vitest";
import { desiredState, desiredVirdomain, liveVirdomain, planInput, target } from "../../test/support/virdomains.ts";
import type { DesiredState, DesiredVirdomain } from "../fleet/desired-state.ts";
import { defaultPolicy, type Policy } from "../manifest/document.ts";
import { buildPlan, type PlanInput } from "./build-plan.ts";
import type { LiveVirdomain, QuarantineNote } from "./live-state.ts";
import { quarantinedName, withoutSuffix } from "./quarantine.ts";

const dayMs = 86_400_000;
const web = desiredVirdomain({ resource: "web" });
const onLab = (...virdomains: DesiredVirdomain[]): DesiredState => desiredState([target("lab", virdomains)]);
const nothing = desiredState([target("lab", [])]);

function withPolicy(changes: Partial<Policy>): DesiredVirdomain {
  return { ...web, policy: { ...defaultPolicy, ...changes } };
}

/** The VM as quarantine leaves it. */
function aside(desired: DesiredVirdomain, note: Partial<QuarantineNote> = {}, changes: Partial<LiveVirdomain> = {}) {
  const live = liveVirdomain(desired, { power: "shutoff", name: `${desired.name}.quarantined-ccccccc`, ...changes });
  const quarantine = { atMs: dayMs, untilMs: 8 * dayMs, revision: "c".repeat(12), name: desired.name, ...note };
  return { ...live, mark: live.mark && { ...live.mark, quarantine } };
}

/** On its way: marked, and neither off nor renamed. */
const halfAside = aside(web, {}, { name: "web", power: "running" });

interface Case {
  readonly desired: DesiredState;
  readonly base?: DesiredState;
  readonly live: readonly LiveVirdomain[];
  readonly more?: Partial<PlanInput>;
}

function plan({ desired, base, live, more = {} }: Case) {
  return buildPlan(planInput(desired, live, { base, ...more }));
}

function shown({ operations, conflicts }: ReturnType<typeof plan>): readonly string[] {
  return [
    ...operations.map(({ kind, virdomainId }) => `${kind} ${virdomainId ?? "new"}`),
    ...conflicts.map(({ code }) => code),
  ];
}

describe("a VM that no manifest asks for", () => {
  const gone = { desired: nothing, base: onLab(web), live: [liveVirdomain(web)] };
  it.each<[string, Case, unknown]>([
    ["is kept for a week", gone, { kind: "quarantine", quarantine: { keepMs: 7 * dayMs } }],
    [
      "is kept as long as its deployment said",
      { ...gone, base: onLab(withPolicy({ quarantineMs: dayMs })) },
      { kind: "quarantine", quarantine: { keepMs: dayMs } },
    ],
    [
      "is deleted at once where that is wanted",
      { ...gone, base: onLab(withPolicy({ quarantineMs: 0 })) },
      { kind: "delete" },
    ],
    ["is kept when nobody knows what it was before", { ...gone, base: desiredState([]) }, { kind: "quarantine" }],
    [
      "is deleted when it was never whole",
      { ...gone, live: [{ ...liveVirdomain(web), mark: { ...liveVirdomain(web).mark!, building: true } }] },
      { kind: "delete" },
    ],
    [
      "is brought to the end of a quarantine that was begun, at the old date",
      { ...gone, live: [halfAside] },
      { kind: "quarantine", virdomainId: "uuid-web", quarantine: { keepMs: 7 * dayMs, untilMs: 8 * dayMs } },
    ],
  ])("%s", (_title, input, operation) => {
    expect(plan(input).operations).toMatchObject([operation as object]);
  });

  it("counts in the deletion budget whether it is kept or not", () => {
    const names = ["a", "b", "c", "d", "e"].map((resource) => desiredVirdomain({ resource }));
    const { deletions } = plan({
      desired: onLab(web),
      base: onLab(web, ...names),
      live: [web, ...names].map((each) => liveVirdomain(each)),
    });
    expect(deletions).toMatchObject({ allowed: false, cause: "budget", budget: 3 });
    expect(deletions.losing).toHaveLength(5);
  });

  it("stays as it is when it is protected", () => {
    const live = liveVirdomain(web);
    const kept = { ...live, mark: live.mark && { ...live.mark, protected: true } };
    expect(shown(plan({ ...gone, live: [kept] }))).toEqual(["protected"]);
  });
});

describe("a VM in quarantine", () => {
  it("is nobody's concern while nobody asks for it, whoever's it is", () => {
    const live = aside(web);
    const foreign = { ...live, mark: live.mark && { ...live.mark, instance: "other" } };
    for (const each of [live, foreign, { ...live, power: "running" as const }])
      expect(shown(plan({ desired: nothing, live: [each] }))).toEqual([]);
  });

  it.each<[string, DesiredVirdomain, readonly LiveVirdomain[], readonly string[]]>([
    ["comes back when a manifest asks for it", web, [aside(web)], ["restore uuid-web"]],
    ["comes back from half way", web, [halfAside], ["restore uuid-web"]],
    [
      "comes back under the name its resource has by now",
      { ...web, identity: { ...web.identity, resource: "front" }, formerIdentities: [web.identity], name: "front" },
      [aside(web)],
      ["restore uuid-web"],
    ],
    [
      "comes back as the newest of several",
      web,
      [aside(web), aside(web, { atMs: 2 * dayMs }, { id: "newer" }), aside(web, { atMs: 0 }, { id: "oldest" })],
      ["restore newer"],
    ],
    [
      "comes back as the newest that need not be rebuilt",
      web,
      [aside(web), aside(web, { atMs: 2 * dayMs }, { id: "newer", machineType: "bios" })],
      ["restore uuid-web"],
    ],
    [
      "stays beside a new VM when it would have to be rebuilt",
      { ...web, machineType: "bios" },
      [aside(web)],
      ["create new"],
    ],
    [
      "is put aside first when it would have to be rebuilt and has its name still",
      { ...web, machineType: "bios" },
      [halfAside],
      ["quarantine uuid-web"],
    ],
    ["stays beside the VM that took its place", web, [aside(web), liveVirdomain(web, { id: "new" })], []],
    [
      "stays when its name was taken by a VM that is not ours",
      web,
      [aside(web), { ...liveVirdomain(web, { id: "foreign" }), mark: undefined }],
      ["name-taken"],
    ],
    [
      "stays when policy refuses its cloud-init data",
      {
        ...withPolicy({ cloudInit: "refuse" }),
        cloudInit: { userData: "#cloud-config\nx: y\n", metaData: "", hash: "99" },
      },
      [aside(web)],
      ["cloud-init-refused"],
    ],
    [
      "does not come back once it is being taken apart",
      web,
      [{ ...aside(web), mark: { ...aside(web).mark!, building: true } }],
      ["create new"],
    ],
    ["of another repository does not come back", web, [otherRepository()], ["create new"]],
  ])("%s", (_title, desired, live, operations) => {
    expect(shown(plan({ desired: onLab(desired), live }))).toEqual(operations);
  });

  it("comes back with its disks, and what its manifest asks for by now is said", () => {
    const [operation] = plan({ desired: onLab({ ...web, cpu: 8 }), live: [aside(web)] }).operations;
    expect(operation).toMatchObject({
      kind: "restore",
      virdomain: "web",
      disruption: "live",
      changes: [{ path: "cpu", from: "2", to: "8" }],
      disks: [{ name: "system" }],
      restores: { name: "web", revision: "c".repeat(12) },
    });
  });

  it("loses data on its way back only where the plan says so and the budget counts it", () => {
    const { operations, deletions } = plan({ desired: onLab({ ...web, disks: [] }), live: [aside(web)] });
    expect(operations).toMatchObject([{ kind: "restore", disruption: "data-loss" }]);
    expect(deletions.losing).toEqual(["lab/web"]);
    expect(deletions.losses).toMatchObject([{ kind: "restore", paths: ["storage_devices.system"] }]);
  });

  it("says of the new VM beside it where the old disks are", () => {
    const { operations } = plan({ desired: onLab({ ...web, machineType: "bios" }), live: [aside(web)] });
    expect(operations).toMatchObject([{ notices: [{ code: "stays-quarantined" }] }]);
  });
});

function otherRepository(): LiveVirdomain {
  const live = aside(web);
  const identity = { ...web.identity, repository: "elsewhere" };
  return { ...live, mark: live.mark && { ...live.mark, identity } };
}

describe("the name of a VM in quarantine", () => {
  it.each([
    ["web-1", undefined, "web-1.quarantined-ccccccc"],
    ["web-1", "12345678-9abc", "web-1.quarantined-ccccccc-12345678"],
    ["web-1.quarantined-1a2b3c4", undefined, "web-1.quarantined-ccccccc"],
  ])("of %s (%s) is %s", (name, id, expected) => {
    const found = quarantinedName({ name, revision: "c".repeat(40) }, id);
    expect(found).toBe(expected);
    expect(withoutSuffix(found)).toBe(withoutSuffix(name));
  });

  it("is never too long for a platform, nor cut within a character", () => {
    const name = quarantinedName({ name: "ü🙂".repeat(60), revision: "c".repeat(40) }, "1234567890");
    expect(Buffer.byteLength(name)).toBeLessThanOrEqual(120);
    expect(name).toMatch(/^(?:ü🙂)+ü?\.quarantined-ccccccc-12345678$/u);
  });
});
