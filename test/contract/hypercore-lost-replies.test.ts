import { expect, it } from "vitest";
import { WatcherError } from "../../src/lib/errors.ts";
import type { DesiredVirdomain } from "../../src/fleet/desired-state.ts";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import type { ChangeContext, Hypervisor } from "../../src/ports/hypervisor.ts";
import type { HypercoreOptions } from "../../src/adapters/hypercore/options.ts";
import { waitFor } from "../support/wait-for.ts";
import type { FaultRule } from "../../src/simulator/hypercore/faults.ts";
import type { HypercoreSimulatorOptions } from "../../src/simulator/hypercore/simulator.ts";
import { MiB, blankDisk, cdrom, cloudInit, desiredVm, freeContext, imageDisk, markOf } from "../support/desired-vm.ts";
import { type Drop, startDroppingProxy } from "../support/dropping-proxy.ts";
import { type HypercoreLab, instance, openHypercoreLab, storm } from "../support/hypercore-lab.ts";
import { expectLike } from "./hypervisor.contract.ts";

const mostAttempts = 4;
const mostAttemptsInStorm = 60;
const sideBySide = 6;

/** The VMs of one life, from birth over every kind of change to its last shape. */
async function chapters(lab: HypercoreLab): Promise<{
  readonly born: DesiredVirdomain;
  readonly resized: DesiredVirdomain;
  readonly extended: DesiredVirdomain;
  readonly rebased: DesiredVirdomain;
}> {
  const drive = cdrom("drive", await lab.iso("drivers"));
  const root = imageDisk("root", await lab.image("debian"), { capacityBytes: 6 * MiB });
  const born = desiredVm("web-1", {
    machineType: "uefi",
    disks: [root, blankDisk("data", 2 * MiB), blankDisk("logs", 3 * MiB), drive],
    nics: ["lan", "dmz"].map((name) => ({ name, type: "virtio", network: { vlan: 4 } })),
    cloudInit: cloudInit("#cloud-config\n"),
  });
  const resized = { ...born, cpu: 4, memoryBytes: 1024 * MiB, tags: ["tier:db"], description: "grown up" };
  const extended = {
    ...resized,
    disks: [
      root,
      blankDisk("data", 5 * MiB),
      blankDisk("logs", 3 * MiB),
      cdrom("drive", await lab.iso("other")),
      blankDisk("extra", 2 * MiB, { boot: 2 }),
      blankDisk("more", 2 * MiB),
    ],
    nics: [...resized.nics, { name: "backup", type: "virtio" as const, network: { vlan: 4 } }].map((nic) =>
      nic.name === "dmz" ? { ...nic, network: { vlan: 9 } } : nic,
    ),
  };
  const rebased = {
    ...extended,
    disks: [imageDisk("root", await lab.image("alpine")), blankDisk("data", 5 * MiB)],
    nics: extended.nics.slice(1),
  };
  return { born, resized, extended, rebased };
}

/** Repeats an operation from what the cluster shows, as the app does after anything but a terminal error. */
async function persist<T>(most: number, attempt: () => Promise<T>): Promise<T> {
  for (let count = 1; ; count++) {
    try {
      return await attempt();
    } catch (error) {
      if (count === most || !(error instanceof WatcherError) || error.retry === "terminal") throw error;
    }
  }
}

async function theOnly(driver: Hypervisor): Promise<LiveVirdomain> {
  const { virdomains } = await persist(mostAttemptsInStorm, async () =>
    driver.readLiveState(AbortSignal.timeout(20_000)),
  );
  expect(virdomains).toHaveLength(1);
  return virdomains[0] as LiveVirdomain;
}

/** Another cluster, another way in, other weather. */
interface Variant {
  readonly simulator?: HypercoreSimulatorOptions;
  readonly driver?: Partial<HypercoreOptions>;
  readonly faults?: readonly FaultRule[];
}

/** One whole life through a proxy that may cut one call; answers the changing calls it took. */
async function live(drop: Drop | undefined, variant: Variant = {}): Promise<readonly string[]> {
  await using lab = await openHypercoreLab({ taskMs: 3, ...variant.simulator });
  await using proxy = await startDroppingProxy(lab.addresses[0] ?? "", drop);
  const driver = await lab.open({ endpoints: [proxy.address], ...variant.driver });
  for (const fault of variant.faults ?? []) await lab.fault(fault);
  const context: ChangeContext = freeContext();
  const most = variant.faults === undefined ? mostAttempts : mostAttemptsInStorm;
  const { born, resized, extended, rebased } = await chapters(lab);
  const power = async (): Promise<string> => (await theOnly(driver)).power;
  const become = async (desired: DesiredVirdomain): Promise<void> => {
    await persist(most, async () => driver.update(await theOnly(driver), desired, markOf(desired, instance), context));
    expectLike(await theOnly(driver), desired);
  };

  await persist(most, async () => driver.create(born, markOf(born, instance), context));
  const first = await theOnly(driver);
  expectLike(first, born);
  expect(first.mark?.building).toBe(false);
  expect(await diskOrder(lab, first.id)).toEqual([6 * MiB, 2 * MiB, 3 * MiB]);
  await become(resized);
  await become(extended);
  await persist(most, async () => driver.start(first.id, context));
  expect(await power()).toBe("running");
  await persist(most, async () => driver.stop(first.id, { graceMs: 10_000, force: true }, context));
  expect(await power()).toBe("shutoff");
  await become(rebased);
  expect((await theOnly(driver)).id).toBe(first.id);
  await persist(most, async () => driver.delete({ ...first, mark: markOf(born, instance) }, context));
  await lab.clearFaults();
  await expectTidy(lab);
  return proxy.calls;
}

async function diskOrder(lab: HypercoreLab, id: string): Promise<number[]> {
  // The storm cuts this look past the driver as well: it is repeated until it gets through.
  const { blockDevs } = await waitFor(() => lab.rawVm(id).catch(() => undefined), { what: "an answer in the storm" });
  return blockDevs
    .filter(({ type }) => type === "VIRTIO_DISK")
    .sort((a, b) => a.slot - b.slot)
    .map(({ capacity }) => capacity);
}

/** No VM, nothing doubled, nothing half uploaded. */
async function expectTidy(lab: HypercoreLab): Promise<void> {
  expect((await lab.read()).virdomains).toEqual([]);
  const images = (await lab.admin("GET", "VirtualDisk")) as { name: string }[];
  const isos = (await lab.admin("GET", "ISO")) as { name: string; readyForInsert: boolean }[];
  expect(plainNames(images)).toEqual(["alpine.img", "debian.img"]);
  expect(plainNames(isos)).toEqual(["drivers.iso", "other.iso"]);
  expect(isos.every(({ readyForInsert }) => readyForInsert)).toBe(true);
}

function plainNames(items: readonly { readonly name: string }[]): string[] {
  return items.map(({ name }) => name.replace(/-[0-9a-f]{12}\./, ".")).toSorted((a, b) => a.localeCompare(b));
}

it("reaches the desired state whichever changing call of a VM's life loses its answer", {
  timeout: 120_000,
}, async () => {
  const calls = await live(undefined);
  expect(calls.length).toBeGreaterThan(20);
  const drops = calls.flatMap((_call, index): Drop[] => [
    { index, moment: "before" },
    { index, moment: "after" },
  ]);
  const failures: string[] = [];
  const worker = async (): Promise<void> => {
    for (let drop = drops.shift(); drop !== undefined; drop = drops.shift()) {
      await live(drop).catch((error: unknown) =>
        failures.push(`${drop?.moment} ${drop?.index} ${calls[drop?.index ?? 0]}: ${String(error)}`),
      );
    }
  };
  await Promise.all(Array.from({ length: sideBySide }, worker));
  expect(failures).toEqual([]);
});

it("creates a VM with one call, one per disk, and one to finish, and switches it on with one more", async () => {
  const calls = await live(undefined);
  const start = calls.findIndex((call) => call === "POST /rest/v1/VirDomain");
  const shape = calls.slice(start, start + 5).map((call) => call.replaceAll(/[0-9a-f-]{36}/g, "{uuid}"));
  expect(shape).toEqual([
    "POST /rest/v1/VirDomain",
    "POST /rest/v1/VirtualDisk/{uuid}/attach",
    "POST /rest/v1/VirDomainBlockDevice",
    "POST /rest/v1/VirDomainBlockDevice",
    "PATCH /rest/v1/VirDomain/{uuid}",
  ]);
});

const variants: Readonly<Record<string, Variant>> = {
  "of a newer version with labels": { simulator: { icosVersion: "9.8.2.1" } },
  "that answers 404 for what is gone": { simulator: { missingObjectStatus: 404 } },
  "that fails the deletion of a running VM later": { simulator: { deleteRunning: "fail-task" } },
  "that ignores what it does not want": {
    simulator: { lenientWhileRunning: true, ignoreReadOnlyInCreate: true, concurrentAttach: true },
  },
  "with sessions": { driver: { auth: "session" } },
};
for (const [what, variant] of Object.entries(variants)) {
  it(`lives the same life on a cluster ${what}`, async () => {
    expect(await live(undefined, variant)).not.toEqual([]);
  });
}

for (const seed of [1, 2, 3, 4]) {
  it(`reaches the desired state through a storm of every trouble at once (seed ${seed})`, {
    timeout: 60_000,
  }, async () => {
    const faults = storm.map((kind): FaultRule => ({ kind, match: { path: "^/rest" }, probability: 0.04 }));
    expect(await live(undefined, { simulator: { seed }, faults })).not.toEqual([]);
  });
}
