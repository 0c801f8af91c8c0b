import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openAssetStore } from "../../../src/adapters/assets/asset-store.ts";
import { openHypercore } from "../../../src/adapters/hypercore/driver.ts";
import { buildDesiredState } from "../../../src/fleet/build-desired-state.ts";
import type { DesiredVirdomain } from "../../../src/fleet/desired-state.ts";
import { parseManifest } from "../../../src/manifest/parse.ts";
import type { Hypervisor } from "../../../src/ports/hypervisor.ts";
import { startHypercoreSimulator } from "../../../src/simulator/hypercore/simulator.ts";
import { applicationName, type Fleet, sampleApplication, sampleFiles } from "./fleet-files.ts";
import { benchInstance, imageMirror } from "./bench-config.ts";

/** The VMs of one sample application as a cluster keeps them: the text of a VM, and of what is known of its guest. */
type Sample = readonly { readonly vm: string; readonly guest: string }[];

/** Fills clusters with the VMs a fleet describes, without making each of them call by call. */
export interface Seeder {
  /** Writes a state file that holds every VM of a cluster; answers its name and how many VMs there are. */
  write(fleet: Fleet, cluster: string): Promise<{ readonly file: string; readonly vms: number }>;
}

/** Lets the driver make the VMs of the three sample applications once; state files are copies of those under other names. */
export async function createSeeder(folder: string): Promise<Seeder> {
  const samples = await makeSamples(folder);
  return {
    async write(fleet, cluster) {
      const lines: string[] = [];
      for (const application of fleet.applicationsOn(cluster)) {
        const sample = samples[application % samples.length] ?? [];
        lines.push(...sample.flatMap((vm) => copyOf(vm, applicationName(application))));
      }
      const file = join(folder, `${cluster}.jsonl`);
      await writeFile(file, lines.map((line) => `${line}\n`).join(""));
      return { file, vms: lines.length };
    },
  };
}

async function makeSamples(folder: string): Promise<readonly Sample[]> {
  const simulator = await startHypercoreSimulator({ taskMs: 1, convertMs: 1 });
  const url = simulator.addresses[0] ?? "";
  const assets = await openAssetStore({
    cacheDir: join(folder, "cache"),
    mirrors: [await imageMirror(folder)],
    allowHttp: false,
  });
  const driver = await openHypercore({
    cluster: "sample",
    endpoints: [url],
    username: "admin",
    password: () => Promise.resolve("admin"),
    instance: benchInstance,
    assets,
  });
  try {
    const samples: Sample[] = [];
    for (const [index, text] of (await sampleFiles("sample")).entries())
      samples.push(await makeSample(driver, url, index, text));
    return samples;
  } finally {
    await driver[Symbol.asyncDispose]();
    await assets[Symbol.asyncDispose]();
    await simulator.close();
  }
}

async function makeSample(driver: Hypervisor, url: string, index: number, text: string): Promise<Sample> {
  const ids = new Set<string>();
  for (const desired of desiredOf(index, text)) ids.add(await make(driver, desired));
  const answer = await fetch(`${url}/_simulator/state`);
  const state = (await answer.json()) as { virdomains: { uuid: string }[]; guests: Record<string, object> };
  return state.virdomains
    .filter(({ uuid }) => ids.has(uuid))
    .map((vm) => ({ vm: JSON.stringify(vm), guest: JSON.stringify(state.guests[vm.uuid] ?? {}) }));
}

function desiredOf(index: number, text: string): readonly DesiredVirdomain[] {
  const cluster = { name: "sample", driver: "hypercore" as const, labels: {}, variables: {}, networks: undefined };
  const group =
    'type: ClusterGroup\nversion: "1.0.0"\nmetadata: { name: sample }\nspec: { clusters: [{ name: sample }] }\n';
  const files = [text, group].map((content, part) => parseManifest(`${index}-${part}.yaml`, Buffer.from(content), {}));
  const desired = buildDesiredState({ repository: "fleet", files, clusters: [cluster], defaultClusters: [] });
  const virdomains = [...desired.targets.values()].flatMap((target) => target.virdomains);
  if (virdomains.length === 0) throw new Error(`the sample has no VMs: ${JSON.stringify(desired.problems)}`);
  return virdomains;
}

async function make(driver: Hypervisor, desired: DesiredVirdomain): Promise<string> {
  const never = new AbortController().signal;
  const context = { signal: never, stop: never, beforeChange() {}, progress() {} };
  const mark = {
    instance: benchInstance,
    identity: desired.identity,
    deployment: desired.deployment,
    revision: "f".repeat(40),
    cloudInitHash: desired.cloudInit?.hash,
    building: false,
    protected: false,
  };
  const { id } = await driver.create(desired, mark, context);
  if (desired.state === "running") await driver.start(id, context);
  return id;
}

const uuidPattern = /[0-9a-f]{8}(?=-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})/g;

/** One journal line with a VM of its own: other uuids (marks hold their beginnings, so these are replaced everywhere) and another name. */
function copyOf({ vm, guest }: { vm: string; guest: string }, application: string): readonly string[] {
  const beginnings = new Map(
    [...new Set(vm.match(uuidPattern) ?? [])].map((old) => [old, randomBytes(4).toString("hex")]),
  );
  const anew = (text: string): string => {
    let copy = text.replaceAll(sampleApplication, application);
    for (const [old, fresh] of beginnings) copy = copy.replaceAll(old, fresh);
    return copy;
  };
  const { uuid } = JSON.parse(anew(vm)) as { uuid: string };
  return [`[["virdomain","${uuid}",${anew(vm)}],["guest","${uuid}",${anew(guest)}]]`];
}
