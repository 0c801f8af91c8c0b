import { describe, expect, it } from "vitest";
import { type Device, open, type TestClient, until } from "./hypercore-support.ts";

const mebibyte = 2 ** 20;
const options = { attachGuestToolsISO: false };

async function diskOf(client: TestClient, uuid: string): Promise<Device> {
  const [disk] = (await client.api("GET", `VirDomainBlockDevice/${uuid}`)).json as Device[];
  if (disk === undefined) throw new Error(`no disk ${uuid}`);
  return disk;
}

function addDisk(client: TestClient, vm: string, members: object): Promise<string> {
  return client.done("POST", "VirDomainBlockDevice", { virDomainUUID: vm, capacity: mebibyte, ...members });
}

async function newVm(client: TestClient, dom: object = {}, extra: object = {}): Promise<string> {
  return client.done("POST", "VirDomain", { dom: { name: "d", ...dom }, options: { ...options, ...extra } });
}

describe("slots", () => {
  it("are counted per bus, with none for firmware stores", async () => {
    await using client = await open();
    const uuid = await newVm(client);
    const types = ["VIRTIO_DISK", "IDE_DISK", "VIRTIO_DISK", "IDE_CDROM", "SCSI_DISK", "NVRAM", "VTPM"];
    for (const type of types) await addDisk(client, uuid, { type });
    const { blockDevs } = await client.vm(uuid);
    expect(blockDevs.map(({ type, slot }) => [type, slot])).toEqual([
      ["VIRTIO_DISK", 0],
      ["IDE_DISK", 0],
      ["VIRTIO_DISK", 1],
      ["IDE_CDROM", 1],
      ["SCSI_DISK", 0],
      ["NVRAM", -1],
      ["VTPM", -1],
    ]);
  });

  it("move the occupant when a CD-ROM takes its place, and fail the task for a disk", async () => {
    await using client = await open();
    const uuid = await newVm(client);
    const first = await addDisk(client, uuid, { type: "IDE_DISK", slot: 0 });
    const cd = await addDisk(client, uuid, { type: "IDE_CDROM", slot: 0 });
    expect([(await diskOf(client, first)).slot, (await diskOf(client, cd)).slot]).toEqual([1, 0]);
    const body = { virDomainUUID: uuid, type: "IDE_DISK", slot: 0, capacity: 1 };
    expect((await client.failing("POST", "VirDomainBlockDevice", body)).formattedMessage).toContain("in use");
  });
});

describe("devices the cluster adds", () => {
  it("puts the cloud-init CD on the next free IDE slot at birth and does not show the data again", async () => {
    await using client = await open();
    const cloudInitData = { userData: "I2Nsb3VkLWNvbmZpZwo=", metaData: "" };
    const uuid = await newVm(client, { cloudInitData, blockDevs: [{ type: "IDE_CDROM", capacity: 0 }] });
    const vm = await client.vm(uuid);
    expect(vm.blockDevs[1]).toMatchObject({ type: "IDE_CDROM", slot: 1, name: `cloud-init-${uuid.slice(0, 8)}.iso` });
    expect(vm["cloudInitData"]).toEqual({ userData: "", metaData: "" });
    await client.done("PATCH", `VirDomain/${uuid}`, { cloudInitData: { userData: "eA==", metaData: "" } });
    const { json } = await client.control("GET", "state");
    expect((json as { guests: Record<string, object> }).guests[uuid]).toMatchObject({ cloudInitData });
  });

  it("adds guest tools to Windows unless told not to", async () => {
    await using client = await open();
    const windows = { operatingSystem: "os_windows_server_2012" };
    const asked = await client.done("POST", "VirDomain", { dom: windows, options: {} });
    const spared = await client.done("POST", "VirDomain", { dom: windows, options });
    const other = await client.done("POST", "VirDomain", { dom: { operatingSystem: "os_other" }, options: {} });
    expect((await client.vm(asked)).blockDevs.map(({ name }) => name)).toEqual(["scale-guest-tools.iso"]);
    expect((await client.vm(spared)).blockDevs).toEqual([]);
    expect((await client.vm(other)).blockDevs).toEqual([]);
  });
});

describe("disks", () => {
  it("read tiering 0 for a moment, then 8 or what was asked", async () => {
    await using client = await open({ taskMsByKind: { "tiering-settle": 400 } });
    const uuid = await newVm(client);
    const plain = await addDisk(client, uuid, { type: "VIRTIO_DISK" });
    expect((await diskOf(client, plain)).tieringPriorityFactor).toBe(0);
    const fast = await addDisk(client, uuid, { type: "VIRTIO_DISK", tieringPriorityFactor: 128 });
    await until(async () => ((await diskOf(client, fast)).tieringPriorityFactor === 128 ? true : undefined));
    expect((await diskOf(client, plain)).tieringPriorityFactor).toBe(8);
  });

  it("keep their capacity to the byte, the NVRAM its own, and cache NONE when nothing is said", async () => {
    await using client = await open();
    const uuid = await newVm(client);
    const odd = await addDisk(client, uuid, { type: "VIRTIO_DISK", capacity: mebibyte + 1 });
    const nvram = await addDisk(client, uuid, { type: "NVRAM", capacity: 0 });
    const vtpm = await addDisk(client, uuid, { type: "VTPM", capacity: 1024, cacheMode: "WRITETHROUGH" });
    expect(await diskOf(client, odd)).toMatchObject({ capacity: mebibyte + 1, cacheMode: "NONE", name: "" });
    expect(await diskOf(client, nvram)).toMatchObject({ capacity: 540_672, cacheMode: "NONE" });
    expect(await diskOf(client, vtpm)).toMatchObject({ capacity: 1024, cacheMode: "WRITETHROUGH" });
    await client.failing("PATCH", `VirDomainBlockDevice/${nvram}`, { capacity: mebibyte });
  });

  it("grow while running and never shrink", async () => {
    await using client = await open();
    const uuid = await client.runningVm();
    const [disk] = (await client.vm(uuid)).blockDevs;
    await client.done("PATCH", `VirDomainBlockDevice/${disk?.uuid}`, { capacity: 2 ** 31 });
    expect((await diskOf(client, disk?.uuid ?? "")).capacity).toBe(2 ** 31);
    await client.failing("PATCH", `VirDomainBlockDevice/${disk?.uuid}`, { capacity: 2 ** 30 });
    expect((await diskOf(client, disk?.uuid ?? "")).capacity).toBe(2 ** 31);
  });

  it("take themselves out of the boot order when deleted", async () => {
    await using client = await open();
    const uuid = await client.bootableVm();
    const [disk = ""] = (await client.vm(uuid)).bootDevices;
    await client.done("DELETE", `VirDomainBlockDevice/${disk}`);
    expect(await client.vm(uuid)).toMatchObject({ blockDevs: [], bootDevices: [] });
  });

  it("come and go on a running VM only where the bus allows it", async () => {
    await using client = await open();
    const uuid = await client.runningVm();
    const scsi = await addDisk(client, uuid, { type: "SCSI_DISK" });
    const virtio = await addDisk(client, uuid, { type: "VIRTIO_DISK" });
    const ide = { virDomainUUID: uuid, type: "IDE_CDROM", capacity: 0 };
    expect((await client.api("POST", "VirDomainBlockDevice", ide)).status).toBe(500);
    await client.done("DELETE", `VirDomainBlockDevice/${scsi}`);
    expect((await client.failing("DELETE", `VirDomainBlockDevice/${virtio}`)).formattedMessage).toContain(
      "Still in use",
    );
    await client.control("POST", "virdomains", { releasesDisks: true });
    await client.done("DELETE", `VirDomainBlockDevice/${virtio}`);
  });

  it("change bus only while off, and nothing accepts a path but a CD-ROM", async () => {
    await using client = await open();
    const uuid = await client.bootableVm();
    const disk = (await client.vm(uuid)).blockDevs[0]?.uuid ?? "";
    await client.done("PATCH", `VirDomainBlockDevice/${disk}`, { type: "SCSI_DISK" });
    expect(await diskOf(client, disk)).toMatchObject({ type: "SCSI_DISK", slot: 0 });
    expect((await client.api("PATCH", `VirDomainBlockDevice/${disk}`, { path: "" })).status).toBe(400);
    expect((await client.api("PATCH", `VirDomainBlockDevice/${disk}`, { uuid: disk })).status).toBe(400);
    const born = { blockDevs: [{ type: "VIRTIO_DISK", capacity: 1, path: "scribe/x" }] };
    expect((await client.api("POST", "VirDomain", { dom: born, options: {} })).status).toBe(400);
    await client.done("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "START" }]);
    expect((await client.api("PATCH", `VirDomainBlockDevice/${disk}`, { type: "VIRTIO_DISK" })).status).toBe(500);
  });

  it("ignore a name of their own", async () => {
    await using client = await open();
    const uuid = await newVm(client);
    const disk = await addDisk(client, uuid, { type: "VIRTIO_DISK", name: "data" });
    await client.done("PATCH", `VirDomainBlockDevice/${disk}`, { name: "data" });
    expect((await diskOf(client, disk)).name).toBe("");
  });
});

describe("NICs", () => {
  it("come and go only while the VM is off, and only their link changes while it runs", async () => {
    await using client = await open();
    const uuid = await client.bootableVm();
    const nic = await client.done("POST", "VirDomainNetDevice", { virDomainUUID: uuid, type: "INTEL_E1000" });
    await client.done("PATCH", `VirDomainNetDevice/${nic}`, { vlan: 30, macAddress: "02:00:00:00:00:01" });
    expect((await client.api("GET", `VirDomainNetDevice/${nic}`)).json).toMatchObject([
      { type: "INTEL_E1000", vlan: 30, connected: true, macAddress: "02:00:00:00:00:01" },
    ]);
    await client.done("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "START" }]);
    await client.waitState(uuid, "RUNNING");
    expect((await client.api("POST", "VirDomainNetDevice", { virDomainUUID: uuid })).status).toBe(500);
    expect((await client.api("DELETE", `VirDomainNetDevice/${nic}`)).status).toBe(500);
    expect((await client.api("PATCH", `VirDomainNetDevice/${nic}`, { vlan: 31 })).status).toBe(500);
    await client.done("PATCH", `VirDomainNetDevice/${nic}`, { connected: false });
    await client.done("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "STOP" }]);
    await client.done("DELETE", `VirDomainNetDevice/${nic}`);
    expect((await client.vm(uuid)).netDevs).toEqual([]);
  });
});

describe("clones", () => {
  it("carry tags and hardware, get identities of their own, and lose the boot order", async () => {
    await using client = await open();
    const uuid = await client.bootableVm({
      tags: "gw-id-1",
      description: "origin",
      netDevs: [{ type: "VIRTIO", vlan: 5 }],
    });
    const cloudInitData = { userData: "eA==", metaData: "" };
    const body = { template: { name: "copy", cloudInitData, nonsense: true } };
    const copy = await client.vm(await client.done("POST", `VirDomain/${uuid}/clone`, body));
    const original = await client.vm(uuid);
    expect(copy).toMatchObject({
      name: "copy",
      tags: "gw-id-1",
      description: "origin",
      bootDevices: [],
      state: "SHUTOFF",
    });
    expect(copy.blockDevs[0]).toMatchObject({ capacity: original.blockDevs[0]?.capacity, virDomainUUID: copy.uuid });
    expect(copy.blockDevs[0]?.uuid).not.toBe(original.blockDevs[0]?.uuid);
    expect(copy.blockDevs[1]?.name).toBe(`cloud-init-${copy.uuid.slice(0, 8)}.iso`);
    expect(copy.netDevs[0]).toMatchObject({ vlan: 5 });
    expect(copy.netDevs[0]?.macAddress).not.toBe(original.netDevs[0]?.macAddress);
  });

  it("keep the boot order when told to", async () => {
    await using client = await open({ cloneBootDevices: true });
    const uuid = await client.bootableVm();
    const copy = await client.vm(await client.done("POST", `VirDomain/${uuid}/clone`, { template: { name: "copy" } }));
    expect(copy.bootDevices).toEqual([copy.blockDevs[0]?.uuid]);
  });

  it("of a disk end up as large as asked, in whole MiB", async () => {
    await using client = await open();
    const uuid = await client.bootableVm();
    const [disk] = (await client.vm(uuid)).blockDevs;
    const template = { virDomainUUID: uuid, type: "VIRTIO_DISK", capacity: 2 ** 30 + 1 };
    const copy = await client.done("POST", `VirDomainBlockDevice/${disk?.uuid}/clone`, { template });
    expect(await diskOf(client, copy)).toMatchObject({ capacity: 2 ** 30 + mebibyte, slot: 1 });
  });
});

describe("snapshots", () => {
  const body = (domainUUID: string, label: string) => ({
    domainUUID,
    label,
    type: "USER",
    automatedTriggerTimestamp: 0,
    localRetainUntilTimestamp: 1_900_000_000,
    remoteRetainUntilTimestamp: 0,
    blockCountDiffFromSerialNumber: -1,
    replication: false,
  });

  it("are taken only when everything about them is said", async () => {
    await using client = await open();
    const whole = body(await client.bootableVm(), "x");
    for (const member of Object.keys(whole)) {
      const answer = await client.api("POST", "VirDomainSnapshot", { ...whole, [member]: undefined });
      expect(answer.status, member).toBe(400);
      expect(answer.text).toContain(member);
    }
    expect((await client.api("GET", "VirDomainSnapshot")).json).toEqual([]);
  });

  it("are listed on the VM, can be cloned from and deleted", async () => {
    await using client = await open();
    const uuid = await client.bootableVm({ name: "before" });
    const snapshot = await client.done("POST", "VirDomainSnapshot", body(uuid, "pre-change"));
    expect((await client.vm(uuid))["snapUUIDs"]).toEqual([snapshot]);
    expect((await client.api("GET", `VirDomainSnapshot/${snapshot}`)).json).toMatchObject([
      { ...body(uuid, "pre-change"), uuid: snapshot, domain: { name: "before" }, deviceSnapshots: [{}] },
    ]);
    await client.done("PATCH", `VirDomain/${uuid}`, { name: "after", mem: 2 ** 31 });
    const template = { name: "restored" };
    const restored = await client.done("POST", `VirDomain/${uuid}/clone`, { snapUUID: snapshot, template });
    expect(await client.vm(restored)).toMatchObject({ mem: 2 ** 30, snapUUIDs: [] });
    await client.done("DELETE", `VirDomainSnapshot/${snapshot}`);
    expect((await client.vm(uuid))["snapUUIDs"]).toEqual([]);
    expect((await client.api("GET", "VirDomainSnapshot")).json).toEqual([]);
  });

  it("go with their VM", async () => {
    await using client = await open();
    const uuid = await client.bootableVm();
    await client.done("POST", "VirDomainSnapshot", body(uuid, "x"));
    await client.done("DELETE", `VirDomain/${uuid}`);
    expect((await client.api("GET", "VirDomainSnapshot")).json).toEqual([]);
  });
});
