import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { type MarkedVirdomain, restoreVirdomain } from "../../src/app/restore/restore-virdomain.ts";
import type { SnapshotReference } from "../../src/ports/hypervisor.ts";
import {
  MiB,
  blankDisk,
  cloudInit,
  desiredVm,
  freeContext,
  freeLease,
  imageDisk,
  markOf,
  revision,
} from "../support/desired-vm.ts";
import { instance, type LibvirtLab, onUserNetwork, openLibvirtLab } from "../support/libvirt-lab.ts";
import { untilSaid } from "../support/until-said.ts";

const run = promisify(execFile);
const dayMs = 86_400_000;

it("gives a guest back what it wrote before it was overwritten, and what came after on another day", async () => {
  await using lab = await openLibvirtLab();
  const vm = onUserNetwork(
    desiredVm("db-1", {
      memoryBytes: 128 * MiB,
      disks: [imageDisk("root", lab.guest()), blankDisk("data", 8 * MiB)],
      cloudInit: cloudInit("#cloud-config\n#tiny: write data precious\n"),
    }),
  );
  const { id } = await lab.driver.create(vm, markOf(vm, instance), freeContext(300_000));
  const console = lab.consoleOf(id);
  await lab.driver.start(id, freeContext(60_000));
  await untilSaid(console, /^tiny: content data precious\r?\n[^]*^tiny: hardware/m);
  const stopping = { graceMs: 60_000, force: true };
  await lab.driver.stop(id, stopping, freeContext(120_000));
  const request = { label: "before", keepUntilMs: Date.now() + dayMs, fresh: false, adopt: false };
  const snapshot = await lab.driver.ensureSnapshot(await find(lab, id), request, freeContext());

  await run("qemu-io", ["-f", "qcow2", "-c", "write -P 0 0 1M", await dataOf(lab, id)]);
  const firstLife = (await readFile(console, "utf8")).length;
  const { kept } = await restore(lab, id, snapshot);
  await lab.driver.start(id, freeContext(60_000));
  // The same instance writes nothing a second time: what it reads is what it wrote in its first life.
  await untilSaid(console, new RegExp(`^[^]{${firstLife}}[^]*^tiny: content data precious\\r?$`, "m"));

  // The way back from the way back: what was there before is in its own snapshot.
  await lab.driver.stop(id, stopping, freeContext(120_000));
  await restore(lab, id, kept as SnapshotReference);
  const { stdout } = await run("qemu-io", ["-r", "-f", "qcow2", "-c", "read -P 0 0 1M", await dataOf(lab, id)]);
  expect(stdout).not.toContain("Pattern verification failed");
}, 600_000);

async function find({ driver }: LibvirtLab, id: string): Promise<MarkedVirdomain> {
  const live = await driver.findVirdomain(id, AbortSignal.timeout(60_000));
  if (live?.mark === undefined) throw new Error(`no VM ${id} of ours`);
  return { ...live, mark: live.mark };
}

/** The file of its data disk, which a fault in the guest would overwrite. */
async function dataOf(lab: LibvirtLab, id: string): Promise<string> {
  const [, volume = ""] = (await find(lab, id)).disks.find(({ name }) => name === "data")?.id.split("/") ?? [];
  return join(lab.daemon.poolDir, volume);
}

async function restore(lab: LibvirtLab, id: string, snapshot: SnapshotReference) {
  const input = { hypervisor: lab.driver, clock: systemClock, leaseQuarantined: freeLease };
  const family = { name: "db-1", members: [await find(lab, id)] };
  const shutdown = { shutdownGraceMs: 60_000, forceShutdown: true };
  const terms = { nowMs: Date.now(), keepMs: dayMs, revision };
  const order = { family, sourceId: id, snapshotId: snapshot.id, terms, shutdown };
  return restoreVirdomain(input, order, freeContext(300_000));
}
