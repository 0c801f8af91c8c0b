import { describe, expect, it } from "vitest";
import type { DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import { blankDisk, cdrom, cloudInit, desiredVm, freeContext, imageDisk, markOf, MiB } from "../support/desired-vm.ts";
import { instance, type LibvirtLab, onUserNetwork, openLibvirtLab } from "../support/libvirt-lab.ts";
import { untilSaid } from "../support/until-said.ts";
import { waitFor } from "../support/wait-for.ts";

const hourMs = 3_600_000;

/** A guest that says what it finds; it runs, and its console is read from here on. */
async function bootedVm(
  lab: LibvirtLab,
  overrides: Partial<DesiredVirdomain> = {},
): Promise<{ readonly desired: DesiredVirdomain; readonly live: LiveVirdomain; readonly console: string }> {
  const desired = onUserNetwork(
    desiredVm("guest", {
      memoryBytes: 256 * MiB,
      cpu: 1,
      disks: [imageDisk("root", lab.guest()), blankDisk("data", 8 * MiB)],
      cloudInit: cloudInit("#cloud-config\n#tiny: write data kept\n"),
      ...overrides,
    }),
  );
  const live = await lab.driver.create(desired, markOf(desired, instance), freeContext());
  await lab.driver.start(live.id, freeContext());
  const console = lab.consoleOf(live.id);
  await untilSaid(console, /^tiny: address/m);
  return { desired, live: await look(lab, live), console };
}

async function look(lab: LibvirtLab, { id }: LiveVirdomain): Promise<LiveVirdomain> {
  const live = await lab.driver.findVirdomain(id, AbortSignal.timeout(20_000));
  if (live === undefined) throw new Error("the VM is gone");
  return live;
}

describe("a guest that runs", () => {
  it("sees disks, NICs, CPUs, sizes and media change without a restart, and tells its address and cloud-init", async () => {
    await using lab = await openLibvirtLab({ maxCpus: 4 });
    const drive = cdrom("drive", undefined);
    const { desired, live, console } = await bootedVm(lab, {
      disks: [imageDisk("root", lab.guest()), blankDisk("data", 8 * MiB), drive],
    });
    expect(live).toMatchObject({ power: "running", cpu: 1, liveCpuLimit: 4 });
    const changed = {
      ...desired,
      cpu: 2,
      description: "another text",
      disks: [imageDisk("root", lab.guest()), blankDisk("data", 16 * MiB), blankDisk("more", 4 * MiB), drive],
      nics: [...desired.nics, { name: "second", type: "virtio" as const, network: { user: true as const } }],
    };
    const updated = await lab.driver.update(live, changed, markOf(changed, instance), freeContext());
    expect(updated).toMatchObject({ power: "running", cpu: 2, description: "another text" });
    expect(updated.nics.map(({ name }) => name)).toEqual(["lan", "second"]);
    await untilSaid(console, new RegExp(`^tiny: hardware cpus=2 .*vdb:${16 * MiB}:data,vdc:${4 * MiB}:more`, "m"));
    await untilSaid(console, /^tiny: address eth1/m);
    const said = await untilSaid(console, /^tiny: booted/m);
    expect(said.match(/^tiny: booted/gm)).toHaveLength(1);
    // Agent and addresses, as readiness asks for them.
    const agent = await waitFor(
      async () => {
        const seen = await look(lab, live);
        return seen.guestAgent && seen.nics.some(({ addresses }) => addresses.length > 0) ? seen : undefined;
      },
      { what: "the guest agent" },
    );
    expect(agent.nics[0]?.addresses).toContain("10.0.2.15");
    expect(await lab.driver.readCloudInit(live.id, AbortSignal.timeout(20_000))).toEqual({ kind: "done" });
    const less = { ...changed, disks: desired.disks, nics: desired.nics };
    const smaller = await lab.driver.update(agent, less, markOf(less, instance), freeContext());
    expect(smaller.disks.map(({ name }) => name)).toEqual(["root", "data", "drive"]);
    expect(smaller.disks[1]?.capacityBytes).toBe(16 * MiB);
    expect(smaller.power).toBe("running");
  });

  it("shuts down in order although people paused it, or saved it to disk", async () => {
    await using lab = await openLibvirtLab();
    const { live, console } = await bootedVm(lab);
    const comesBack = async (): Promise<boolean> =>
      /^Autostart:\s+enable/m.test(await lab.daemon.virsh("dominfo", live.id));
    expect(await comesBack()).toBe(true);
    await lab.daemon.virsh("suspend", live.id);
    expect((await look(lab, live)).power).toBe("paused");
    await lab.driver.start(live.id, freeContext());
    expect((await look(lab, live)).power).toBe("running");
    await lab.daemon.virsh("managedsave", live.id);
    expect((await look(lab, live)).power).toBe("paused");
    await lab.driver.stop(live.id, { graceMs: 60_000, force: false }, freeContext(70_000));
    expect((await look(lab, live)).power).toBe("shutoff");
    expect(await comesBack()).toBe(false);
    expect(await untilSaid(console, /^tiny: power button/m)).not.toMatch(/tiny: booted[^]*tiny: booted/);
  });

  it("is snapshotted with UEFI, and a disk that goes is kept for its snapshot and comes back with its data", async () => {
    await using lab = await openLibvirtLab();
    const { desired, live } = await bootedVm(lab, { machineType: "uefi" });
    const [root] = desired.disks;
    const request = { label: "before", keepUntilMs: Date.now() + hourMs, fresh: false, adopt: false };
    await lab.driver.ensureSnapshot(live, request, freeContext());
    const without = { ...desired, disks: root === undefined ? [] : [root] };
    const removed = await lab.driver.update(live, without, markOf(without, instance), freeContext());
    expect(removed.disks.map(({ name }) => name)).toEqual(["root"]);
    expect((await lab.volumes()).some((name) => name.includes("-data"))).toBe(true);
    const back = await lab.driver.update(removed, desired, markOf(desired, instance), freeContext());
    expect(back.disks.find(({ name }) => name === "data")?.id).toBe(live.disks[1]?.id);
    await lab.driver.stop(live.id, { graceMs: 60_000, force: false }, freeContext(70_000));
    await lab.driver.start(live.id, freeContext());
    await untilSaid(lab.consoleOf(live.id), /tiny: booted[^]*tiny: booted[^]*tiny: content data kept/);
    // Once nobody needs it any more, it goes with the last snapshot that contains it.
    const again = await lab.driver.update(await look(lab, live), without, markOf(without, instance), freeContext());
    const gone = await lab.driver.removeExpiredSnapshots(Date.now() + 2 * hourMs, freeContext());
    expect(gone).toHaveLength(1);
    expect((await lab.volumes()).some((name) => name.includes("-data"))).toBe(false);
    await lab.driver.stop(again.id, { graceMs: 60_000, force: true }, freeContext(70_000));
    await lab.driver.delete(await look(lab, live), freeContext());
    expect((await lab.volumes()).filter((name) => !name.includes("-asset-"))).toEqual([]);
  });
});
