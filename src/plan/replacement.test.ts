import { describe, expect, it } from "vitest";
import { desiredState, desiredVirdomain, liveVirdomain, planInput, target } from "../../test/support/virdomains.ts";
import type { DesiredState, DesiredVirdomain } from "../fleet/desired-state.ts";
import { defaultPolicy } from "../manifest/document.ts";
import { buildPlan } from "./build-plan.ts";
import { coversLoss, lossOf } from "./deletion-rules.ts";
import type { LiveVirdomain, QuarantineNote } from "./live-state.ts";

const dayMs = 86_400_000;
const web = desiredVirdomain({ resource: "web" });
const bios: DesiredVirdomain = { ...web, machineType: "bios" };
const atOnce = { ...defaultPolicy, quarantineMs: 0 };
const onLab = (...virdomains: DesiredVirdomain[]): DesiredState => desiredState([target("lab", virdomains)]);

function plan(desired: DesiredVirdomain, live: readonly LiveVirdomain[], base: DesiredVirdomain | undefined = web) {
  return buildPlan(planInput(onLab(desired), live, { base: base && onLab(base) }));
}

/** One that was replaced before, under its own id. */
function aside(desired: DesiredVirdomain, note: Partial<QuarantineNote> = {}, changes: Partial<LiveVirdomain> = {}) {
  const name = `${desired.name}.quarantined-ccccccc`;
  const live = liveVirdomain(desired, { id: "old", power: "shutoff", name, ...changes });
  const quarantine = { atMs: dayMs, untilMs: 8 * dayMs, revision: "c".repeat(12), name: desired.name, ...note };
  return { ...live, mark: live.mark && { ...live.mark, quarantine } };
}

describe("a VM that has to be rebuilt", () => {
  it.each<[string, DesiredVirdomain, DesiredVirdomain | undefined, object | undefined]>([
    ["is kept for a week", bios, web, { keepMs: 7 * dayMs }],
    [
      "is kept as long as its deployment said before",
      { ...bios, policy: atOnce },
      { ...web, policy: { ...defaultPolicy, quarantineMs: dayMs } },
      { keepMs: dayMs },
    ],
    ["is deleted at once where that was wanted before", bios, { ...web, policy: atOnce }, undefined],
    [
      "is deleted at once where that is wanted, and nothing is known of before",
      { ...bios, policy: atOnce },
      undefined,
      undefined,
    ],
  ])("%s", (_title, desired, base, quarantine) => {
    const { operations, deletions } = plan(desired, [liveVirdomain(web)], base ?? desired);
    expect(operations).toMatchObject([{ kind: "replace", disruption: "data-loss", disks: [{ name: "system" }] }]);
    expect(operations[0]?.quarantine).toEqual(quarantine);
    expect(operations[0]).not.toHaveProperty("successor");
    expect(deletions.losing).toEqual(["lab/web"]);
  });

  it("gives its place to the VM it was before, and says with which disks", () => {
    const { operations, deletions } = plan(bios, [liveVirdomain(web), aside(bios)]);
    expect(operations).toMatchObject([
      {
        kind: "replace",
        virdomainId: "uuid-web",
        changes: [{ path: "machine_type", from: "uefi", to: "bios" }],
        quarantine: { keepMs: 7 * dayMs },
        successor: { virdomainId: "old", note: { revision: "c".repeat(12) }, disks: [{ name: "system" }] },
      },
    ]);
    expect(deletions.losing).toEqual(["lab/web"]);
  });

  it("names what has to change on the VM that comes back, and a snapshot before that", () => {
    const twoDisks = { ...bios, disks: [...bios.disks, { ...bios.disks[0], name: "data" } as (typeof bios.disks)[0]] };
    const [operation] = plan({ ...bios, cpu: 8 }, [liveVirdomain(web), aside(twoDisks)]).operations;
    expect(operation?.changes.map(({ path }) => path).sort()).toEqual(["cpu", "machine_type", "storage_devices.data"]);
    expect(operation?.snapshot).toEqual({ keepMs: 7 * dayMs });
    expect(lossOf(operation!).paths).toEqual(["storage_devices.data"]);
  });

  it.each<[string, LiveVirdomain]>([
    ["would have to be rebuilt as well", aside(web)],
    ["is being taken apart", { ...aside(bios), mark: { ...aside(bios).mark!, building: true } }],
    ["is a copy", aside(bios, {}, { clone: true })],
    ["is another one's", aside({ ...bios, identity: { ...bios.identity, resource: "db" } })],
  ])("is made anew when what is in quarantine %s", (_title, other) => {
    const [operation] = plan(bios, [liveVirdomain(web), other]).operations;
    expect(operation).toMatchObject({ kind: "replace", virdomainId: "uuid-web" });
    expect(operation).not.toHaveProperty("successor");
  });

  it("gives its place to the newest that fits", () => {
    const newer = aside(bios, { atMs: 3 * dayMs }, { id: "newer" });
    const unfit = aside(web, { atMs: 4 * dayMs }, { id: "newest" });
    const [operation] = plan(bios, [liveVirdomain(web), aside(bios), newer, unfit]).operations;
    expect(operation?.successor?.virdomainId).toBe("newer");
  });

  it("asks its cluster for the whole of the new disks beside the old ones, and for none when one comes back", () => {
    const sized = (desired: DesiredVirdomain) => ({
      ...desired,
      disks: desired.disks.map((disk) => ({ ...disk, capacityBytes: 10 })),
    });
    const live = liveVirdomain(sized(web));
    const storage = (...more: LiveVirdomain[]) =>
      plan(sized(bios), [live, ...more], sized(web)).operations[0]?.demand?.addedStorageBytes ?? 0;
    expect(storage()).toBe(10);
    expect(storage(aside(sized(bios)))).toBe(0);
  });

  it("is another loss when it is kept than when it is deleted: one approval does not stand for both", () => {
    const kept = plan(bios, [liveVirdomain(web)]).deletions.approvalId;
    const deleted = plan(bios, [liveVirdomain(web)], { ...web, policy: atOnce }).deletions.approvalId;
    expect(kept).not.toBe(deleted);
  });

  it("may be carried out in parts after it was cut off", () => {
    const [operation] = plan(bios, [liveVirdomain(web), aside(bios)]).operations;
    const loss = lossOf(operation!);
    expect(coversLoss([loss], { ...loss, kind: "quarantine" })).toBe(true);
    expect(coversLoss([loss], { ...loss, kind: "restore" })).toBe(true);
    expect(coversLoss([loss], { ...loss, kind: "restore", paths: ["storage_devices.other"] })).toBe(false);
    expect(coversLoss([loss], { ...loss, kind: "delete" })).toBe(false);
  });
});
