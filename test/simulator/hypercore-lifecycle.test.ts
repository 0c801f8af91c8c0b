import { expect, it } from "vitest";
import { open, until } from "./hypercore-support.ts";

const mebibyte = 2 ** 20;

it("goes the whole way from an upload to a running VM and back to nothing", async () => {
  await using client = await open();
  const image = await client.image("ubuntu.qcow2", Buffer.alloc(3 * mebibyte + 5, 1));
  const uuid = await client.done("POST", "VirDomain", {
    dom: {
      name: "web-1",
      description: "first",
      mem: 2 ** 30,
      numVCPU: 2,
      tags: "web,prod",
      operatingSystem: "os_other",
      bootDevices: [],
      blockDevs: [{ type: "NVRAM", capacity: 0 }],
      netDevs: [{ type: "VIRTIO", vlan: 20 }],
      cloudInitData: { userData: "I2Nsb3VkLWNvbmZpZwo=", metaData: "" },
    },
    options: { attachGuestToolsISO: false, machineTypeKeyword: "uefi" },
  });
  const disk = await client.done("POST", `VirtualDisk/${image}/attach`, {
    options: { regenerateDiskID: false, readOnly: false },
    template: { virDomainUUID: uuid, type: "VIRTIO_DISK", capacity: 10 * mebibyte + 1, slot: 0 },
  });
  await client.done("PATCH", `VirDomain/${uuid}`, { bootDevices: [disk] });
  await client.done("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "START" }]);
  const vm = await client.waitState(uuid, "RUNNING");
  expect(vm).toMatchObject({ name: "web-1", tags: "web,prod", bootDevices: [disk], machineTypeKeyword: "uefi" });
  expect(vm.blockDevs.find((device) => device.uuid === disk)).toMatchObject({ slot: 0, capacity: 11 * mebibyte });
  expect(vm.netDevs[0]?.macAddress).toMatch(/^7C:4C:58(:[0-9A-F]{2}){3}$/);

  await client.done("POST", "VirDomain/action", [{ virDomainUUID: uuid, actionType: "STOP" }]);
  await client.waitState(uuid, "SHUTOFF");
  await client.done("DELETE", `VirDomain/${uuid}`);
  expect((await client.api("GET", `VirDomain/${uuid}`)).json).toEqual([]);
  expect((await client.api("DELETE", `VirtualDisk/${image}`)).json).toEqual({ taskTag: "", createdUUID: "" });
  await until(async () => ((await client.api("GET", "VirtualDisk")).text === "[]" ? true : undefined));
});
