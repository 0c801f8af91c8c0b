import { describe, expect, it } from "vitest";
import { desiredState, desiredVirdomain, liveVirdomain, planInput, target } from "../../test/support/virdomains.ts";
import type { DesiredVirdomain } from "../fleet/desired-state.ts";
import { buildPlan, type PlanInput } from "./build-plan.ts";
import type { LiveVirdomain } from "./live-state.ts";
import { findOrphans, findUndoneRename, withUndoneRenames } from "./undone-renames.ts";

const web = desiredVirdomain({ resource: "web" });
const www = desiredVirdomain({ resource: "www", formerIdentities: [web.identity] });
const db = desiredVirdomain({ resource: "db" });
const onLab = (...virdomains: DesiredVirdomain[]) => desiredState([target("lab", virdomains)]);
const marked = (desired: DesiredVirdomain, changes: Partial<LiveVirdomain> = {}): LiveVirdomain => {
  const live = liveVirdomain(desired, changes);
  return { ...live, mark: live.mark && { ...live.mark, revision: "a".repeat(12) } };
};

const orphansOf = (input: PlanInput) => findOrphans(input, buildPlan(input).operations);

describe("a rename that is taken back", () => {
  const input = planInput(onLab(web, db), [marked(www), marked(db)]);
  const { operations } = buildPlan(input);

  it("would without its history make a new VM beside the old one", () => {
    expect(operations.map(({ kind, virdomain }) => `${kind} ${virdomain}`)).toEqual(["create web", "quarantine www"]);
    expect(findOrphans(input, operations)).toEqual([
      { cluster: "lab", identity: www.identity, revision: "a".repeat(12) },
    ]);
  });

  it("renames the same VM back", () => {
    const renames = orphansOf(input).flatMap((orphan) => findUndoneRename(orphan, onLab(www, db), operations) ?? []);
    expect(renames).toEqual([{ cluster: "lab", from: www.identity, to: web.identity }]);
    const plan = buildPlan({ ...input, desired: withUndoneRenames(input.desired, renames) });
    expect(plan.operations).toMatchObject([
      { kind: "update", virdomain: "web", virdomainId: marked(www).id, identity: web.identity, formerly: www.identity },
    ]);
    expect(plan.deletions.losing).toEqual([]);
  });

  it("is none when the revision on the mark knows of no rename, or of another one", () => {
    const [orphan] = orphansOf(input);
    if (orphan === undefined) throw new Error("no orphan");
    const strange = desiredVirdomain({ resource: "www", formerIdentities: [db.identity] });
    for (const applied of [onLab({ ...www, formerIdentities: [] }), onLab(strange), onLab(db)])
      expect(findUndoneRename(orphan, applied, operations)).toBeUndefined();
  });
});

describe("orphans", () => {
  it.each([
    ["nothing is made on its cluster", planInput(onLab(db), [marked(www), marked(db)])],
    ["it is wanted as it is", planInput(onLab(web, www), [marked(www)])],
    ["it is a clone", planInput(onLab(web), [marked(www, { clone: true })])],
    ["it is being built, and no revision was applied to it", planInput(onLab(web), [liveVirdomainBuilding()])],
    ["it is of another instance", { ...planInput(onLab(web), [marked(www)]), instance: "other" }],
  ] as const)("are none where %s", (_what, input) => {
    expect(orphansOf(input)).toEqual([]);
  });

  it("may be in quarantine", () => {
    const live = marked(www, { power: "shutoff", name: "www.quarantined-ccccccc" });
    const quarantine = { atMs: 0, untilMs: 1, revision: "c".repeat(12), name: "www" };
    const aside = { ...live, mark: live.mark && { ...live.mark, quarantine } };
    expect(orphansOf(planInput(onLab(web), [aside]))).toMatchObject([{ identity: www.identity }]);
  });
});

function liveVirdomainBuilding(): LiveVirdomain {
  const live = liveVirdomain(www);
  return { ...live, mark: live.mark && { ...live.mark, building: true, revision: undefined } };
}
