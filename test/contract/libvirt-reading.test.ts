import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openLibvirt } from "../../src/adapters/libvirt/driver.ts";
import type { Hypervisor } from "../../src/ports/hypervisor.ts";

const mark = (uuid: string): string =>
  `<metadata><other:note xmlns:other="urn:other">theirs</other:note>
     <k:vm xmlns:k="urn:kraken-gitops:vm:1"><k:owner uuid="${uuid}" instance="edge" repository="fleet" application="shop" resource="web &amp; co" ordinal="2"/>
       <k:applied revision="abc"/><k:protected/><k:tag>tier:web</k:tag>
       <k:disk name="root" source="lab/root.qcow2" asset="a1"/><k:nic name="lan" mac="52:54:00:00:00:01"/></k:vm></metadata>`;

const domain = (name: string, uuid: string, metadata: string): string =>
  `<domain type="test"><name>${name}</name><uuid>${uuid}</uuid><description>two
lines</description>${metadata}<memory unit="b">268435457</memory><vcpu current="2">4</vcpu><os firmware="efi"><type>hvm</type></os>
    <devices>
      <disk type="volume" device="disk"><source pool="lab" volume="root.qcow2"/><target dev="vda" bus="virtio"/><boot order="7"/></disk>
      <disk type="file" device="disk"><source file="/elsewhere/data.img"/><target dev="sda" bus="scsi"/></disk>
      <disk type="file" device="cdrom"><target dev="hda" bus="ide"/><readonly/></disk>
      <interface type="network"><mac address="52:54:00:00:00:01"/><source network="default"/><model type="virtio"/></interface>
      <interface type="network"><mac address="52:54:00:00:00:02"/><source network="default"/><model type="ne2k_pci"/></interface>
    </devices></domain>`;

const [ours, copy, foreign] = ["1", "2", "3"].map((digit) => `1b4e28ba-2fa1-41d2-883f-00000000000${digit}`);

/** libvirt's own test driver: everything but QEMU is the real thing, and the host is described by a file. */
async function openDescribed(
  text: string,
): Promise<{ readonly driver: Hypervisor; readonly folder: string } & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), "kg-test-"));
  const file = join(folder, "node.xml");
  await writeFile(file, text);
  const noAsset = (): Promise<never> => Promise.reject(new Error("no asset is needed here"));
  const driver = await openLibvirt({
    cluster: "lab",
    uri: `test://${file}`,
    pool: "lab",
    machine: "q35",
    accelerator: "tcg",
    disks: "copy",
    maxCpus: undefined,
    secureBoot: false,
    seedBus: "scsi",
    consoleLogs: "off",
    instance: "edge",
    workDir: join(folder, "work"),
    assets: { describe: noAsset, fetch: noAsset },
  });
  return { driver, folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

const pool = `<pool type="dir"><name>lab</name><target><path>/pool</path></target></pool>`;

it("tells ours from copies and from people's VMs, and reads what planning needs", async () => {
  const domains = [
    domain("ours", ours ?? "", mark(ours ?? "")),
    domain("copy", copy ?? "", mark(ours ?? "")),
    domain("foreign", foreign ?? "", ""),
  ];
  await using host = await openDescribed(`<node>${pool}${domains.join("")}</node>`);
  const { virdomains } = await host.driver.readLiveState(AbortSignal.timeout(20_000));
  const byName = new Map(virdomains.map((vm) => [vm.name, vm]));
  expect(byName.get("ours")).toMatchObject({
    id: ours,
    description: "two\nlines",
    cpu: 2,
    // Whole MiB, rounded up.
    memoryBytes: 257 * 2 ** 20,
    machineType: "uefi",
    power: "running",
    tags: ["tier:web"],
    clone: false,
    mark: {
      instance: "edge",
      identity: { repository: "fleet", application: "shop", resource: "web & co", ordinal: 2 },
      revision: "abc",
      building: false,
      protected: true,
    },
  });
  expect(byName.get("ours")?.disks).toMatchObject([
    { id: "lab/root.qcow2", name: "root", type: "virtio_disk", assetId: "a1", boot: 1 },
    { id: "/elsewhere/data.img", name: undefined, type: "scsi_disk", boot: undefined },
    { id: "drive hda", name: undefined, type: "ide_cdrom", capacityBytes: 0 },
  ]);
  expect(byName.get("ours")?.nics).toMatchObject([
    { name: "lan", type: "virtio", network: { network: "default" } },
    { name: undefined, type: "other" },
  ]);
  expect(byName.get("copy")).toMatchObject({ clone: true, mark: undefined, tags: [] });
  expect(byName.get("foreign")).toMatchObject({ clone: false, mark: undefined });
  expect(await host.driver.findVirdomain(copy ?? "", AbortSignal.timeout(20_000))).toEqual(byName.get("copy"));
});

it("answers nothing rather than half when the host does not answer, and names the pool that is missing", async () => {
  await using host = await openDescribed(`<node>${domain("ours", ours ?? "", mark(ours ?? ""))}</node>`);
  await expect(host.driver.readLiveState(AbortSignal.timeout(20_000))).rejects.toMatchObject({
    code: "cluster-refused",
    message: expect.stringContaining("pool-define-as") as string,
  });
  await rm(join(host.folder, "node.xml"));
  await expect(host.driver.readLiveState(AbortSignal.timeout(20_000))).rejects.toThrow(/lab: list VMs/);
});
