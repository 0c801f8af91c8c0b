import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { type MarkedVirdomain, restoreVirdomain } from "../../src/app/restore-virdomain.ts";
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

  await overwrite(lab, await find(lab, id));
  const firstLife = (await readFile(console, "utf8")).length;
  await lab.driver.start(id, freeContext(60_000));
  await untilSaid(console, new RegExp(`^[^]{${firstLife}}[^]*^tiny: hardware`, "m"));
  const secondLife = (await readFile(console, "utf8")).length;
  expect((await readFile(console, "utf8")).slice(firstLife)).not.toContain("content data precious");

  const { kept } = await restore(lab, id, snapshot);
  await lab.driver.start(id, freeContext(60_000));
  await untilSaid(console, new RegExp(`^[^]{${secondLife}}[^]*^tiny: content data precious\\r?$`, "m"));

  // The way back from the way back: what was there before is in its own snapshot.
  const thirdLife = (await readFile(console, "utf8")).length;
  await restore(lab, id, kept as SnapshotReference);
  await lab.driver.start(id, freeContext(60_000));
  await untilSaid(console, new RegExp(`^[^]{${thirdLife}}[^]*^tiny: hardware`, "m"));
  expect((await readFile(console, "utf8")).slice(thirdLife)).not.toContain("content data precious");
}, 600_000);

async function find({ driver }: LibvirtLab, id: string): Promise<MarkedVirdomain> {
  const live = await driver.findVirdomain(id, AbortSignal.timeout(60_000));
  if (live?.mark === undefined) throw new Error(`no VM ${id} of ours`);
  return { ...live, mark: live.mark };
}

/** As a fault in the guest would: the beginning of its data disk is gone. */
async function overwrite({ daemon }: LibvirtLab, { disks }: MarkedVirdomain): Promise<void> {
  const [, volume = ""] = disks.find(({ name }) => name === "data")?.id.split("/") ?? [];
  await run("qemu-io", ["-f", "qcow2", "-c", "write -P 0 0 1M", join(daemon.poolDir, volume)]);
}

async function restore(lab: LibvirtLab, id: string, snapshot: SnapshotReference) {
  const input = { hypervisor: lab.driver, clock: systemClock, leaseQuarantined: freeLease };
  const family = { name: "db-1", members: [await find(lab, id)] };
  const terms = { nowMs: Date.now(), keepMs: dayMs, revision };
  const order = { family, sourceId: id, snapshotId: snapshot.id, terms };
  return restoreVirdomain(input, order, freeContext(300_000));
}
