import { createHash } from "node:crypto";
import { connect } from "node:net";
import { Readable } from "node:stream";
import { request } from "undici";
import { describe, expect, it } from "vitest";
import { basic, open, type TestClient, until } from "./hypercore-support.ts";

const mebibyte = 2 ** 20;

interface Image {
  readonly uuid: string;
  readonly name: string;
  readonly capacityBytes: number;
}

async function images(client: TestClient): Promise<readonly Image[]> {
  return (await client.api("GET", "VirtualDisk")).json as Image[];
}

async function refusedUpload(client: TestClient, query: string, body: Buffer): Promise<number> {
  return (await client.api("PUT", `VirtualDisk/upload?${query}`, body)).status;
}

function qcow2(virtualBytes: number): Buffer {
  const bytes = Buffer.alloc(mebibyte);
  bytes.write("QFI\xfb", 0, "latin1");
  bytes.writeBigUInt64BE(BigInt(virtualBytes), 24);
  return bytes;
}

describe("uploads", () => {
  it("go through uploading and converting, which no task covers", async () => {
    await using client = await open({ convertMs: 400 });
    const path = `VirtualDisk/upload?filename=web.img&filesize=${mebibyte}`;
    const uuid = await client.done("PUT", path, Buffer.alloc(mebibyte, 3));
    expect(await images(client)).toMatchObject([{ uuid, name: "converting-web.img" }]);
    const vm = await client.bootableVm();
    const body = { template: { virDomainUUID: vm, type: "VIRTIO_DISK", capacity: 0 } };
    expect((await client.api("POST", `VirtualDisk/${uuid}/attach`, body)).status).toBe(500);
    await until(async () => ((await images(client))[0]?.name === "web.img" ? true : undefined));
    expect(await images(client)).toMatchObject([{ capacityBytes: mebibyte, blockSize: mebibyte }]);
    await client.done("POST", `VirtualDisk/${uuid}/attach`, body);
  });

  it("remember size and hash of what came, not the bytes", async () => {
    await using client = await open();
    const bytes = Buffer.from("some image".repeat(10_000));
    const uuid = await client.image("a.vmdk", bytes);
    const { json } = await client.control("GET", "state");
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    expect((json as { contents: Record<string, object> }).contents[uuid]).toMatchObject({
      bytes: bytes.length,
      sha256,
    });
  });

  it("take the size of the disk inside a qcow2", async () => {
    await using client = await open();
    const uuid = await client.image("a.qcow2", qcow2(10 * mebibyte));
    expect((await images(client)).find((image) => image.uuid === uuid)?.capacityBytes).toBe(10 * mebibyte);
  });

  it.each([
    [false, mebibyte],
    [true, 10 * mebibyte],
  ])("look into an .img only when told to (%s)", async (detectContent, expected) => {
    await using client = await open({ detectContent });
    await client.image("a.img", qcow2(10 * mebibyte));
    expect((await images(client))[0]?.capacityBytes).toBe(expected);
  });

  it("keep two images of one name apart", async () => {
    await using client = await open();
    await client.image("a.img", Buffer.alloc(mebibyte));
    await client.image("a.img", Buffer.alloc(mebibyte));
    expect(await images(client)).toHaveLength(2);
  });

  it("refuse chunked encoding, a wrong length, and file types they do not know", async () => {
    await using client = await open();
    const chunked = await request(
      `${client.simulator.addresses[0]}/rest/v1/VirtualDisk/upload?filename=a.img&filesize=3`,
      {
        method: "PUT",
        headers: { authorization: basic("admin", "admin") },
        body: Readable.from([Buffer.from("abc")]),
        signal: AbortSignal.timeout(5_000),
      },
    );
    expect(chunked.statusCode).toBe(400);
    expect(await chunked.body.text()).toContain("chunked");
    const body = Buffer.alloc(10);
    expect(await refusedUpload(client, "filename=a.img&filesize=11", body)).toBe(400);
    expect(await refusedUpload(client, "filename=a.iso&filesize=10", body)).toBe(400);
    expect(await refusedUpload(client, "filename=a.raw&filesize=10", body)).toBe(400);
    expect(await refusedUpload(client, "filename=a.img", body)).toBe(400);
    expect(await refusedUpload(client, "filename=a.img&filesize=10&name=x", body)).toBe(400);
    expect(await images(client)).toEqual([]);
  });

  it("leave a record behind when they break off", async () => {
    await using client = await open();
    const { port, hostname } = new URL(client.simulator.addresses[0] ?? "");
    const socket = connect(Number(port), hostname);
    socket.write(
      `PUT /rest/v1/VirtualDisk/upload?filename=half.img&filesize=1000 HTTP/1.1\r\nHost: x\r\nAuthorization: ${basic("admin", "admin")}\r\nContent-Length: 1000\r\n\r\nonly this`,
    );
    const record = await until(async () => (await images(client))[0]);
    expect(record.name).toBe("uploading-half.img");
    socket.destroy();
    expect((await client.api("DELETE", `VirtualDisk/${record.uuid}`)).json).toEqual({ taskTag: "", createdUUID: "" });
    await until(async () => ((await images(client)).length === 0 ? true : undefined));
  });

  it("of toys are answered with 502 by 9.8", async () => {
    await using client = await open({ icosVersion: "9.8.2.1" });
    expect(await refusedUpload(client, "filename=a.vmdk&filesize=10", Buffer.alloc(10))).toBe(502);
  });
});

describe("attaching", () => {
  it.each([
    [10 * mebibyte + 1, 11 * mebibyte],
    [mebibyte, 3 * mebibyte],
    [0, 3 * mebibyte],
  ])("turns a wish for %i bytes into %i", async (capacity, expected) => {
    await using client = await open();
    const image = await client.image("a.img", Buffer.alloc(2 * mebibyte + 1));
    const vm = await client.bootableVm();
    const body = {
      options: { regenerateDiskID: false, readOnly: false },
      template: { virDomainUUID: vm, type: "VIRTIO_DISK", capacity },
    };
    const disk = await client.done("POST", `VirtualDisk/${image}/attach`, body);
    expect((await client.vm(vm)).blockDevs.find(({ uuid }) => uuid === disk)?.capacity).toBe(expected);
  });

  it("rewrites the disk's identity unless told not to", async () => {
    await using client = await open();
    const image = await client.image("a.img", Buffer.alloc(mebibyte));
    const vm = await client.bootableVm();
    const template = { virDomainUUID: vm, type: "VIRTIO_DISK" };
    const careless = await client.done("POST", `VirtualDisk/${image}/attach`, { template });
    const careful = await client.done("POST", `VirtualDisk/${image}/attach`, {
      options: { regenerateDiskID: false },
      template,
    });
    const { json } = await client.control("GET", "state");
    expect((json as { guests: Record<string, object> }).guests[vm]).toMatchObject({
      origins: { [careless]: { source: image, regenerateDiskID: true }, [careful]: { regenerateDiskID: false } },
    });
  });

  it("serves one VM at a time, unless told otherwise", async () => {
    const slow = { taskMsByKind: { "disk-attach": 500 } };
    await using strict = await open(slow);
    await using mild = await open({ ...slow, concurrentAttach: true });
    for (const [client, second] of [
      [strict, 500],
      [mild, 200],
    ] as const) {
      const image = await client.image("a.img", Buffer.alloc(mebibyte));
      const [one, two] = [await client.bootableVm(), await client.bootableVm()];
      await client.change("POST", `VirtualDisk/${image}/attach`, {
        template: { virDomainUUID: one, type: "VIRTIO_DISK" },
      });
      const body = { template: { virDomainUUID: two, type: "VIRTIO_DISK" } };
      expect((await client.api("POST", `VirtualDisk/${image}/attach`, body)).status).toBe(second);
    }
  });

  it("needs a VM and a type", async () => {
    await using client = await open();
    const image = await client.image("a.img", Buffer.alloc(mebibyte));
    expect(
      (await client.api("POST", `VirtualDisk/${image}/attach`, { template: { type: "VIRTIO_DISK" } })).status,
    ).toBe(400);
  });
});

async function newIso(client: TestClient, bytes: Buffer): Promise<string> {
  const uuid = await client.done("POST", "ISO", { name: "seed.iso", size: bytes.length, readyForInsert: false });
  const data = await client.api("PUT", `ISO/${uuid}/data`, bytes);
  expect(data).toMatchObject({ status: 200, type: "text/plain", text: "" });
  await client.done("PATCH", `ISO/${uuid}`, { readyForInsert: true });
  return uuid;
}

describe("ISOs", () => {
  it("are made in three steps, mounted with their size and name, and stay while mounted", async () => {
    await using client = await open();
    const uuid = await newIso(client, Buffer.alloc(5000));
    const [iso] = (await client.api("GET", `ISO/${uuid}`)).json as { path: string }[];
    const vm = await client.done("POST", "VirDomain", {
      dom: { name: "cd", blockDevs: [{ type: "IDE_CDROM", capacity: 0, path: iso?.path }] },
      options: { attachGuestToolsISO: false },
    });
    const [cd] = (await client.vm(vm)).blockDevs;
    expect(cd).toMatchObject({ capacity: 5000, name: "seed.iso", path: iso?.path });
    expect((await client.api("GET", "ISO")).json).toMatchObject([{ mounts: [{ vmUUID: vm, vmName: "cd" }] }]);
    expect((await client.api("DELETE", `ISO/${uuid}`)).status).toBe(500);
    await client.done("PATCH", `VirDomainBlockDevice/${cd?.uuid}`, { path: "", name: "" });
    expect((await client.vm(vm)).blockDevs[0]).toMatchObject({ path: "", name: "", capacity: 0 });
    await client.done("DELETE", `ISO/${uuid}`);
  });

  it("refuse data of another length, and readiness before the data", async () => {
    await using client = await open();
    const uuid = await client.done("POST", "ISO", { name: "seed.iso", size: 10, readyForInsert: false });
    expect((await client.api("PUT", `ISO/${uuid}/data`, Buffer.alloc(9))).status).toBe(400);
    expect((await client.api("PATCH", `ISO/${uuid}`, { readyForInsert: true })).status).toBe(500);
    expect((await client.api("PATCH", `ISO/${uuid}`, { size: 9 })).status).toBe(400);
    expect((await client.api("GET", `ISO/${uuid}`)).json).toMatchObject([{ readyForInsert: false, path: "" }]);
  });

  it("change in a running VM only with path and name together", async () => {
    await using client = await open();
    const uuid = await newIso(client, Buffer.alloc(100));
    const [iso] = (await client.api("GET", `ISO/${uuid}`)).json as { path: string }[];
    const vm = await client.runningVm({ blockDevs: [{ type: "IDE_CDROM", capacity: 0 }] });
    const cd = (await client.vm(vm)).blockDevs.find(({ type }) => type === "IDE_CDROM")?.uuid;
    await client.failing("PATCH", `VirDomainBlockDevice/${cd}`, { path: iso?.path });
    await client.done("PATCH", `VirDomainBlockDevice/${cd}`, { path: iso?.path, name: "seed.iso" });
    expect((await client.vm(vm)).blockDevs.find(({ uuid: device }) => device === cd)?.name).toBe("seed.iso");
    expect((await client.api("DELETE", `VirDomainBlockDevice/${cd}`)).status).toBe(500);
  });

  it("that do not exist fail the task and leave no VM behind", async () => {
    await using client = await open();
    await client.failing("POST", "VirDomain", {
      dom: { blockDevs: [{ type: "IDE_CDROM", capacity: 0, path: "scribe/nothing" }] },
      options: { attachGuestToolsISO: false },
    });
    expect((await client.api("GET", "VirDomain")).json).toEqual([]);
  });
});

describe("a full cluster", () => {
  it("fails what needs room, says how much is missing, and raises the condition", async () => {
    await using client = await open({ storageBytes: 4 * mebibyte });
    const vm = await client.done("POST", "VirDomain", { dom: { name: "v" }, options: { attachGuestToolsISO: false } });
    const image = await client.image("a.img", Buffer.alloc(2 * mebibyte));
    const template = { virDomainUUID: vm, type: "VIRTIO_DISK" };
    await client.done("POST", `VirtualDisk/${image}/attach`, { template });
    const task = await client.failing("POST", `VirtualDisk/${image}/attach`, { template });
    expect(task.formattedMessage).toContain("Insufficient storage");
    expect(task.messageParameters).toEqual([String(2 * mebibyte), "0"]);
    const body = { virDomainUUID: vm, type: "VIRTIO_DISK", capacity: mebibyte };
    await client.failing("POST", "VirDomainBlockDevice", body);
    await client.failing("PUT", `VirtualDisk/upload?filename=b.img&filesize=${mebibyte}`, Buffer.alloc(mebibyte));
    const catalogue = (await client.api("GET", "Condition")).json as { name: string; value: boolean }[];
    expect(catalogue.length).toBeGreaterThan(250);
    expect(catalogue.filter(({ value }) => value).map(({ name }) => name)).toEqual(["condition.storage.capacity.low"]);
  });

  it("can be made full and empty by the control API", async () => {
    await using client = await open();
    await client.control("POST", "cluster", { storageFull: true });
    const image = `VirtualDisk/upload?filename=b.img&filesize=${mebibyte}`;
    await client.failing("PUT", image, Buffer.alloc(mebibyte));
    await client.control("POST", "cluster", { storageFull: false });
    await client.done("PUT", image, Buffer.alloc(mebibyte));
  });
});
