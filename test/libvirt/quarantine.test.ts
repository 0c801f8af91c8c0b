import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { applyOperation } from "../../src/app/operation/apply-operation.ts";
import type { DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import { planCluster } from "../../src/plan/plan-cluster.ts";
import {
  MiB,
  blankDisk,
  cloudInit,
  desiredVm,
  freeContext,
  freeLease,
  imageDisk,
  revision,
} from "../support/desired-vm.ts";
import { instance, type LibvirtLab, onUserNetwork, openLibvirtLab } from "../support/libvirt-lab.ts";
import { untilSaid } from "../support/until-said.ts";
import { desiredState, target } from "../support/virdomains.ts";

const probe = { tcp: async () => false, http: async () => false };

/** What a sync does on this cluster, with a manifest or without one; answers the operations. */
async function sync(lab: LibvirtLab, vm: DesiredVirdomain, wanted: boolean): Promise<readonly string[]> {
  const { operations } = planCluster({
    instance,
    desired: desiredState([target("lab", wanted ? [vm] : [])]),
    base: desiredState([target("lab", [vm])]),
    live: await lab.driver.readLiveState(AbortSignal.timeout(60_000)),
    traits: lab.driver.traits,
    enforced: new Set(),
    scope: undefined,
  });
  for (const operation of operations) {
    const parts = { operation, desired: vm, instance, revision, token: "t", attempt: 1, onSnapshot() {} };
    const world = { hypervisor: lab.driver, clock: systemClock, probe, leaseQuarantined: freeLease };
    expect(await applyOperation({ ...parts, ...world }, freeContext(300_000))).toEqual({ kind: "done" });
  }
  return operations.map(({ kind }) => kind);
}

it("gives a guest its disk back with what it wrote on it, after its manifest went and came again", async () => {
  await using lab = await openLibvirtLab();
  const vm = onUserNetwork(
    desiredVm("db-1", {
      memoryBytes: 128 * MiB,
      disks: [imageDisk("root", lab.guest()), blankDisk("data", 8 * MiB)],
      cloudInit: cloudInit("#cloud-config\n#tiny: write data precious\n"),
    }),
  );
  expect(await sync(lab, vm, true)).toEqual(["create"]);
  const [before] = (await lab.driver.readLiveState(AbortSignal.timeout(60_000))).virdomains;
  const console = lab.consoleOf(before?.id ?? "");
  await untilSaid(console, /^tiny: content data precious\r?\n[^]*^tiny: hardware/m);
  const firstLife = (await readFile(console, "utf8")).length;

  expect(await sync(lab, vm, false)).toEqual(["quarantine"]);
  expect(await sync(lab, vm, false)).toEqual([]);
  expect(await lab.daemon.virsh("list", "--all", "--name")).toContain(`db-1.quarantined-${revision.slice(0, 7)}`);

  expect(await sync(lab, vm, true)).toEqual(["restore"]);
  expect(await sync(lab, vm, true)).toEqual([]);
  const [after] = (await lab.driver.readLiveState(AbortSignal.timeout(60_000))).virdomains;
  expect(after).toMatchObject({ id: before?.id, name: "db-1", power: "running", disks: before?.disks });
  // The same instance writes nothing a second time: what it reads is what it wrote in its first life.
  await untilSaid(console, new RegExp(`^[^]{${firstLife}}[^]*^tiny: content data precious\\r?$`, "m"));
}, 600_000);
