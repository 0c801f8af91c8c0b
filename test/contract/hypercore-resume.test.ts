import { expect, it } from "vitest";
import { diffVirdomain } from "../../src/plan/diff-virdomain.ts";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import type { ChangeContext } from "../../src/ports/hypervisor.ts";
import { MiB, blankDisk, cdrom, cloudInit, desiredVm, freeContext, imageDisk, markOf } from "../support/desired-vm.ts";
import { type HypercoreLab, instance, openHypercoreLab } from "../support/hypercore-lab.ts";
import { expectLike } from "./hypervisor.contract.ts";

async function shopVm(lab: HypercoreLab) {
  return desiredVm("web-1", {
    machineType: "uefi",
    disks: [
      imageDisk("root", await lab.image("debian")),
      blankDisk("data", 2 * MiB),
      cdrom("drive", await lab.iso("drivers")),
      blankDisk("logs", 3 * MiB),
    ],
    nics: ["a", "b"].map((name) => ({ name, type: "virtio", network: { vlan: 4 } })),
    cloudInit: cloudInit("#cloud-config\n"),
  });
}

/** The process dies before its change number `last`, counted from 1. */
function dyingBefore(last: number): ChangeContext {
  let changes = 0;
  return {
    ...freeContext(),
    beforeChange: () => {
      changes += 1;
      if (changes >= last) throw new Error("killed");
    },
  };
}

/** More deaths than an operation has changes; the surplus ones never come to pass. */
const deaths = Array.from({ length: 18 }, (_item, index) => index + 1);

async function survives(work: Promise<unknown>): Promise<boolean> {
  return work.then(
    () => true,
    () => false,
  );
}

/** True when the first process was through before its death. */
async function createAcross(death: number): Promise<boolean> {
  await using lab = await openHypercoreLab();
  const desired = await shopVm(lab);
  const mark = markOf(desired, instance);
  const survived = await survives(lab.driver.create(desired, mark, dyingBefore(death)));
  const [half] = await lab.byName("web-1");
  if (!survived && half !== undefined) {
    expect(half.mark?.building).toBe(true);
    await expect(lab.driver.start(half.id, freeContext())).rejects.toMatchObject({ code: "virdomain-changed" });
  }
  const heir = await lab.open();
  const whole = await heir.create(desired, mark, freeContext());
  expectLike(whole, desired);
  expect(whole.mark?.building).toBe(false);
  expect(await lab.byName("web-1")).toHaveLength(1);
  if (half !== undefined) expect(whole.id).toBe(half.id);
  return survived;
}

async function updateAcross(death: number): Promise<boolean> {
  await using lab = await openHypercoreLab();
  const first = await shopVm(lab);
  const live = await lab.driver.create(first, markOf(first, instance), freeContext());
  const wanted = {
    ...first,
    cpu: 8,
    disks: [
      imageDisk("root", await lab.image("alpine")),
      blankDisk("data", 7 * MiB),
      blankDisk("x", 2 * MiB),
      blankDisk("y", 2 * MiB),
    ],
    nics: ["b", "c"].map((name) => ({ name, type: "virtio" as const, network: { vlan: 4 } })),
  };
  const survived = await survives(lab.driver.update(live, wanted, markOf(wanted, instance), dyingBefore(death)));
  const heir = await lab.open();
  const found = (await heir.findVirdomain(live.id, AbortSignal.timeout(5_000))) as LiveVirdomain;
  expectLike(await heir.update(found, wanted, markOf(wanted, instance), freeContext()), wanted);
  expect((await lab.rawVm(live.id)).blockDevs.filter(({ type }) => type === "VIRTIO_DISK")).toHaveLength(4);
  return survived;
}

it("goes on with a creation from wherever another process left it", async () => {
  const survivals = await Promise.all(deaths.map(createAcross));
  expect(survivals.indexOf(true)).toBeGreaterThan(7);
});

it("goes on with an update from wherever another process left it", async () => {
  const survivals = await Promise.all(deaths.map(updateAcross));
  expect(survivals.indexOf(true)).toBeGreaterThan(7);
});

it("shows planning that a disk was added by a process that died before it wrote the disk's name down", async () => {
  await using lab = await openHypercoreLab();
  const before = desiredVm("web-1", { state: "shutoff" });
  const vm = await lab.driver.create(before, markOf(before, instance), freeContext());
  const after = { ...before, disks: [...before.disks, blankDisk("late", 2 * MiB)] };
  for (const death of [1, 2, 2]) {
    await expect(lab.driver.update(vm, after, markOf(after, instance), dyingBefore(death))).rejects.toThrow("killed");
    const [half] = await lab.byName("web-1");
    if (half === undefined) throw new Error("the VM is gone");
    expect(diffVirdomain(after, half, lab.driver.traits).changes).toHaveLength(1);
  }
  const whole = await lab.driver.update(vm, after, markOf(after, instance), freeContext());
  expect(diffVirdomain(after, whole, lab.driver.traits).changes).toEqual([]);
  expect(whole.disks.filter((disk) => disk.name === "late")).toHaveLength(1);
});

it("makes a half-built VM anew when it was born with other cloud-init data", async () => {
  await using lab = await openHypercoreLab();
  const first = await shopVm(lab);
  await expect(lab.driver.create(first, markOf(first, instance), dyingBefore(6))).rejects.toThrow("killed");
  const [half] = await lab.byName("web-1");
  const wanted = { ...first, cloudInit: cloudInit("#cloud-config\nhostname: other\n") };
  const whole = await lab.driver.create(wanted, markOf(wanted, instance), freeContext());
  expect(whole.id).not.toBe(half?.id);
  expect(wanted.cloudInit.hash.startsWith(whole.mark?.cloudInitHash ?? "?")).toBe(true);
  expect(await lab.byName("web-1")).toHaveLength(1);
});

it("applies what a newer revision wants to a half-built VM instead of starting over", async () => {
  await using lab = await openHypercoreLab();
  const first = await shopVm(lab);
  await expect(lab.driver.create(first, markOf(first, instance), dyingBefore(9))).rejects.toThrow("killed");
  const [half] = await lab.byName("web-1");
  const wanted = {
    ...first,
    cpu: 6,
    disks: [...first.disks.filter(({ name }) => name !== "data"), blankDisk("new", 4 * MiB)],
  };
  const whole = await lab.driver.create(wanted, markOf(wanted, instance), freeContext());
  expect(whole.id).toBe(half?.id);
  expectLike(whole, wanted);
});

it("stops and reports when two VMs under construction carry one mark", async () => {
  await using lab = await openHypercoreLab();
  const desired = await shopVm(lab);
  await expect(lab.driver.create(desired, markOf(desired, instance), dyingBefore(7))).rejects.toThrow("killed");
  const [half] = await lab.byName("web-1");
  await lab.admin("POST", `VirDomain/${half?.id}/clone`, { template: { name: "copy" } });
  await expect(lab.driver.create(desired, markOf(desired, instance), freeContext())).rejects.toMatchObject({
    code: "virdomain-conflict",
  });
  expect((await lab.read()).virdomains).toHaveLength(2);
});

it("keeps the tags and devices people added, and does not show the tags as the manifest's", async () => {
  await using lab = await openHypercoreLab();
  const desired = await shopVm(lab);
  const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
  const { tags } = await lab.rawVm(live.id);
  expect(tags.startsWith("tier:web,role:front,kg-own:edge/fleet/shop/web-1,")).toBe(true);
  await lab.admin("PATCH", `VirDomain/${live.id}`, { tags: `${tags},backup-nightly,ask-anna` });
  await lab.admin("POST", "VirDomainBlockDevice", { virDomainUUID: live.id, type: "VIRTIO_DISK", capacity: 9 * MiB });
  await lab.admin("POST", "VirDomainNetDevice", { virDomainUUID: live.id, type: "VIRTIO", vlan: 77 });
  const touched = (await lab.driver.findVirdomain(live.id, AbortSignal.timeout(5_000))) as LiveVirdomain;
  expect(touched.tags).toEqual(["tier:web", "role:front"]);
  expect(touched.disks.filter(({ name }) => name === undefined)).toHaveLength(1);
  const wanted = { ...desired, tags: ["tier:db"], disks: desired.disks.slice(0, 2), nics: [] };
  const changed = await lab.driver.update(touched, wanted, markOf(wanted, instance), freeContext());
  expect(changed.tags).toEqual(["tier:db"]);
  expect((await lab.rawVm(live.id)).tags.endsWith(",backup-nightly,ask-anna")).toBe(true);
  expect(changed.disks.filter(({ name }) => name === undefined)).toHaveLength(1);
  expect(changed.nics.map(({ network }) => network.vlan)).toEqual([77]);
});

it("leaves out what the platform added, and gives a new disk a slot of its own beside it", async () => {
  await using lab = await openHypercoreLab();
  const desired = {
    ...(await shopVm(lab)),
    os: "windows",
    disks: [blankDisk("root", 2 * MiB, { boot: 1 }), blankDisk("old", 2 * MiB, { type: "ide_disk" as const })],
  };
  const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
  expectLike(live, desired);
  const raw = await lab.rawVm(live.id);
  expect(raw.blockDevs.map(({ type }) => type).toSorted((a, b) => a.localeCompare(b))).toEqual([
    "IDE_CDROM",
    "IDE_CDROM",
    "IDE_DISK",
    "NVRAM",
    "VIRTIO_DISK",
  ]);
  const ideSlots = raw.blockDevs.filter(({ type }) => type.startsWith("IDE")).map(({ slot }) => slot);
  expect(new Set(ideSlots).size).toBe(3);
});

it("sends no guest secret anywhere but into the create call, and none into progress or errors", async () => {
  const logged: string[] = [];
  await using lab = await openHypercoreLab({}, { log: (...line) => logged.push(JSON.stringify(line)) });
  const desired = { ...(await shopVm(lab)), cloudInit: cloudInit("#cloud-config\npassword: guest-secret-1\n") };
  const context = freeContext();
  await lab.fault({ match: { method: "POST", path: "attach$" }, kind: "fail-task", times: 1, message: "%@ broke" });
  const error: unknown = await lab.driver
    .create(desired, markOf(desired, instance), context)
    .catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "task-failed" });
  const wrong = await lab.open({ password: async () => "wrong-secret-2" });
  const denied: unknown = await wrong.readLiveState(AbortSignal.timeout(5_000)).catch((thrown: unknown) => thrown);
  expect(denied).toMatchObject({ code: "cluster-auth-failed" });
  expect(String(denied)).toContain('"gitops"');
  const said = [
    String(error),
    JSON.stringify(error),
    String(denied),
    JSON.stringify(denied),
    ...logged,
    ...context.lines,
  ].join("\n");
  for (const secret of ["guest-secret-1", "planted-secret", "wrong-secret-2", "Basic "])
    expect(said).not.toContain(secret);
});
