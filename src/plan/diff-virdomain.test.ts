import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { desiredVirdomain, gibibyte, liveVirdomain, traits } from "../../test/support/virdomains.ts";
import type { NetworkTarget } from "../fleet/cluster.ts";
import type { DesiredVirdomain } from "../fleet/desired-state.ts";
import { defaultPolicy } from "../manifest/document.ts";
import { diffVirdomain } from "./diff-virdomain.ts";
import type { LiveVirdomain } from "./live-state.ts";

const base = desiredVirdomain();
const [system] = base.disks;
if (system === undefined) throw new Error("the base VM has a disk");
const data = {
  name: "data",
  type: "virtio_disk",
  asset: undefined,
  capacityBytes: 100 * gibibyte,
  boot: undefined,
} as const;

/** What changes, against a VM made from `base`: path and cost of every difference. */
function costs(desired: DesiredVirdomain, live: LiveVirdomain = liveVirdomain(base)): string[] {
  return diffVirdomain(desired, live, traits).changes.map((change) => `${change.path}: ${change.disruption}`);
}

describe("diffVirdomain", () => {
  it("finds nothing on a VM that is as desired", () => {
    expect(diffVirdomain(base, liveVirdomain(base), traits)).toEqual({ changes: [], notices: [], refusals: [] });
  });

  const table: readonly [string, Partial<DesiredVirdomain>, readonly string[]][] = [
    ["a new name", { name: "www" }, ["name: live"]],
    ["a new description", { description: "the web server" }, ["description: live"]],
    ["a description with trailing space only", { description: "a web server \n" }, []],
    ["other tags", { tags: ["tier:web", "nginx"] }, ["tags: live"]],
    ["more CPUs", { cpu: 4 }, ["cpu: reboot"]],
    ["more memory", { memoryBytes: 4 * gibibyte }, ["memory: reboot"]],
    ["another machine type", { machineType: "bios" }, ["machine_type: rebuild"]],
    ["Windows", { os: "windows" }, ["os: live"]],
    ["an os that is no Windows", { os: "linux" }, []],
    [
      "a larger disk",
      { disks: [{ ...system, capacityBytes: 31 * gibibyte }] },
      ["storage_devices.system.capacity: live"],
    ],
    ["one more disk", { disks: [system, data] }, ["storage_devices.data: live"]],
    ["no disk any more", { disks: [] }, ["storage_devices.system: data-loss"]],
    [
      "another image",
      { disks: [{ ...system, asset: { ...base.disks[0]!.asset!, id: "ffffffffffff" } }] },
      ["storage_devices.system.source: data-loss"],
    ],
    [
      "one more NIC",
      { nics: [...base.nics, { name: "db", type: "virtio", network: {} }] },
      ["network_devices.db: reboot"],
    ],
    [
      "another VLAN",
      { nics: [{ name: "net", type: "virtio", network: { vlan: 30 } }] },
      ["network_devices.net.network: reboot"],
    ],
    ["no NIC any more", { nics: [] }, ["network_devices.net: reboot"]],
    ["to be shut off", { state: "shutoff" }, ["state: live"]],
    ["another deployment", { deployment: "east" }, ["metadata.deployment: live"]],
  ];
  it.each(table)("tells what %s costs", (_title, changes, expected) => {
    expect(costs({ ...base, ...changes })).toEqual(expected);
  });

  it("needs no reboot for a VM that is off", () => {
    const off = liveVirdomain(base, { power: "shutoff" });
    expect(costs({ ...base, cpu: 4, state: "shutoff" }, off)).toEqual(["cpu: live"]);
  });

  it("names the size of a disk whose content goes", () => {
    const [change] = diffVirdomain({ ...base, disks: [] }, liveVirdomain(base), traits).changes;
    expect(change?.lostBytes).toBe(30 * gibibyte);
  });

  it("takes a capacity that the platform rounded up for equal", () => {
    const live = liveVirdomain(base);
    const rounded = {
      ...live,
      disks: live.disks.map((disk) => ({ ...disk, capacityBytes: disk.capacityBytes + 1_048_575 })),
    };
    expect(costs(base, rounded)).toEqual([]);
  });

  it("says that a disk cannot shrink instead of planning it", () => {
    const difference = diffVirdomain(
      { ...base, disks: [{ ...system, capacityBytes: 10 * gibibyte }] },
      liveVirdomain(base),
      traits,
    );
    expect(difference.changes).toEqual([]);
    expect(difference.notices).toMatchObject([
      { code: "disk-not-shrunk", message: expect.stringContaining("stays at 30 GiB") },
    ]);
  });

  it("leaves devices alone that carry no name of ours", () => {
    const live = liveVirdomain(base);
    const foreign = {
      ...live,
      disks: [
        ...live.disks,
        {
          id: "x",
          name: undefined,
          type: "virtio_disk" as const,
          capacityBytes: gibibyte,
          assetId: undefined,
          boot: undefined,
        },
      ],
    };
    const difference = diffVirdomain(base, foreign, traits);
    expect(difference.changes).toEqual([]);
    expect(difference.notices).toMatchObject([{ code: "foreign-disk" }]);
  });

  it("moves a disk to another bus with its data, which takes a reboot", () => {
    const wanted = { ...base, disks: [{ ...system, type: "ide_disk" as const }] };
    const { changes, refusals } = diffVirdomain(wanted, liveVirdomain(base), traits);
    expect(changes).toMatchObject([{ kind: "disk-type", from: "virtio_disk", to: "ide_disk", disruption: "reboot" }]);
    expect(refusals).toEqual([]);
  });

  it("warns of a restart where a change on a running VM depends on its guest", () => {
    const live = liveVirdomain(base);
    const wanted = { ...base, disks: [] };
    expect(diffVirdomain(wanted, live, traits).notices).toMatchObject([{ code: "may-restart" }]);
    expect(diffVirdomain(wanted, { ...live, power: "shutoff" }, traits).notices).toEqual([]);
    expect(diffVirdomain({ ...wanted, cpu: base.cpu + 1 }, live, traits).notices).toEqual([]);
  });

  it("names what the guest may hold on to", () => {
    const eager = {
      ...traits,
      rebootFor: new Set<never>(),
      mayRebootFor: new Set(["disk-remove", "nic-remove"] as const),
    };
    const { notices } = diffVirdomain({ ...base, disks: [], nics: [] }, liveVirdomain(base), eager);
    expect(notices.map(({ path, message }) => `${path}: ${message}`)).toEqual([
      "storage_devices.system: the VM is shut down and started again if its guest does not let go of the disk",
      "network_devices.net: the VM is shut down and started again if its guest does not let go of the NIC",
    ]);
  });

  it.each<[NetworkTarget, string]>([
    [{}, "untagged"],
    [{ vlan: 0 }, "untagged"],
    [{ vlan: 20 }, "VLAN 20"],
    [{ network: "default" }, "network default"],
    [{ network: "default", vlan: 0 }, "network default"],
    [{ network: "ovs", vlan: 20 }, "network ovs, VLAN 20"],
    [{ bridge: "br0" }, "bridge br0"],
    [{ user: true }, "user-mode network"],
  ])("tells the network %j apart", (network, text) => {
    const elsewhere = { ...base, nics: [{ name: "net", type: "virtio" as const, network }] };
    const moved = liveVirdomain({ ...base, nics: [{ name: "net", type: "virtio", network: { bridge: "elsewhere" } }] });
    expect(diffVirdomain(elsewhere, moved, traits).changes).toMatchObject([{ kind: "nic-network", to: text }]);
    expect(diffVirdomain(elsewhere, liveVirdomain(elsewhere), traits).changes).toEqual([]);
  });

  it("plans to move a mark to where the platform keeps it best, which is nobody's drift and no news for a review", () => {
    const live = liveVirdomain(base, { markOutdated: true });
    const context = { originOf: () => "drift" as const };
    expect(diffVirdomain(base, live, traits, context).changes).toMatchObject([
      { kind: "ownership", path: "metadata.mark", disruption: "live", origin: "git" },
    ]);
    expect(diffVirdomain(base, live, traits, { upkeep: false }).changes).toEqual([]);
  });

  it("refuses to make a drive out of a disk with data", () => {
    const difference = diffVirdomain(
      { ...base, disks: [{ ...system, type: "ide_cdrom" }] },
      liveVirdomain(base),
      traits,
    );
    expect(difference.refusals).toMatchObject([{ code: "unsupported-change" }]);
  });

  it("does not rebuild over a machine type that manifests cannot say", () => {
    expect(costs(base, liveVirdomain(base, { machineType: "other" }))).toEqual([]);
  });

  describe("cloud-init", () => {
    const changed = {
      ...base,
      cloudInit: { userData: "#cloud-config\nfoo: 1\n", metaData: "", hash: "fedcba9876543210" },
    };
    const withPolicy = (cloudInit: "ignore" | "rebuild" | "refuse") => ({
      ...changed,
      policy: { ...defaultPolicy, cloudInit },
    });

    it("is only mentioned where policy ignores it", () => {
      const difference = diffVirdomain(withPolicy("ignore"), liveVirdomain(base), traits);
      expect(difference).toMatchObject({
        changes: [],
        notices: [{ code: "cloud-init-unchanged-guest" }],
        refusals: [],
      });
    });
    it("rebuilds where policy says so", () => {
      expect(costs(withPolicy("rebuild"))).toEqual(["cloud_init_data: rebuild"]);
    });
    it("stops the VM's plan where policy refuses", () => {
      expect(diffVirdomain(withPolicy("refuse"), liveVirdomain(base), traits).refusals).toMatchObject([
        { code: "cloud-init-refused" },
      ]);
    });
    it("is equal when the VM remembers an abbreviated hash", () => {
      const live = liveVirdomain(base);
      const mark = live.mark === undefined ? undefined : { ...live.mark, cloudInitHash: "0123456789ab" };
      expect(diffVirdomain(base, { ...live, mark }, traits).notices).toEqual([]);
    });
  });

  it("does not care in which order disks and NICs stand", () => {
    const many = desiredVirdomain({
      disks: [system, data, { ...data, name: "logs" }],
      nics: ["a", "b", "c"].map((name) => ({ name, type: "virtio" as const, network: { vlan: 5 } })),
    });
    fc.assert(
      fc.property(
        fc.shuffledSubarray([...many.disks], { minLength: 3 }),
        fc.shuffledSubarray([...many.nics], { minLength: 3 }),
        (disks, nics) => {
          expect(diffVirdomain({ ...many, disks, nics }, liveVirdomain(many), traits).changes).toEqual([]);
        },
      ),
    );
  });
});
