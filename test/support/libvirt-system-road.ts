import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureTinyGuest } from "../../bin/tiny-guest.js";
import { openAssetStore } from "../../src/adapters/assets/asset-store.ts";
import { openLibvirt } from "../../src/adapters/libvirt/driver.ts";
import { createNetworkProbe } from "../../src/adapters/network-probe.ts";
import { systemClock } from "../../src/adapters/system-clock.ts";
import { waitUntilReady } from "../../src/app/operation/wait-until-ready.ts";
import { contentHash } from "../../src/lib/canonical-json.ts";
import type { LiveVirdomain } from "../../src/plan/live-state.ts";
import { cloudInit, desiredVm, freeContext, imageDisk, markOf, MiB } from "./desired-vm.ts";

/**
 * One VM on qemu:///system from its creation to its end, with networks that lead somewhere. Runs inside the namespaces of
 * libvirt-system.sh, where its guest can be reached; prints what was seen as JSON.
 */
const folder = await mkdtemp(join(tmpdir(), "kg-system-"));
const mirrors = [{ prefix: "https://files.example/", to: "file:///" }];
const assets = await openAssetStore({ cacheDir: join(folder, "cache"), mirrors, allowHttp: false });
const driver = await openLibvirt({
  cluster: "system",
  uri: "qemu:///system",
  pool: "kraken",
  machine: "q35",
  accelerator: "auto",
  disks: "copy",
  maxCpus: undefined,
  secureBoot: false,
  seedBus: "scsi",
  consoleLogs: "pool",
  instance: "edge",
  workDir: join(folder, "work"),
  networks: [{ network: "default" }],
  assets,
});
const url = `https://files.example${ensureTinyGuest()}`;
const image = { name: "guest", type: "virtual_disk", format: "raw", url, id: contentHash(url, 12) } as const;
const desired = desiredVm("guest", {
  machineType: "tpm",
  cpu: 1,
  memoryBytes: 256 * MiB,
  disks: [imageDisk("root", image)],
  nics: [
    { name: "lan", type: "virtio", network: { network: "default" } },
    { name: "direct", type: "virtio", network: { bridge: "virbr0" } },
  ],
  cloudInit: cloudInit("#cloud-config\n"),
  readiness: { guestAgent: true, cloudInit: true, tcp: 8080, http: ":8080/", timeoutMs: 240_000 },
});
const context = freeContext(300_000);

async function look(id: string): Promise<LiveVirdomain> {
  const live = await driver.findVirdomain(id, context.signal);
  if (live === undefined) throw new Error("the VM is gone");
  return live;
}

const findings = await driver.check(context.signal);
const { id } = await driver.create(desired, markOf(desired, "edge"), context);
await driver.start(id, context);
await waitUntilReady({ hypervisor: driver, clock: systemClock, probe: createNetworkProbe() }, desired, id, context);
const ready = await look(id);
await driver.stop(id, { graceMs: 60_000, force: false }, context);
await driver.delete(await look(id), context);
const left = (await readdir("/var/lib/libvirt/images/kraken")).filter((name) => !name.includes("-asset-"));
const { nodes, tiers } = await driver.readCapacity(context.signal);
await assets[Symbol.asyncDispose]();
await rm(folder, { recursive: true, force: true });
console.log(JSON.stringify({ findings, nics: ready.nics, agent: ready.guestAgent, left, nodes, tiers }));
