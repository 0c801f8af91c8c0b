import { expect, it } from "vitest";
import type { DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import { diffVirdomain } from "../../src/plan/diff-virdomain.ts";
import { MiB, blankDisk, cdrom, cloudInit, desiredVm, freeContext, imageDisk, markOf } from "../support/desired-vm.ts";
import { uuidOf } from "../support/hypercore-exchange.ts";
import { instance, openHypercoreLab, quickTimeouts } from "../support/hypercore-lab.ts";
import { create, driftOf, look, offVm, openClient, openWatchedLab, soon, update } from "../support/watched-lab.ts";

// One test per trap of the HyperCore REST API, in the order of the list in which they were collected.

it("1: a GET answers a list, also of one and of none", async () => {
  await using lab = await openHypercoreLab();
  const one = await create(lab, desiredVm("web-1"));
  await create(lab, desiredVm("web-2"));
  expect((await look(lab, one)).name).toBe("web-1");
  expect(await lab.driver.findVirdomain(uuidOf("9"), soon())).toBeUndefined();
});

it("2: an empty task tag is success without a task, and nobody asks for it", async () => {
  await using watched = await openWatchedLab({ guestBootMs: 0 });
  const { lab, sent } = watched;
  const vm = await create(lab, desiredVm("web-1", { disks: [blankDisk("root", MiB, { boot: 1 })] }));
  await lab.driver.start(vm.id, freeContext());
  const asked = sent("GET", /TaskTag/).length;
  await lab.driver.stop(vm.id, { graceMs: 10_000, force: false }, freeContext());
  expect((await look(lab, vm)).power).toBe("shutoff");
  expect(sent("POST", /action$/).at(-1)?.answer).toContain('"taskTag":""');
  expect(sent("GET", /TaskTag/)).toHaveLength(asked);
});

it("3: a 404 or 502 comes as a page, which is neither parsed nor shown to anybody", async () => {
  await using lab = await openHypercoreLab(
    { missingObjectStatus: 404 },
    { timeouts: { ...quickTimeouts, busyMs: 100 } },
  );
  const vm = await create(lab, desiredVm("web-1"));
  await lab.fault({ match: { method: "GET" }, kind: "html502", times: 1 });
  expect((await look(lab, vm)).name).toBe("web-1");
  await using client = await openClient(lab);
  const gone = client.raw.change("PATCH", `VirDomain/${uuidOf("9")}`, { name: "x" }, soon());
  await expect(gone).rejects.toMatchObject({
    code: "cluster-busy",
    message: expect.not.stringMatching(/<|JSON/) as string,
  });
  await lab.fault({ match: { method: "GET" }, kind: "html502" });
  await expect(lab.read()).rejects.toMatchObject({
    code: "cluster-unreachable",
    message: expect.not.stringMatching(/<|JSON/) as string,
  });
});

it("4: a node in update accepts connections and never answers: reads go on elsewhere, and work waits", async () => {
  const timeouts = { ...quickTimeouts, readMs: 150 };
  await using lab = await openHypercoreLab({ nodes: 2 }, { timeouts });
  const vm = await create(lab, desiredVm("web-1"));
  await lab.control("POST", "nodes", { node: 0, state: "hang" });
  expect((await look(lab, vm)).name).toBe("web-1");
  await expect(lab.driver.ensureReady(soon())).rejects.toMatchObject({ code: "cluster-updating", retry: "wait" });
});

it("5: guest tools and new disk identities are the default, so both are declined in words", async () => {
  await using watched = await openWatchedLab();
  const { lab, sent } = watched;
  const desired = desiredVm("web-1", { disks: [imageDisk("root", await lab.image("debian"))] });
  await create(lab, desired);
  expect(sent("POST", /VirDomain$/)[0]?.body).toMatchObject({ options: { attachGuestToolsISO: false } });
  const { guests } = (await lab.control("GET", "state")) as {
    guests: Record<string, { origins?: Record<string, { regenerateDiskID: boolean }> }>;
  };
  const origins = Object.values(guests).flatMap((guest) => Object.values(guest.origins ?? {}));
  expect(origins.map(({ regenerateDiskID }) => regenerateDiskID)).toEqual([false]);
});

it("6: a PATCH with a read-only member is refused, so only what changes is sent", async () => {
  await using watched = await openWatchedLab();
  const { lab, sent } = watched;
  const desired = desiredVm("web-1");
  const vm = await create(lab, desired);
  const before = sent("PATCH", /VirDomain\//).length;
  const raw = await lab.rawVm(vm.id);
  await expect(lab.admin("PATCH", `VirDomain/${vm.id}`, raw, "unchecked")).rejects.toThrow("is not allowed");
  const wanted = { ...desired, description: "changed", cpu: 3 };
  await update(lab, vm, wanted);
  const bodies = sent("PATCH", /VirDomain\//).slice(before + 1);
  expect(bodies.map(({ body }) => Object.keys(body as object))).toEqual([["description", "numVCPU"]]);
});

it("7: the body of an action is a list", async () => {
  await using watched = await openWatchedLab();
  const { lab, sent } = watched;
  const vm = await create(lab, desiredVm("web-1"));
  const action = { virDomainUUID: vm.id, actionType: "START" };
  await expect(lab.admin("POST", "VirDomain/action", action, "unchecked")).rejects.toThrow("400");
  await lab.driver.start(vm.id, freeContext());
  expect(sent("POST", /action$/).at(-1)?.body).toEqual([action]);
});

it("8: the cloud-init CD sits on the IDE bus, and a new CD-ROM drive goes beside it and pushes nothing away", async () => {
  await using lab = await openHypercoreLab();
  const first = cdrom("first", await lab.iso("drivers"));
  const desired = offVm({ disks: [first], cloudInit: cloudInit("#cloud-config\n") });
  const vm = await create(lab, desired);
  const places = async (): Promise<string[]> =>
    (await lab.rawVm(vm.id)).blockDevs.map(({ name, slot }) => `${String(name).split("-")[0]} ${slot}`);
  expect(await places()).toEqual(["drivers 0", "cloud 1"]);
  const wanted = { ...desired, disks: [first, cdrom("second", await lab.iso("other"))] };
  await update(lab, vm, wanted);
  expect(await places()).toEqual(["drivers 0", "cloud 1", "other 2"]);
  expect(await driftOf(lab, wanted, vm)).toEqual([]);
});

it("9: slots are per bus: virtio 0 is free although the cloud-init CD has IDE 0", async () => {
  await using lab = await openHypercoreLab();
  const disks = [imageDisk("root", await lab.image("debian")), blankDisk("data", MiB)];
  const vm = await create(lab, desiredVm("web-1", { disks, cloudInit: cloudInit("#cloud-config\n") }));
  const { blockDevs } = await lab.rawVm(vm.id);
  expect(blockDevs.map(({ type, slot }) => `${type} ${slot}`)).toEqual([
    "IDE_CDROM 0",
    "VIRTIO_DISK 0",
    "VIRTIO_DISK 1",
  ]);
});

it("10: a VM without tags has none, not one empty tag", async () => {
  await using lab = await openHypercoreLab();
  const options = { attachGuestToolsISO: false };
  await lab.admin("POST", "VirDomain", { dom: { name: "by-hand", mem: MiB, numVCPU: 1, tags: "" }, options });
  expect((await lab.byName("by-hand")).map(({ tags }) => tags)).toEqual([[]]);
  const desired = offVm({ tags: [] });
  const vm = await create(lab, desired);
  expect(vm.tags).toEqual([]);
  expect(await driftOf(lab, desired, vm)).toEqual([]);
});

it("11: tags and the preferred node change without us, which is no drift", async () => {
  await using lab = await openHypercoreLab();
  const desired = desiredVm("web-1");
  const vm = await create(lab, desired);
  await lab.driver.start(vm.id, freeContext());
  const raw = await lab.rawVm(vm.id);
  expect(raw["affinityStrategy"]).toMatchObject({ preferredNodeUUID: expect.stringMatching(/./) as string });
  await lab.admin("PATCH", `VirDomain/${vm.id}`, { tags: `${raw.tags},backup` });
  expect(await driftOf(lab, desired, vm)).toEqual([]);
});

it("12: capacity comes back rounded up after an attach, which is no drift", async () => {
  await using watched = await openWatchedLab();
  const { lab, sent } = watched;
  const odd = imageDisk("odd", await lab.image("debian", 2 * MiB + 512));
  const larger = imageDisk("larger", await lab.image("alpine"), { capacityBytes: 5 * MiB + 1, boot: undefined });
  const desired = offVm({ disks: [odd, larger, blankDisk("blank", 3 * MiB + 1)] });
  const vm = await create(lab, desired);
  expect((await lab.rawVm(vm.id)).blockDevs.map(({ capacity }) => capacity)).toEqual([3 * MiB, 6 * MiB, 3 * MiB + 1]);
  expect(await driftOf(lab, desired, vm)).toEqual([]);
  expect(sent("PATCH", /VirDomainBlockDevice/)).toEqual([]);
});

it("13: tiering reads 0 on a young disk, which is nobody's wish and no drift", async () => {
  await using watched = await openWatchedLab({ taskMsByKind: { "tiering-settle": 60_000 } });
  const { lab, sent } = watched;
  const desired = offVm({ disks: [blankDisk("data", MiB, { boot: 1 })] });
  const vm = await create(lab, desired);
  expect((await lab.rawVm(vm.id)).blockDevs).toMatchObject([{ tieringPriorityFactor: 0 }]);
  expect(await driftOf(lab, desired, vm)).toEqual([]);
  await update(lab, vm, desired);
  expect(sent("PATCH", /VirDomainBlockDevice/)).toEqual([]);
});

it("14: deleting a disk takes it out of the boot order, which is made right again in the end", async () => {
  await using lab = await openHypercoreLab();
  const [old, kept, fresh] = ["old", "kept", "fresh"].map((name, index) => blankDisk(name, MiB, { boot: index + 1 }));
  if (old === undefined || kept === undefined || fresh === undefined) throw new Error("three disks");
  const desired = offVm({ disks: [old, kept] });
  const vm = await create(lab, desired);
  const wanted = { ...desired, disks: [{ ...fresh, boot: 1 }, kept] };
  await update(lab, vm, wanted);
  const raw = await lab.rawVm(vm.id);
  const nameOf = new Map((await look(lab, vm)).disks.map(({ id, name }) => [id, name]));
  expect((raw["bootDevices"] as string[]).map((uuid) => nameOf.get(uuid))).toEqual(["fresh", "kept"]);
  expect(await driftOf(lab, wanted, vm)).toEqual([]);
});

it("15: two NICs may be on one VLAN, and each is still known by its name", async () => {
  await using lab = await openHypercoreLab();
  const nics = ["left", "right"].map((name) => ({ name, type: "virtio" as const, network: { vlan: 4 } }));
  const desired = offVm({ nics });
  const vm = await create(lab, desired);
  expect(await driftOf(lab, desired, vm)).toEqual([]);
  const [, second] = (await lab.rawVm(vm.id)).netDevs;
  const wanted = { ...desired, nics: nics.slice(1) };
  await update(lab, vm, wanted);
  expect((await lab.rawVm(vm.id)).netDevs.map(({ uuid }) => uuid)).toEqual([second?.uuid]);
  expect((await look(lab, vm)).nics.map(({ name }) => name)).toEqual(["right"]);
});

it("16: cloud-init data cannot be read back, so a change of it is told by our own hash", async () => {
  await using lab = await openHypercoreLab();
  const desired = offVm({ cloudInit: cloudInit("#cloud-config\nhostname: a\n") });
  const vm = await create(lab, desired);
  expect((await lab.rawVm(vm.id))["cloudInitData"]).toEqual({ userData: "", metaData: "" });
  const notices = async (wanted: DesiredVirdomain): Promise<number> =>
    diffVirdomain(wanted, await look(lab, vm), lab.driver.traits).notices.length;
  expect(await driftOf(lab, desired, vm)).toEqual([]);
  expect(await notices(desired)).toBe(0);
  expect(await notices({ ...desired, cloudInit: cloudInit("#cloud-config\nhostname: b\n") })).toBe(1);
});

it("17: vips of a node is dead; its lanIP says where it is", async () => {
  await using lab = await openHypercoreLab({ nodes: 3, distinctHosts: true });
  expect(await lab.admin("GET", "Node")).toMatchObject([{ vips: [] }, { vips: [] }, { vips: [] }]);
  await using narrow = await lab.open({ endpoints: lab.addresses.slice(0, 1) });
  const findings = (await narrow.check(soon())).join("\n");
  expect(findings).toContain("3 node(s)");
  expect(findings).toContain("127.0.0.2, 127.0.0.3");
});

it("18: a cluster has a clusterName and no name, and nothing we say misses it", async () => {
  await using lab = await openHypercoreLab({ clusterName: "store-7" });
  const [cluster] = (await lab.admin("GET", "Cluster")) as object[];
  expect(cluster).toMatchObject({ clusterName: "store-7" });
  expect(cluster).not.toHaveProperty("name");
  await lab.driver.ensureReady(soon());
  expect((await lab.driver.check(soon())).join("\n")).not.toMatch(/undefined|null/);
});

it("19: the migrate call fails and LIVEMIGRATE works; a VM that people moved is where it should be", async () => {
  await using watched = await openWatchedLab({ nodes: 2 });
  const { lab, sent } = watched;
  const desired = desiredVm("web-1");
  const vm = await create(lab, desired);
  await lab.driver.start(vm.id, freeContext());
  const { nodeUUID: from } = await lab.rawVm(vm.id);
  const nodes = (await lab.admin("GET", "Node")) as { uuid: string }[];
  const nodeUUID = nodes.find(({ uuid }) => uuid !== from)?.uuid;
  await expect(lab.admin("POST", "VirDomain/migrate", {}, "unchecked")).rejects.toThrow("500");
  await lab.admin("POST", "VirDomain/action", [{ virDomainUUID: vm.id, actionType: "LIVEMIGRATE", nodeUUID }]);
  expect((await lab.rawVm(vm.id))["nodeUUID"]).toBe(nodeUUID);
  expect(await driftOf(lab, desired, vm)).toEqual([]);
  await update(lab, vm, desired);
  expect(sent("POST", /migrate$/)).toHaveLength(1);
  expect(sent("PATCH", /VirDomain/)).toHaveLength(1);
});

it("20: snapshots are replicated unless that is declined, and a call that does not decline is found out", async () => {
  const lab = await openHypercoreLab();
  const vm = await create(lab, desiredVm("web-1"));
  const snapshot = {
    domainUUID: vm.id,
    label: "by hand",
    type: "USER",
    automatedTriggerTimestamp: 0,
    localRetainUntilTimestamp: 0,
    remoteRetainUntilTimestamp: 0,
    blockCountDiffFromSerialNumber: -1,
  };
  const request = { label: "before reboot", keepUntilMs: Date.now() + 3_600_000, fresh: false, adopt: false };
  await lab.driver.ensureSnapshot(vm, request, freeContext());
  await lab.admin("POST", "VirDomainSnapshot", { ...snapshot, replication: true });
  expect(await lab.snapshots()).toMatchObject([{ replication: false }, { label: "by hand", replication: true }]);
  await expect(lab[Symbol.asyncDispose]()).rejects.toThrow("snapshots are not replicated");
});

it("21: bodies hold passwords and are logged nowhere, whatever goes wrong", async () => {
  const said: string[] = [];
  await using lab = await openHypercoreLab({}, { log: (...line) => said.push(JSON.stringify(line)) });
  const secret = "guest-secret-1";
  const desired = desiredVm("web-1", {
    disks: [blankDisk("data", MiB)],
    cloudInit: cloudInit(`#cloud-config\npassword: ${secret}\n`),
  });
  for (const kind of ["fail-task", "drop-after", "drop-before", "unauthorized", "html502"] as const) {
    await lab.fault({ match: { method: "POST" }, kind, times: 2 });
    await lab.fault({ match: { method: "GET" }, kind: "html502", times: 1 });
    const context = freeContext();
    const error: unknown = await lab.driver
      .create(desired, markOf(desired, instance), context)
      .catch((e: unknown) => e);
    said.push(String(error), JSON.stringify(error), ...context.lines);
    await lab.clearFaults();
  }
  const everything = said.join("\n");
  expect(everything).toContain("node failed a read");
  for (const hidden of [secret, Buffer.from(secret).toString("base64").slice(0, 12), "planted-secret", "Basic "])
    expect(everything).not.toContain(hidden);
});

it("22: error 500 means not now: the VM is looked at and the call made again, a bounded number of times", async () => {
  await using watched = await openWatchedLab({}, { timeouts: { ...quickTimeouts, busyMs: 400 } });
  const { lab, sent } = watched;
  const vm = await create(lab, desiredVm("web-1"));
  await lab.fault({ match: { method: "POST", path: "action$" }, kind: "error500", times: 3 });
  await lab.driver.start(vm.id, freeContext());
  expect(sent("POST", /action$/).map(({ status }) => status)).toEqual([500, 500, 500, 200]);
  expect((await look(lab, vm)).power).toBe("running");
  await lab.fault({ match: { method: "PATCH" }, kind: "error500" });
  const renamed = desiredVm("web-1", { description: "other" });
  await expect(update(lab, await look(lab, vm), renamed)).rejects.toMatchObject({
    code: "cluster-busy",
    retry: "transient",
  });
});
